//! `cargo xtask test`: every check, cheapest first.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{
    dist, python,
    setup::{self, SetupArguments},
    step, workspace,
};

/// Members of the workspace that are not for a registry.
const UNPUBLISHED: [&str; 3] = ["xtask", "xtask-start", "sam3d-testkit"];

/// Arguments of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Also run the tests that take minutes: the published model sizes.
    #[arg(long)]
    full: bool,
}

/// Runs setup and then all checks, up to the first that fails.
pub(crate) fn run(arguments: &TestArguments) -> Result<()> {
    setup::run(&SetupArguments::default())?;

    step::run("format", workspace::cargo().args(["fmt", "--all", "--check"]))?;
    let denied = ["--", "-D", "warnings"];
    let clippy = ["clippy", "--locked", "--workspace", "--all-targets"];
    step::run("lints", workspace::cargo().args(clippy).args(denied))?;
    let benches = ["--features", "sam3d-model/bench", "--benches", "-p", "sam3d-model"];
    step::run(
        "lints of the benches",
        workspace::cargo().args(["clippy", "--locked"]).args(benches).args(denied),
    )?;
    fuzz_targets()?;
    licences()?;
    let mut documentation = workspace::cargo();
    documentation.args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    step::run("documentation", &mut documentation)?;
    let mut tests = workspace::cargo();
    tests.args(["test", "--locked", "--workspace"]);
    if arguments.full {
        tests.env("SAM3D_FULL_TESTS", "1");
    }
    step::run("tests", &mut tests)?;
    packages()?;
    dist::trial_of_debug_build()?;
    python::run_if_possible(arguments.full)?;
    if arguments.full {
        publication()?;
        several_processes()?;
    }
    Ok(())
}

/// The fuzz targets, which are a workspace of their own, compile.
fn fuzz_targets() -> Result<()> {
    let mut check = workspace::cargo();
    // No --locked: the crates below have their lock file, and cargo-fuzz keeps one of its own.
    check.args(["check", "--manifest-path"]).arg(workspace::root().join("fuzz/Cargo.toml"));
    step::run("fuzz targets", &mut check)
}

/// Every crate that is to be published can be packed: cargo refuses, for one, dependencies without a version.
fn packages() -> Result<()> {
    let mut package = workspace::cargo();
    package.args(["package", "--locked", "--workspace", "--no-verify", "--allow-dirty", "--quiet"]);
    step::run("packages", package.args(UNPUBLISHED.map(|name| ["--exclude", name]).as_flattened()))
}

/// Every crate that is to be published compiles from what is packed, against the other packed ones; nothing is uploaded.
fn publication() -> Result<()> {
    let mut publish = workspace::cargo();
    publish.args(["publish", "--dry-run", "--locked", "--workspace", "--allow-dirty", "--quiet"]);
    step::run("publication", publish.args(UNPUBLISHED.map(|name| ["--exclude", name]).as_flattened()))
}

/// Licences and advisories of the dependencies, where cargo-deny is installed.
fn licences() -> Result<()> {
    if !is_there("cargo-deny") {
        println!("licences and advisories: skipped, cargo-deny is not installed (cargo install cargo-deny)");
        return Ok(());
    }
    // The advisories' database is fetched over the network by hand: `cargo deny fetch`.
    let checks = ["deny", "--offline", "check", "licenses", "bans", "sources"];
    step::run("licences", workspace::cargo().args(checks))
}

/// Whether a program can be started.
fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The test of training over MPI and its lints, which need a build of their own.
fn several_processes() -> Result<()> {
    if !is_there("mpirun") || !is_there("mpicc") {
        println!(
            "several processes: skipped, there is no MPI (libopenmpi-dev, openmpi-bin and libclang-dev on Debian)"
        );
        return Ok(());
    }
    let lints =
        ["clippy", "--locked", "-p", "sam3d-cli", "--features", "distributed", "--", "-D", "warnings"];
    step::run("lints of several processes", workspace::cargo().args(lints))?;
    let mut tests = workspace::cargo();
    tests.args([
        "test",
        "--locked",
        "-p",
        "sam3d-cli",
        "--features",
        "distributed",
        "--test",
        "cli",
        "--",
        "distributed",
    ]);
    step::run("several processes", &mut tests)
}
