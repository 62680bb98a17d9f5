//! Virtual environments of Python, with exactly what they are made for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{step, workspace};

/// A Python of at least 3.10 that can make environments.
#[derive(Debug)]
pub(super) struct Interpreter(PathBuf);

impl Interpreter {
    /// The first one on the path.
    pub(super) fn find() -> Result<Self> {
        let newest_first = (10..=16).rev().map(|minor| format!("python3.{minor}"));
        let names = ["python3".to_owned(), "python".to_owned()].into_iter().chain(newest_first);
        for name in names {
            let ask =
                "import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print(sys.executable)";
            let output = Command::new(name).args(["-c", ask]).stdin(Stdio::null()).output();
            if let Ok(output) = output
                && output.status.success()
            {
                return Ok(Self(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())));
            }
        }
        bail!("there is no Python of at least 3.10 with venv (Debian and Ubuntu: `apt install python3-venv`)")
    }
}

/// Where environments, wheels and builds are.
pub(super) fn directory() -> PathBuf {
    workspace::target_directory().join("python")
}

/// An environment.
#[derive(Debug)]
pub(super) struct Environment(PathBuf);

impl Environment {
    /// The environment `name` with `requirements`, which is made unless one with the same is there.
    pub(super) fn new(interpreter: &Interpreter, name: &str, requirements: &[&str]) -> Result<Self> {
        let environment = Self(directory().join(name));
        let stamp = environment.0.join("requirements.txt");
        let wanted = format!("{}\n{}\n", interpreter.0.display(), requirements.join("\n"));
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(environment);
        }
        step::run(
            &format!("environment {name}"),
            Command::new(&interpreter.0).args(["-m", "venv", "--clear"]).arg(&environment.0),
        )?;
        let mut install = environment.pip();
        step::run(&format!("packages of {name}"), install.args(["install"]).args(requirements))?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(environment)
    }

    /// Its Python.
    pub(super) fn python(&self) -> PathBuf {
        self.0.join("bin/python")
    }

    /// A program of it.
    pub(super) fn program(&self, name: &str) -> Command {
        Command::new(self.0.join("bin").join(name))
    }

    /// Installs a wheel in place of an earlier one, without what it depends on.
    pub(super) fn install(&self, name: &str, wheel: &Path) -> Result<()> {
        let mut install = self.pip();
        install.args(["install", "--force-reinstall", "--no-deps"]).arg(wheel);
        step::run(&format!("installation of {name}"), &mut install)
    }

    /// Puts links where the packages torch and nvidia would be, to those parts of them that libtorch is.
    pub(super) fn link_libtorch(&self) -> Result<()> {
        let libtorch = workspace::libtorch()?;
        if !libtorch.join("version.py").is_file() {
            bail!("{} has no version.py: it is not the one that setup installs", libtorch.display());
        }
        let ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
        let output = self.program("python").args(["-c", ask]).output().context("cannot start Python")?;
        let packages = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let nvidia = libtorch.parent().unwrap_or(&libtorch).join("nvidia");
        for (name, target) in [("torch", libtorch), ("nvidia", nvidia)] {
            let link = packages.join(name);
            let is_there = fs::read_link(&link).is_ok_and(|found| found == target);
            if target.is_dir() && !is_there {
                // What an earlier libtorch left; the link below fails if it is something else.
                let _ = fs::remove_file(&link);
                link_directory(&target, &link)
                    .with_context(|| format!("cannot link {} to {}", link.display(), target.display()))?;
            }
        }
        Ok(())
    }

    /// Its pip, without what it says of itself.
    fn pip(&self) -> Command {
        let mut pip = self.program("python");
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]).stdin(Stdio::null());
        pip
    }
}

#[cfg(unix)]
fn link_directory(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn link_directory(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
