//! `cargo xtask test`: every check, cheapest first.

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
    Ok(())
}
