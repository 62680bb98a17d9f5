//! A check, before the work, that a result can be written.

use std::path::Path;

use anyhow::{Context, bail};

/// Fails if `path` exists and may not be replaced, or its directory is not writable.
///
/// # Errors
/// A message that names the path and says what to do.
pub fn check_writable(path: &Path, replace: bool) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{} is a directory; name a file", path.display());
    }
    if !replace && path.symlink_metadata().is_ok() {
        bail!("{} exists; use --force to replace it", path.display());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(directory)
        .map(drop)
        .with_context(|| format!("cannot write {}: its directory is missing or not writable", path.display()))
}
