//! The project's own tasks, run as `cargo xtask <task>`: libtorch, demo, checks, data.
//!
//! This crate is built before libtorch is there, so neither it nor anything it depends on may link libtorch.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task reports to the terminal")]

mod bench;
mod dataset_stats;
mod demo;
mod download;
mod fetch_weights;
mod performance;
mod prepare_data;
mod progress;
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
    /// Generate CT phantoms, train on them, evaluate, and segment one of them with one click.
    Demo(demo::DemoArguments),
    /// Run every check: format, lints, documentation, tests.
    Test(test::TestArguments),
    /// Run the benches and print one table.
    Bench(bench::BenchArguments),
    /// Measure time and memory of the network against plain PyTorch, layer by layer and as work grows.
    Performance(performance::PerformanceArguments),
    /// Check the cases of a dataset and write its list of cases and its splits.
    PrepareData(prepare_data::PrepareDataArguments),
    /// Print the intensity statistics of a dataset's target, for its description.
    DatasetStats(dataset_stats::DatasetStatsArguments),
    /// Download SAM's weights, from which training starts.
    FetchWeights(fetch_weights::FetchWeightsArguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Performance(arguments) => performance::run(&arguments),
        Task::PrepareData(arguments) => prepare_data::run(&arguments),
        Task::DatasetStats(arguments) => dataset_stats::run(&arguments),
        Task::FetchWeights(arguments) => fetch_weights::run(&arguments),
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
