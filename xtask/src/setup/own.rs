//! A libtorch of the user's own, named by `LIBTORCH`: its version is checked and it is left alone.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::TORCH_VERSION;

/// The directory in `LIBTORCH`, if the user set it: cargo itself sets the variable to the workspace's `link`, for this
/// program as for every other it runs.
pub(super) fn libtorch_of_user(variable: Option<OsString>, link: &Path) -> Option<PathBuf> {
    variable.filter(|value| !value.is_empty()).map(PathBuf::from).filter(|path| !is_same_entry(path, link))
}

/// Whether both paths name the same entry of the same directory, which may be reached in two ways. The entry itself is
/// not followed: it need not be there.
fn is_same_entry(a: &Path, b: &Path) -> bool {
    let directory = |path: &Path| path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    a == b
        || (a.file_name() == b.file_name() && directory(a).is_some_and(|parent| directory(b) == Some(parent)))
}

/// What is known of the version of the libtorch in `directory`, in words.
///
/// # Errors
/// If it cannot be a libtorch, or is one of another version than tch wants.
pub(super) fn check(directory: &Path) -> Result<String> {
    let shown = directory.display();
    if !directory.is_absolute() {
        bail!(
            "LIBTORCH is the relative path {shown}: make it absolute, since cargo builds in other directories"
        );
    }
    if !directory.join("lib").is_dir() || !directory.join("include").is_dir() {
        bail!(
            "LIBTORCH is {shown}, which has no lib and include: set it to a libtorch {TORCH_VERSION}, or unset it and run `cargo xtask setup`"
        );
    }
    let Some(version) = version_of(directory) else {
        return Ok(format!(
            "version unknown (neither build-version nor version.py), {TORCH_VERSION} is needed"
        ));
    };
    if version.split('+').next() != Some(TORCH_VERSION) {
        bail!(
            "LIBTORCH is {shown}, version {version}; tch needs {TORCH_VERSION}: install that one, or unset LIBTORCH and run `cargo xtask setup`"
        );
    }
    Ok(format!("version {version}"))
}

/// `build-version` lies in the archives from pytorch.org, `version.py` in the Python package.
fn version_of(directory: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(directory.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let candidates = [directory.join("version.py"), directory.join("torch/version.py")];
    let text = candidates.iter().find_map(|path| fs::read_to_string(path).ok())?;
    let line = text.lines().find_map(|line| line.strip_prefix("__version__"))?;
    let quoted = line.split(['\'', '"']).nth(1)?;
    Some(quoted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtorch(file: &str, text: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("lib")).unwrap();
        fs::create_dir(directory.path().join("include")).unwrap();
        fs::write(directory.path().join(file), text).unwrap();
        directory
    }

    #[test]
    fn cargo_own_setting_is_not_the_user() {
        let link = Path::new("/w/.libtorch");
        assert_eq!(libtorch_of_user(Some("/w/.libtorch".into()), link), None);
        assert_eq!(libtorch_of_user(Some("".into()), link), None);
        assert_eq!(libtorch_of_user(None, link), None);
        assert_eq!(libtorch_of_user(Some("/opt/libtorch".into()), link), Some("/opt/libtorch".into()));

        let workspace = tempfile::tempdir().unwrap();
        fs::create_dir(workspace.path().join("xtask")).unwrap();
        let other_way = workspace.path().join("xtask/../.libtorch");
        assert_eq!(libtorch_of_user(Some(other_way.into()), &workspace.path().join(".libtorch")), None);
    }

    #[test]
    fn accepts_the_right_version_only() {
        let python = "from typing import Optional\n__version__ = '2.13.0+cu130'\ndebug = False\n";
        assert_eq!(check(libtorch("version.py", python).path()).unwrap(), "version 2.13.0+cu130");
        assert_eq!(check(libtorch("build-version", "2.13.0+cpu\n").path()).unwrap(), "version 2.13.0+cpu");
        let old = libtorch("build-version", "2.12.1+cpu\n");
        assert!(check(old.path()).unwrap_err().to_string().contains("version 2.12.1+cpu; tch needs 2.13.0"));
        assert!(check(libtorch("readme", "").path()).unwrap().starts_with("version unknown"));
    }

    #[test]
    fn refuses_what_is_no_libtorch() {
        assert!(check(tempfile::tempdir().unwrap().path()).is_err());
        assert!(check(Path::new("libtorch")).unwrap_err().to_string().contains("absolute"));
    }
}
