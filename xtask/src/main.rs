//! The project's own tasks, run as `cargo xtask <task>`: libtorch, demo, checks, data.
//!
//! This crate is built before libtorch is there, so neither it nor anything it depends on may link libtorch.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task reports to the terminal")]

mod setup;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the sam3d workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Put libtorch in place and check its version; does nothing when that is done.
    Setup(setup::SetupArguments),
    /// Run every check: format, lints, documentation, tests.
    Test(test::TestArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The alternate form puts the whole chain of causes on one line.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
