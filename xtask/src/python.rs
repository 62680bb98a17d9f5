//! `cargo xtask python`: the Python packages are checked, built, installed where nothing else is, and tested there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{step, workspace};

/// Arguments of `cargo xtask python`.
#[derive(Debug, Default, Args)]
pub(crate) struct PythonArguments {
    /// Only build the wheels.
    #[arg(long)]
    build_only: bool,
}

/// Builds the wheels.
const MATURIN: &str = "maturin==1.16.0";

/// What the tests need beside the package: among it the one that it is compared with.
const TEST_REQUIREMENTS: [&str; 5] =
    ["numpy>=1.22", "scipy>=1.8", "pytest>=8", "mypy>=1.15", "surface-distance-based-measures==0.1"];

/// The packages, by their directories in `python`.
const PACKAGES: [&str; 1] = ["sam3d-metrics"];

/// Checks, builds and tests the Python packages.
pub(crate) fn run(arguments: &PythonArguments) -> Result<()> {
    let tools = Tools::prepare()?;
    tools.check_and_test(arguments.build_only)
}

/// The same as part of all checks: without Python 3.10, or without a package index, it says so and does nothing.
pub(crate) fn run_if_possible() -> Result<()> {
    match Tools::prepare() {
        Ok(tools) => tools.check_and_test(false),
        Err(error) => {
            println!("SKIPPED: the Python packages were not tested: {error:#}");
            Ok(())
        }
    }
}

/// Two virtual environments: one that builds, one that has the package and what its tests need.
struct Tools {
    directory: PathBuf,
}

impl Tools {
    /// Finds Python and fills the environments, unless they are there.
    fn prepare() -> Result<Self> {
        let python = find()?;
        let tools = Self { directory: workspace::target_directory().join("python") };
        tools.environment(&python, "build", &[MATURIN])?;
        tools.environment(&python, "test", &TEST_REQUIREMENTS)?;
        Ok(tools)
    }

    /// A program of an environment.
    fn program(&self, environment: &str, name: &str) -> Command {
        Command::new(self.directory.join(environment).join("bin").join(name))
    }

    /// Makes the environment `name` with `requirements`, unless one with the same is there.
    fn environment(&self, python: &Path, name: &str, requirements: &[&str]) -> Result<()> {
        let path = self.directory.join(name);
        let stamp = path.join("requirements.txt");
        let wanted = format!("{}\n{}\n", python.display(), requirements.join("\n"));
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        step::run(
            &format!("environment {name}"),
            Command::new(python).args(["-m", "venv", "--clear"]).arg(&path),
        )?;
        let mut install = pip(self.program(name, "python"));
        step::run(&format!("packages of {name}"), install.args(["install"]).args(requirements))?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
    }

    fn check_and_test(&self, build_only: bool) -> Result<()> {
        if !build_only {
            step::run("format of the Python packages", cargo().args(["fmt", "--all", "--check"]))?;
            let clippy = ["clippy", "--workspace", "--release", "--", "-D", "warnings"];
            step::run("lints of the Python packages", cargo().args(clippy))?;
        }
        for package in PACKAGES {
            let wheel = self.build(package)?;
            println!("{}", wheel.display());
            if build_only {
                continue;
            }
            let mut install = pip(self.program("test", "python"));
            install.args(["install", "--force-reinstall", "--no-deps"]).arg(&wheel);
            step::run(&format!("installation of {package}"), &mut install)?;
            let mut tests = self.program("test", "python");
            // Not in the package's directory, whose sources would be imported in place of what is installed.
            tests.args(["-m", "pytest", "-q", "-rs"]).arg(directory(package).join("tests"));
            tests.current_dir(&self.directory);
            step::run(&format!("tests of {package}"), &mut tests)?;
        }
        Ok(())
    }

    /// Builds one wheel and returns where it is.
    fn build(&self, package: &str) -> Result<PathBuf> {
        let wheels = self.directory.join("wheels").join(package);
        if wheels.exists() {
            fs::remove_dir_all(&wheels).with_context(|| format!("cannot remove {}", wheels.display()))?;
        }
        let mut maturin = self.program("build", "maturin");
        maturin.args(["build", "--release", "--out"]).arg(&wheels).arg("--manifest-path");
        maturin.arg(directory(package).join("Cargo.toml")).current_dir(workspace::root());
        maturin.env("CARGO_TARGET_DIR", target_directory());
        maturin.arg("--interpreter").arg(self.directory.join("test/bin/python"));
        step::run(&format!("wheel of {package}"), &mut maturin)?;
        let entries = fs::read_dir(&wheels).with_context(|| format!("cannot read {}", wheels.display()))?;
        let wheel = entries.filter_map(Result::ok).map(|entry| entry.path()).next();
        wheel.with_context(|| format!("maturin left no wheel in {}", wheels.display()))
    }
}

/// Where the packages are compiled; not the workspace's own place, so that neither build waits for the other.
fn target_directory() -> PathBuf {
    workspace::target_directory().join("python/target")
}

fn directory(package: &str) -> PathBuf {
    workspace::root().join("python").join(package)
}

fn cargo() -> Command {
    let mut cargo = workspace::cargo();
    cargo.current_dir(workspace::root().join("python")).env("CARGO_TARGET_DIR", target_directory());
    cargo
}

/// pip of this `python`, without what it says of itself.
fn pip(mut python: Command) -> Command {
    python.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]).stdin(Stdio::null());
    python
}

/// The first Python of at least 3.10 that can make environments.
fn find() -> Result<PathBuf> {
    let newest_first = (10..=16).rev().map(|minor| format!("python3.{minor}"));
    let names = ["python3".to_owned(), "python".to_owned()].into_iter().chain(newest_first);
    for name in names {
        let ask = "import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print(sys.executable)";
        let output = Command::new(name).args(["-c", ask]).stdin(Stdio::null()).output();
        if let Ok(output) = output
            && output.status.success()
        {
            return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        }
    }
    bail!("there is no Python of at least 3.10 with venv (Debian and Ubuntu: `apt install python3-venv`)")
}
