//! The licences of everything in the archive.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace;

/// Copies the licences of sam3d, of libtorch and of every crate in the program into `target`.
///
/// # Errors
/// If one cannot be found or copied.
pub(super) fn collect(target: &Path, libtorch: &Path) -> Result<()> {
    copy_licences(workspace::root(), &target.join("sam3d"))?;
    of_libtorch(&target.join("libtorch"), libtorch)?;
    let manifests = manifests()?;
    let mut without = Vec::new();
    for (crate_name, licence) in crates_in_program()? {
        let Some(manifest) = manifests.get(&crate_name) else { continue };
        let source = manifest.parent().unwrap_or(manifest);
        if copy_licences(source, &target.join("crates").join(&crate_name))? == 0 {
            without.push(format!("{crate_name}: {licence}\n"));
        }
    }
    let list = target.join("crates/licence-files-missing.txt");
    fs::write(&list, without.concat()).with_context(|| format!("cannot write {}", list.display()))
}

/// The packages' licences lie beside the `torch` directory that setup makes.
fn of_libtorch(target: &Path, libtorch: &Path) -> Result<()> {
    let Some(installation) = libtorch.parent() else { bail!("libtorch has no parent directory") };
    let found = fs::read_dir(installation)
        .with_context(|| format!("cannot read {}", installation.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("licenses"))
        .find(|path| path.is_dir() && path.to_string_lossy().contains("/torch-"));
    match found {
        Some(licences) => copy_tree(&licences, target),
        None => bail!("{} has no licences of torch: install libtorch with setup", installation.display()),
    }
}

/// Name, version and licence of every crate in the program.
fn crates_in_program() -> Result<Vec<(String, String)>> {
    let mut tree = workspace::cargo();
    tree.args(["tree", "--locked", "--package", "sam3d-cli", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--format", "{p}\t{l}"]);
    let output = tree.output().context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut crates: Vec<(String, String)> = text.lines().filter_map(named).collect();
    crates.sort();
    crates.dedup();
    Ok(crates)
}

/// `name-version` and licence from a line of `cargo tree`; `None` for a crate of this workspace.
fn named(line: &str) -> Option<(String, String)> {
    let (package, licence) = line.split_once('\t')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    if words.any(|word| word.starts_with("(/")) {
        return None;
    }
    Some((format!("{name}-{version}"), licence.trim_end_matches(" (*)").to_owned()))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// The manifest of every package that cargo knows, by `name-version`.
fn manifests() -> Result<BTreeMap<String, PathBuf>> {
    let mut metadata = workspace::cargo();
    let output = metadata.args(["metadata", "--locked", "--format-version", "1"]).output();
    let output = output.context("cannot start cargo metadata")?;
    let Metadata { packages } = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let by_name = |package: Package| (format!("{}-{}", package.name, package.version), package.manifest_path);
    Ok(packages.into_iter().map(by_name).collect())
}

/// Copies the files of `source` that are licences; returns how many.
fn copy_licences(source: &Path, target: &Path) -> Result<usize> {
    let entries = fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?;
    let mut count = 0;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file()) {
        let Some(name) = path.file_name() else { continue };
        let upper = name.to_string_lossy().to_uppercase();
        if ["LICEN", "COPY", "NOTICE", "UNLICENSE"].iter().any(|start| upper.starts_with(start)) {
            copy(&path, &target.join(name))?;
            count += 1;
        }
    }
    Ok(count)
}

fn copy_tree(source: &Path, target: &Path) -> Result<()> {
    let entries = fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_tree(&path, &target.join(name))?;
        } else {
            copy(&path, &target.join(name))?;
        }
    }
    Ok(())
}

fn copy(file: &Path, target: &Path) -> Result<()> {
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    fs::copy(file, target).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_by_line() {
        let of = |line| named(line).map(|(name, licence)| format!("{name} {licence}"));
        assert_eq!(
            of("serde v1.0.229\tMIT OR Apache-2.0").as_deref(),
            Some("serde-1.0.229 MIT OR Apache-2.0")
        );
        assert_eq!(
            of("serde_derive v1.0.229 (proc-macro)\tMIT (*)").as_deref(),
            Some("serde_derive-1.0.229 MIT")
        );
        assert_eq!(of("sam3d-io v0.1.0 (/src/sam3d/crates/sam3d-io)\tMIT"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn licences_are_found_by_name() {
        let source = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "license.txt", "COPYING", "README.md", "Licence"] {
            fs::write(source.path().join(name), name).unwrap();
        }
        let target = source.path().join("out");
        assert_eq!(copy_licences(source.path(), &target).unwrap(), 4);
        assert!(target.join("COPYING").is_file() && !target.join("README.md").exists());
    }
}
