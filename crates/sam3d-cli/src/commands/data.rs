//! `sam3d prepare-data`, `dataset-stats`, `fetch-sample` and `fetch-weights`, which `cargo xtask` has as well: [`sam3d_commands`].

use std::{fmt, path::PathBuf};

use indicatif::ProgressBar;
use sam3d_commands::Program;
use sam3d_data::{dataset::PreparedDataset, nnunet};
use serde::Serialize;

use crate::{
    args::{
        DatasetStatsArgs, ExportNnunetArgs, FetchSampleArgs, FetchWeightsArgs, GlobalArgs, PrepareDataArgs,
    },
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

/// Writes a prepared dataset in nnU-Net's format.
///
/// # Errors
/// If the data is not prepared, a case cannot be read, or a file is in the way.
pub fn export_nnunet(args: &ExportNnunetArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let prepared = PreparedDataset::open(&args.data)?;
    let bar = if global.quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let cases = nnunet::export(&prepared, &args.out, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    output::emit(&Exported { out: args.out.clone(), cases }, global.json)
}

#[derive(Serialize)]
struct Exported {
    out: PathBuf,
    cases: usize,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "written  {} ({} cases)", self.out.display(), self.cases)
    }
}

/// By default results go below the current directory.
fn program(global: &GlobalArgs) -> Program {
    Program { root: PathBuf::new(), shows_progress: !global.quiet }
}
