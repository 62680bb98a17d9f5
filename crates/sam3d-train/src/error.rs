use std::path::PathBuf;

use sam3d_data::{crops::CropError, dataset::DatasetError};
use sam3d_geom::GeomError;
use sam3d_io::IoError;
use sam3d_model::ModelError;

/// What can go wrong while training, predicting or evaluating.
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
    #[error("the {split} split of {dataset} has no cases; run `cargo xtask prepare-data` with more cases")]
    SplitEmpty {
        /// The dataset.
        dataset: String,
        /// The split.
        split: &'static str,
    },
    /// A setting does not make sense.
    #[error("{field} is {found}, expected {expected}")]
    Setting {
        /// The setting, as in the configuration file.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The loss or a gradient was no number too often.
    #[error(
        "the loss or a gradient was no number in {skipped} steps, the last in epoch {epoch} at case {cases}; check the \
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
    #[error("{path} holds a run already; go on with --resume or choose another directory")]
    RunExists {
        /// The run directory.
        path: PathBuf,
    },
    /// A file of a run directory is not what it should be.
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
