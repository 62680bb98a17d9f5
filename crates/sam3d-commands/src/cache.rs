use std::{env, ffi::OsString, path::PathBuf};

use anyhow::{Context, Result};

/// The directory for what can be downloaded again: `$SAM3D_CACHE`, else `sam3d` in the user's cache directory.
///
/// # Errors
/// If no variable names a place for it.
pub fn cache_directory() -> Result<PathBuf> {
    of_variables(|name| env::var_os(name))
}

fn of_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("SAM3D_CACHE")
        // The XDG specification has relative paths ignored.
        .or_else(|| set("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("sam3d")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/sam3d")))
        .context("no place for downloads: set SAM3D_CACHE to a directory with 2 GB of free space")?;
    std::path::absolute(&directory).with_context(|| format!("{}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let variables = variables.to_vec();
        of_variables(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into())).ok()
    }

    #[test]
    fn cache_directory_by_precedence() {
        let home = ("HOME", "/h");
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(cache_with(&[home, xdg, ("SAM3D_CACHE", "/s")]), Some("/s".into()));
        assert_eq!(cache_with(&[home, xdg, ("SAM3D_CACHE", "")]), Some("/x/sam3d".into()));
        assert_eq!(cache_with(&[home, ("XDG_CACHE_HOME", "relative")]), Some("/h/.cache/sam3d".into()));
        assert_eq!(cache_with(&[]), None);
    }
}
