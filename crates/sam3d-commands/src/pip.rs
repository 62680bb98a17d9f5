//! Python's package client, which downloads libtorch and sample data from wherever the user has it configured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use sam3d_geom::sha256_of_file;

/// How pip may be started, first come, first served.
const CANDIDATES: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

/// Takes setuptools' place when pip asks a source archive for its metadata: states them without running anything of the
/// archive.
const BACKEND: &str = r#"import os

NAME, VERSION = "@NAME@", "@VERSION@"


class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, metadata_directory, config_settings=None):
        directory = f"{NAME.replace('-', '_')}-{VERSION}.dist-info"
        os.makedirs(os.path.join(metadata_directory, directory))
        with open(os.path.join(metadata_directory, directory, "METADATA"), "w") as file:
            file.write(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        return directory


__legacy__ = Backend()
get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
"#;

/// pip on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Pip(&'static [&'static str]);

/// A source archive of a package index, pinned.
#[derive(Debug, Clone, Copy)]
pub struct SourceArchive<'a> {
    /// Name in the index; with a build by setuptools.
    pub project: &'a str,
    /// Exact version.
    pub version: &'a str,
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: &'a str,
}

impl Pip {
    /// Looks for pip.
    pub fn find() -> Option<Self> {
        CANDIDATES.into_iter().map(Self).find(|pip| {
            let mut command = pip.command();
            command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    }

    /// A command that runs pip.
    pub fn command(self) -> Command {
        let mut command = Command::new(self.0[0]);
        command.args(&self.0[1..]);
        command
    }

    /// Downloads `archive` into `directory`, without running any of its code, and returns its path.
    ///
    /// pip wants a source archive's metadata even if it only downloads it, and asks the archive's build for them. So that
    /// nothing of the archive runs, the build is replaced by one that states what is known: name and version.
    ///
    /// # Errors
    /// If pip fails, or the archive is not the pinned one.
    pub fn download_source(self, archive: &SourceArchive<'_>, directory: &Path) -> Result<PathBuf> {
        source_with(self.command(), archive, directory)
    }
}

fn source_with(mut pip: Command, archive: &SourceArchive<'_>, directory: &Path) -> Result<PathBuf> {
    let SourceArchive { project, version, sha256 } = archive;
    let backend = directory.join("backend");
    let write = |path: PathBuf, text: &str| {
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    let text = BACKEND.replace("@NAME@", project).replace("@VERSION@", version);
    write(backend.join("setuptools/__init__.py"), "")?;
    write(backend.join("setuptools/build_meta.py"), &text)?;
    let requirements = directory.join("requirements.txt");
    write(requirements.clone(), &format!("{project}=={version} --hash=sha256:{sha256}\n"))?;

    pip.args(["download", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"])
        .args(["--no-binary=:all:", "--no-build-isolation", "--require-hashes", "--quiet", "--dest"])
        .arg(directory)
        .arg("--requirement")
        .arg(&requirements)
        .env("PYTHONPATH", &backend)
        // pip downloads and unpacks in its own temporary directory first, which may be a small one in memory.
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = pip.output().context("cannot start pip")?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        let mut lines = messages.lines().rev().filter(|line| !line.trim().is_empty());
        let reason = lines.next().unwrap_or("no message");
        bail!("pip could not download {project} {version}: {}", reason.trim().trim_start_matches("ERROR: "));
    }
    let name = format!("{}-{version}.tar.gz", project.replace('-', "_"));
    let path = directory.join(&name);
    let found = sha256_of_file(&path).with_context(|| format!("pip downloaded no {name}"))?;
    if found != *sha256 {
        bail!("{name} has SHA-256 {found}, expected {sha256}: it is not the published file");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// A source archive whose build leaves a file behind when it runs.
    fn hostile_archive(directory: &Path, marker: &Path) -> PathBuf {
        let path = directory.join("a_package-1.0.tar.gz");
        let mut archive =
            tar::Builder::new(GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast()));
        let setup = format!("open({marker:?}, 'w').close()\nimport setuptools\nsetuptools.setup()\n");
        for (name, text) in [
            ("PKG-INFO", "Metadata-Version: 2.1\nName: a-package\nVersion: 1.0\n"),
            ("setup.py", &setup),
            ("pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"setuptools.build_meta\"\n"),
            ("data/file", "content"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("a_package-1.0/{name}"), text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        path
    }

    #[test]
    fn a_source_archive_is_downloaded_without_running_its_code() {
        let Some(pip) = Pip::find() else {
            eprintln!("SKIPPED: no pip");
            return;
        };
        let place = tempfile::tempdir().unwrap();
        let (index, marker) = (place.path().join("index"), place.path().join("the_code_ran"));
        fs::create_dir(&index).unwrap();
        let original = hostile_archive(&index, &marker);
        let sha256 = sha256_of_file(&original).unwrap();
        let local = || {
            let mut pip = pip.command();
            pip.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", &index);
            pip
        };
        let archive = SourceArchive { project: "a-package", version: "1.0", sha256: &sha256 };
        let to = |name: &str| {
            let directory = place.path().join(name);
            fs::create_dir(&directory).unwrap();
            directory
        };
        let path = source_with(local(), &archive, &to("right")).unwrap();
        assert_eq!(fs::read(path).unwrap(), fs::read(original).unwrap());
        assert!(!marker.exists());

        let other = SourceArchive { sha256: &"0".repeat(64), ..archive };
        let error = source_with(local(), &other, &to("wrong")).unwrap_err().to_string();
        assert!(error.contains("a-package 1.0"), "{error}");
        assert!(!marker.exists());
    }
}
