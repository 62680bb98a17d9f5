//! The build that is packed: optimised, without symbols, and without directories of this machine.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{step, workspace};

/// Builds the program and returns where it is.
pub(super) fn program() -> Result<PathBuf> {
    let rust = renamed().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let c = renamed().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()));
    let c = c.collect::<Vec<_>>().join(" ");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--profile", "dist", "--locked", "--package", "sam3d-cli", "--bin", "sam3d"]);
    // One variable with a separator of its own: directories may contain spaces. Those in C's flags may not.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rust.collect::<Vec<_>>().join("\u{1f}"));
    cargo.env("CFLAGS", &c).env("CXXFLAGS", &c).env("SAM3D_RELOCATABLE", "1");
    step::run("build", &mut cargo)?;
    Ok(workspace::target_directory().join("dist/sam3d"))
}

/// Directories of this machine that compilers would write into the program.
pub(super) fn own_directories() -> Vec<PathBuf> {
    renamed().map(|(directory, _)| directory).collect()
}

/// Those directories, and what is written in their place; a later one may lie in an earlier one.
fn renamed() -> impl Iterator<Item = (PathBuf, &'static str)> {
    let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.parent().is_some());
    let of_home = |variable: &str, name: &str| {
        let named = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        named.or_else(|| home.as_deref().map(|home: &Path| home.join(name)))
    };
    let directories = [
        (home.clone(), "/home"),
        (of_home("CARGO_HOME", ".cargo"), "/cargo"),
        (of_home("RUSTUP_HOME", ".rustup"), "/rustup"),
        (Some(workspace::root().to_owned()), "/sam3d"),
    ];
    directories.into_iter().filter_map(|(directory, name)| Some((directory?, name)))
}
