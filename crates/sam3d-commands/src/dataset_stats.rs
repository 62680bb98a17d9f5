//! `cargo xtask dataset-stats`: the intensity statistics of a dataset's target, to be put into its description.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use sam3d_data::{
    dataset::{Case, PreparedDataset, target_statistics},
    splits::Part,
};
use serde::Serialize;

use crate::progress;

/// Arguments of `cargo xtask dataset-stats`.
#[derive(Debug, Args)]
pub(crate) struct DatasetStatsArguments {
    /// Directory that prepare-data wrote
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Fold whose training cases are read
    #[arg(long, default_value_t = 0, value_name = "N")]
    fold: usize,
    /// JSON instead of the lines of a dataset's description
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    dataset: String,
    fold: usize,
    cases: usize,
    target_voxels: u64,
    clip_hu: [f64; 2],
    mean: f64,
    std: f64,
}

/// Reads the training cases and prints clip range, mean and standard deviation of their target.
///
/// # Errors
/// If the data is not prepared, has no training cases, or a case cannot be read.
pub(crate) fn run(arguments: &DatasetStatsArguments) -> Result<()> {
    let prepared = PreparedDataset::open(&arguments.data)?;
    let cases: Vec<Case> = prepared.part(arguments.fold, Part::Train)?.into_iter().cloned().collect();
    if cases.is_empty() {
        bail!("{}: fold {} has no training cases", arguments.data.display(), arguments.fold);
    }
    let bar = progress::cases(cases.len());
    let found = target_statistics(&cases, prepared.dataset.target_class, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let report = Report {
        dataset: prepared.dataset.name,
        fold: arguments.fold,
        cases: cases.len(),
        target_voxels: found.voxels,
        clip_hu: found.intensity.clip_hu(),
        mean: found.intensity.mean(),
        std: found.intensity.std(),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    println!(
        "# 0.5 and 99.5 percentile, mean and standard deviation of {} target voxels of {} training cases, fold {}.",
        report.target_voxels, report.cases, report.fold
    );
    let [low, high] = report.clip_hu;
    println!(
        "[preprocessing.intensity]\nclip_hu = [{low:?}, {high:?}]\nmean = {:?}\nstd = {:?}",
        report.mean, report.std
    );
    Ok(())
}
