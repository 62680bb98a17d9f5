//! The Python packages that libtorch is taken from: which, and that they are the ones meant.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use sam3d_geom::sha256_of_file;

use super::{
    Flavour,
    platform::{Platform, Wheel},
    tools::Tools,
};

/// The wheel of one fixed Python, whatever Python runs pip.
const FOR_PYTHON: [&str; 7] =
    ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"];

/// Downloads the packages of `flavour` for `platform` into `directory` with pip, and returns the wheels.
///
/// # Errors
/// If pip is missing or fails, or a pinned package is not the one it should be.
pub(super) fn download(
    tools: &Tools,
    platform: &Platform,
    flavour: Flavour,
    directory: &Path,
) -> Result<Vec<PathBuf>> {
    let mut pip = tools.pip()?;
    pip.args(["download", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]).args(FOR_PYTHON);
    pip.args(platform.tags.iter().flat_map(|tag| ["--platform", tag]));
    if flavour == Flavour::Cpu {
        pip.arg("--no-deps");
    }
    pip.arg("--dest").arg(directory);
    pip.args(platform.wheels.iter().map(|wheel| format!("{}=={}", wheel.project, wheel.version)));
    // pip unpacks and downloads in its own temporary directory first, which may be a small one in memory.
    pip.env("TMPDIR", directory).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = pip.spawn().and_then(|child| child.wait_with_output()).context("cannot start pip")?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        let mut lines = messages.lines().rev().filter(|line| !line.trim().is_empty());
        let reason = lines.next().unwrap_or("no message");
        bail!("pip could not download libtorch: {}", reason.trim_start_matches("ERROR: "));
    }
    verify(platform.wheels, directory)?;
    wheels_in(directory)
}

/// Checks that `directory` holds each of `pinned`, with the right contents.
///
/// # Errors
/// For the first that is missing or different.
pub(super) fn verify(pinned: &[Wheel], directory: &Path) -> Result<()> {
    let found = wheels_in(directory)?;
    for wheel in pinned {
        let prefix = format!("{}-{}-", wheel.project.replace('-', "_"), wheel.version);
        let name_matches = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        let path =
            found.iter().find(name_matches).with_context(|| format!("pip downloaded no {prefix}*.whl"))?;
        let sha256 = sha256_of_file(path).with_context(|| format!("cannot read {}", path.display()))?;
        if sha256 != wheel.sha256 {
            bail!(
                "{} has SHA-256 {sha256}, expected {}: it is not the published file, nothing was installed",
                path.display(),
                wheel.sha256
            );
        }
    }
    Ok(())
}

fn wheels_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let mut wheels: Vec<PathBuf> = paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    wheels.sort();
    Ok(wheels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of the bytes `abc`, from FIPS 180-2.
    const ABC: Wheel = Wheel {
        project: "a-package",
        version: "1.0",
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    #[test]
    fn accepts_the_pinned_file_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a_package-1.0-py3-none-any.whl");
        assert!(verify(&[ABC], directory.path()).unwrap_err().to_string().contains("a_package-1.0-*.whl"));
        fs::write(&path, "abc").unwrap();
        verify(&[ABC], directory.path()).unwrap();
        fs::write(&path, "abd").unwrap();
        assert!(verify(&[ABC], directory.path()).unwrap_err().to_string().contains("expected ba7816bf"));
    }
}
