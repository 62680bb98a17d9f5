//! `cargo xtask test`: every check, cheapest first.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{
    setup::{self, SetupArguments},
    step, workspace,
};

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
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step::run("lints", workspace::cargo().args(clippy))?;
    let mut documentation = workspace::cargo();
    documentation.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    step::run("documentation", &mut documentation)?;
    let mut tests = workspace::cargo();
    tests.args(["test", "--workspace"]);
    if arguments.full {
        tests.env("SAM3D_FULL_TESTS", "1");
    }
    step::run("tests", &mut tests)?;
    if arguments.full {
        several_processes()?;
    }
    Ok(())
}

/// The test of training over MPI, which needs a build of its own.
fn several_processes() -> Result<()> {
    let there = |program: &str| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    if !there("mpirun") || !there("mpicc") {
        println!(
            "several processes: skipped, there is no MPI (libopenmpi-dev, openmpi-bin and libclang-dev on Debian)"
        );
        return Ok(());
    }
    let mut tests = workspace::cargo();
    tests.args([
        "test",
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
