//! `cargo xtask dist`: the program and the libraries it needs as an archive that runs wherever it is unpacked.
//!
//! ```text
//! sam3d-VERSION-x86_64-linux/
//!   bin/sam3d       without symbols; looks for its libraries in ../lib
//!   lib             libtorch for the CPU, and stubs of the two CUDA libraries it is linked to
//!   licenses        of sam3d, libtorch and every crate in the program
//! ```

mod archive;
mod build;
mod check;
mod elf;
mod empty_root;
mod licences;
mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use sam3d_geom::sha256_of_file;

use crate::{
    setup::{self, SetupArguments},
    workspace,
};

/// Arguments of `cargo xtask dist`.
#[derive(Debug, Default, Args)]
pub(crate) struct DistArguments {
    /// Directory for the archive and the tree it is made from [default: dist in the build directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Make no archive: lay out the debug build, unless it is missing, and try it in an empty root.
    #[arg(long)]
    trial: bool,
}

/// Builds, lays out, checks, tries and packs.
pub(crate) fn run(arguments: &DistArguments) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        bail!("an archive can only be made on x86_64 Linux with glibc");
    }
    setup::run(&SetupArguments::default())?;
    let out = arguments.out.clone().unwrap_or_else(|| workspace::target_directory().join("dist-archive"));
    let out = std::path::absolute(&out).with_context(|| format!("{}", out.display()))?;
    let libtorch = workspace::libtorch()?;
    if arguments.trial {
        return trial(&out, &libtorch);
    }

    let program = build::program()?;
    let tree = out.join(name());
    stage::lay_out(&tree, &program, &libtorch, stage::Libraries::Stripped)?;
    licences::collect(&tree.join("licenses"), &libtorch)?;
    check::runs_elsewhere(&tree)?;
    check::runs_on_older_systems(&tree)?;
    check::names_no_directory_of_this_machine(&tree.join("bin/sam3d"), &build::own_directories())?;
    empty_root::prove(&tree, &program, &libtorch)?;
    let archive = archive::pack(&tree)?;
    let bytes = fs::metadata(&archive).with_context(|| format!("cannot read {}", archive.display()))?.len();
    let sha256 = sha256_of_file(&archive).with_context(|| format!("cannot read {}", archive.display()))?;
    println!("{}: {:.1} MB, SHA-256 {sha256}", archive.display(), bytes as f64 / 1e6);
    Ok(())
}

/// Tries the debug build that the tests leave, laid out as an archive is.
pub(crate) fn trial_of_debug_build() -> Result<()> {
    run(&DistArguments { out: None, trial: true })
}

fn trial(out: &Path, libtorch: &Path) -> Result<()> {
    if !empty_root::is_possible() {
        return Ok(());
    }
    let program = workspace::target_directory().join("debug/sam3d");
    if !program.exists() {
        bail!("there is no debug build at {}: run `cargo build` first", program.display());
    }
    let tree = out.join("trial");
    stage::lay_out(&tree, &program, libtorch, stage::Libraries::Linked)?;
    check::runs_elsewhere(&tree)?;
    empty_root::prove(&tree, &program, libtorch)?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))
}

/// Name of the archive and of the directory in it.
fn name() -> String {
    format!("sam3d-{}-x86_64-linux", env!("CARGO_PKG_VERSION"))
}

/// A tree with a program in `bin` that is linked to `lib/libpart.so`, and looks for it in `run_path`.
#[cfg(test)]
fn linked_program(run_path: &str) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    for name in ["bin", "lib"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("part.c"), "int part(void) { return 0; }\n").unwrap();
    fs::write(at("main.c"), "int part(void); int main(void) { return part(); }\n").unwrap();
    let compile = |arguments: &[&str]| {
        let mut compiler = std::process::Command::new("cc");
        assert!(compiler.current_dir(tree.path()).args(arguments).status().unwrap().success());
    };
    compile(&["-shared", "-fPIC", "-Wl,-soname,libpart.so", "-o", "lib/libpart.so", "part.c"]);
    compile(&["-o", "bin/sam3d", "main.c", "lib/libpart.so", &format!("-Wl,-rpath,{run_path}")]);
    tree
}
