//! The `sam3d` program: arguments, logging, and calls to the libraries. Data goes to standard output, everything else to
//! standard error.
//!
//! - [`args`]: command-line arguments, one file per command.
//! - [`commands`]: the commands, one file or directory each.
//! - [`runtime`]: device and threads, for libtorch and rayon together; [`memory`]: available and used memory.
//! - [`waiting`]: how libtorch's threads wait, so that the program takes its fair share of a busy machine.
//! - [`stop`]: handling of Ctrl-C and SIGTERM.
//! - [`measurements`]: measurements of a mask in a file's own voxel indices.
//! - [`output`]: reports as text or JSON, and errors as one line.

pub mod args;
pub mod commands;
pub mod logging;
pub mod measurements;
pub mod memory;
pub mod output;
pub mod runtime;
pub mod stop;
pub mod waiting;

use args::{Cli, Command};

/// Runs a command line.
///
/// # Errors
/// Whatever stops the command; the message names the file and says what to do.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    if cli.global.end_with_parent {
        stop::end_with_parent()?;
    }
    runtime::set_threads(cli.global.threads)?;
    match &cli.command {
        Command::Segment(args) => commands::segment::run(args, &cli.global),
        Command::Serve(args) => commands::serve::run(args, &cli.global),
        Command::PrepareData(args) => commands::data::prepare(args, &cli.global),
        Command::ExportNnunet(args) => commands::data::export_nnunet(args, &cli.global),
        Command::DatasetStats(args) => commands::data::statistics(args, &cli.global),
        Command::Models(args) => commands::models::run(args, &cli.global),
        Command::FetchSample(args) => commands::data::fetch_sample(args, &cli.global),
        Command::FetchWeights(args) => commands::data::fetch_weights(args, &cli.global),
        Command::Train(args) => commands::train::run(args, &cli.global),
        Command::Eval(args) => commands::eval::run(args, &cli.global),
        Command::Study(args) => commands::study::run(args, &cli.global),
        Command::Compare(args) => commands::compare::run(args, &cli.global),
        Command::Convert(args) => commands::convert::run(args, &cli.global),
        Command::ConvertVolume(args) => commands::convert_volume::run(args, &cli.global),
        Command::Metrics(args) => commands::metrics::run(args, &cli.global),
        Command::Measure(args) => commands::measure::run(args, &cli.global),
        Command::Mask(args) => commands::mask::run(args, &cli.global),
        Command::Info(args) => commands::info::run(args, &cli.global),
    }
}

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
