//! Where the workspace is, and cargo run inside it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use sam3d_commands::Program;

/// The workspace's root directory.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// How the commands that `sam3d` has as well run here: `data/` and `weights/` are those of the workspace.
pub(crate) fn program() -> Program {
    Program { root: root().to_owned(), shows_progress: true }
}

/// The link to libtorch that `.cargo/config.toml` names.
pub(crate) fn libtorch_link() -> PathBuf {
    root().join(".libtorch")
}

/// The directory of libtorch that is in use, without links: that of `LIBTORCH`, else the linked one.
///
/// # Errors
/// If there is none.
pub(crate) fn libtorch() -> Result<PathBuf> {
    let named = env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(libtorch_link);
    fs::canonicalize(&path).with_context(|| format!("cannot find libtorch at {}", path.display()))
}

/// The directory of build results, as cargo chooses it.
pub(crate) fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that started this task, to be run in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
