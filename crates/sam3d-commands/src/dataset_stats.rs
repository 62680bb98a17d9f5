use std::{fmt, path::PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use sam3d_data::{
    dataset::{Case, PreparedDataset, target_statistics},
    progress::{Progress, Stage},
    splits::Part,
};
use serde::Serialize;

use crate::{Program, progress::Bars};

/// Print the intensity statistics of a dataset's target, for its description
#[derive(Debug, Clone, Args)]
pub struct DatasetStatsArgs {
    /// Directory that prepare-data wrote
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Fold whose training cases are read
    #[arg(long, default_value_t = 0, value_name = "N")]
    fold: usize,
}

/// Intensities of the target in the training cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetStatsReport {
    /// The dataset's name.
    pub dataset: String,
    /// Fold whose training cases were read.
    pub fold: usize,
    /// How many cases that were.
    pub cases: usize,
    /// Target voxels in them.
    pub target_voxels: u64,
    /// 0.5 and 99.5 percentiles in HU.
    pub clip_hu: [f64; 2],
    /// Mean in HU.
    pub mean: f64,
    /// Standard deviation in HU.
    pub std: f64,
}

impl fmt::Display for DatasetStatsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# 0.5 and 99.5 percentile, mean and standard deviation of {} target voxels of {} training cases, fold {}.",
            self.target_voxels, self.cases, self.fold
        )?;
        let [low, high] = self.clip_hu;
        writeln!(f, "[preprocessing.intensity]\nclip_hu = [{low:?}, {high:?}]")?;
        writeln!(f, "mean = {:?}\nstd = {:?}", self.mean, self.std)
    }
}

impl DatasetStatsArgs {
    /// Reads the training cases and computes clip range, mean and standard deviation of their target.
    ///
    /// # Errors
    /// If the data is not prepared, has no training cases, or a case cannot be read.
    pub fn run(&self, program: &Program) -> Result<DatasetStatsReport> {
        let prepared = PreparedDataset::open(&self.data)?;
        let cases: Vec<Case> = prepared.part(self.fold, Part::Train)?.into_iter().cloned().collect();
        if cases.is_empty() {
            bail!("{}: fold {} has no training cases", self.data.display(), self.fold);
        }
        let bars = Bars::new(program);
        bars.show(Progress::Begins { stage: Stage::Measuring, done: 0, total: Some(cases.len() as u64) });
        let found = target_statistics(&cases, prepared.dataset.target_class, &|| {
            bars.show(Progress::Advances(1));
        });
        bars.show(Progress::Ends);
        let found = found?;
        Ok(DatasetStatsReport {
            dataset: prepared.dataset.name,
            fold: self.fold,
            cases: cases.len(),
            target_voxels: found.voxels,
            clip_hu: found.intensity.clip_hu(),
            mean: found.intensity.mean(),
            std: found.intensity.std(),
        })
    }
}
