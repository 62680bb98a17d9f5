//! `sam3d prepare-data`, `dataset-stats`, `fetch-sample` and `fetch-weights`, which `cargo xtask` has as well: [`sam3d_commands`].

use std::path::PathBuf;

use sam3d_commands::Program;

use crate::{
    args::{DatasetStatsArgs, FetchSampleArgs, FetchWeightsArgs, GlobalArgs, PrepareDataArgs},
    output,
};

/// Prepares a dataset and prints what was found.
///
/// # Errors
/// If no case is usable, or a file cannot be read or written.
pub fn prepare(args: &PrepareDataArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    output::emit(&args.shared.run(global.seed.unwrap_or(0), &program(global))?, global.json)
}

/// Prints the intensity statistics of a dataset's target.
///
/// # Errors
/// If the data is not prepared, or a case cannot be read.
pub fn statistics(args: &DatasetStatsArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    output::emit(&args.shared.run(&program(global))?, global.json)
}

/// Puts two CTs to try the program on in place.
///
/// # Errors
/// If they cannot be fetched or written, or are not the published ones.
pub fn fetch_sample(args: &FetchSampleArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    output::emit(&args.shared.run(&program(global))?, global.json)
}

/// Puts SAM's weights in place.
///
/// # Errors
/// If they cannot be fetched or written, or are not the published ones.
pub fn fetch_weights(args: &FetchWeightsArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    output::emit(&args.shared.run(&program(global))?, global.json)
}

/// By default results go below the current directory.
fn program(global: &GlobalArgs) -> Program {
    Program { root: PathBuf::new(), shows_progress: !global.quiet }
}
