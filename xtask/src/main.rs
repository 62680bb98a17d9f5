//! Tasks of this repository, run as `cargo xtask <task>`: libtorch, demo, checks, and the commands for data that `sam3d`
//! has as well.
//!
//! This crate is built before libtorch is there, so neither it nor anything it depends on may link libtorch.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task reports to the terminal")]

mod bench;
mod demo;
mod dist;
mod performance;
mod python;
mod setup;
mod step;
mod test;
mod workspace;

use std::{fmt, process::ExitCode};

use clap::{Parser, Subcommand};
use sam3d_commands::{DatasetStatsArgs, FetchSampleArgs, FetchWeightsArgs, PrepareDataArgs, hint};
use serde::Serialize;

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
    /// Generate CT phantoms, train on them, evaluate, and segment one of them with one click.
    Demo(demo::DemoArguments),
    /// Run every check: format, lints, documentation, tests.
    Test(test::TestArguments),
    /// Pack the program and its libraries as an archive that runs wherever it is unpacked.
    Dist(dist::DistArguments),
    /// Build the Python packages, install them in an environment of their own and test them there.
    Python(python::PythonArguments),
    /// Run the benches and print one table.
    Bench(bench::BenchArguments),
    /// Measure time and memory of the network against plain PyTorch, layer by layer and as work grows.
    Performance(performance::PerformanceArguments),
    /// Check the cases of a dataset and write its list of cases and its splits.
    PrepareData {
        #[command(flatten)]
        args: PrepareDataArgs,
        /// Seed of the splits, and of generated cases
        #[arg(long, default_value_t = 0, value_name = "N")]
        seed: u64,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Print the intensity statistics of a dataset's target, for its description.
    DatasetStats {
        #[command(flatten)]
        args: DatasetStatsArgs,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Download SAM's weights, from which training starts.
    FetchWeights {
        #[command(flatten)]
        args: FetchWeightsArgs,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Download two lung CTs with outlined lesions, to try the program on.
    FetchSample {
        #[command(flatten)]
        args: FetchSampleArgs,
        #[command(flatten)]
        output: OutputArguments,
    },
}

/// How a result is printed; `sam3d` has it for every command.
#[derive(Debug, Clone, clap::Args)]
struct OutputArguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl OutputArguments {
    fn print<R: Serialize + fmt::Display>(&self, report: &R) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(report)?)
        } else {
            print!("{report}")
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Python(arguments) => python::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Performance(arguments) => performance::run(&arguments),
        Task::PrepareData { args, seed, output } => {
            args.run(seed, &workspace::program()).and_then(|report| output.print(&report))
        }
        Task::DatasetStats { args, output } => {
            args.run(&workspace::program()).and_then(|report| output.print(&report))
        }
        Task::FetchWeights { args, output } => {
            args.run(&workspace::program()).and_then(|report| output.print(&report))
        }
        Task::FetchSample { args, output } => {
            args.run(&workspace::program()).and_then(|report| output.print(&report))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The alternate form puts the whole chain of causes on one line.
            let hint = hint(&error, "cargo xtask").map_or_else(String::new, |hint| format!("; {hint}"));
            eprintln!("error: {error:#}{hint}");
            ExitCode::FAILURE
        }
    }
}
