use std::path::PathBuf;

use sam3d_data::{crops::CropError, dataset::DatasetError};
use sam3d_geom::GeomError;
use sam3d_io::IoError;
use sam3d_model::ModelError;

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A case of a dataset failed.
    #[error("case {case}")]
    Case {
        /// The case.
        case: String,
        /// Why.
        source: Box<TrainError>,
    },
    /// A split has no cases.
    #[error("the {split} split of {dataset} has no cases; prepare the data set with more cases")]
    SplitEmpty {
        /// The dataset.
        dataset: String,
        /// The split.
        split: &'static str,
    },
    /// A setting is invalid.
    #[error("{field} is {found}, expected {expected}")]
    Setting {
        /// The setting, as in the configuration file.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An epoch has fewer crops than a step, and incomplete steps are left out.
    #[error(
        "an epoch has {crops} crops ({cases} cases, {crops_per_case} of each), fewer than the {step} of one step (batches of \
         {batch_size}, {batches} in a step over all processes); raise train.crops_per_case, or lower train.batch_size, \
         train.accumulate or the number of processes"
    )]
    EpochWithoutStep {
        /// Crops of an epoch.
        crops: usize,
        /// Training cases.
        cases: usize,
        /// Crops of each case in an epoch.
        crops_per_case: u64,
        /// Crops of a step.
        step: usize,
        /// Crops of a batch.
        batch_size: usize,
        /// Batches of a step, over all processes.
        batches: usize,
    },
    /// The loss or a gradient was not finite too often.
    #[error(
        "the loss or a gradient was not finite in {skipped} steps, the last in epoch {epoch} at case {cases}; check the \
         cases, lower optimiser.learning_rate, or allow more with train.max_skipped_steps"
    )]
    TooManySkipped {
        /// Steps left out.
        skipped: u64,
        /// The epoch of the last, counted from 0.
        epoch: u64,
        /// The cases of the last.
        cases: String,
    },
    /// Several processes cannot train together.
    #[error("training with several processes: {0}")]
    Distributed(&'static str),
    /// A run directory holds a run already.
    #[error("{path} already holds a run; resume it or choose another directory", path = path.display())]
    RunExists {
        /// The run directory.
        path: PathBuf,
    },
    /// There is no saved run to resume.
    #[error("{path}: not found, so nothing was saved to resume from", path = path.display())]
    NothingToResume {
        /// The file with the run's state.
        path: PathBuf,
    },
    /// Another process trains into a run directory.
    #[error(
        "another process is training into {path}; wait for it or stop it, or choose another directory",
        path = path.display()
    )]
    RunInUse {
        /// The run directory.
        path: PathBuf,
    },
    /// A file of a run directory is damaged or of another kind.
    #[error("{path}: {detail}")]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The network or its checkpoint.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A volume.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A dataset.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A crop of a case.
    #[error(transparent)]
    Crop(#[from] CropError),
    /// A geometry.
    #[error(transparent)]
    Geometry(#[from] GeomError),
    /// A thread of the program ended unexpectedly, or an array is not of the shape it was made with: a fault of the
    /// program.
    #[error("internal fault: {0}; please report it")]
    Internal(&'static str),
}

impl TrainError {
    /// This error, naming the case it happened in.
    pub fn in_case(self, case: &str) -> Self {
        Self::Case { case: case.to_owned(), source: Box::new(self) }
    }
}
