use std::path::PathBuf;

use sam3d_geom::GeomError;
use sam3d_io::IoError;
use sam3d_model::ModelError;

use crate::TestTimeAugmentation;

/// Why a session could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// Clicks given together are too far apart: none lies in the crop around their middle.
    #[error(
        "the clicks are {span} resampled voxels apart, more than the crop of {side}; segment the parts separately"
    )]
    ClicksTooFarApart {
        /// Largest side of the clicks' bounding box in resampled voxels.
        span: usize,
        /// Side of the crop in resampled voxels.
        side: usize,
    },
    /// The weights do not understand a prompt, or need one.
    #[error("{0}")]
    PromptRefused(&'static str),
    /// Weights that cannot be averaged with the first ones.
    #[error("{weights}: another {what} than the first weights; only weights of one kind can be averaged")]
    WeightsDiffer {
        /// The file, or the number of the network.
        weights: String,
        /// What differs.
        what: &'static str,
    },
    /// There is no step to undo or to redo.
    #[error("there is no step to {0}")]
    NoStep(&'static str),
    /// The checkpoint contains no preprocessing.
    #[error("{path}: the checkpoint contains no preprocessing", path = path.display())]
    PreprocessingUnknown {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A session log that is invalid.
    #[error("session log: {detail}")]
    LogInvalid {
        /// What is wrong with it.
        detail: String,
    },
    /// A session log of another image or other weights.
    #[error("the session was recorded with {what} of SHA-256 {expected}, not {found}")]
    LogMismatch {
        /// `an image` or `weights`.
        what: &'static str,
        /// SHA-256 in the log.
        expected: String,
        /// SHA-256 of the image or weights in use.
        found: String,
    },
    /// A session log that was recorded with another test-time augmentation.
    #[error("the session was recorded with test-time augmentation {expected}, not {found}")]
    LogAugmentation {
        /// That of the log.
        expected: TestTimeAugmentation,
        /// That of the segmenter.
        found: TestTimeAugmentation,
    },
    /// The network or its checkpoint.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A volume.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A geometry.
    #[error(transparent)]
    Geometry(#[from] GeomError),
    /// An array has an unexpected shape: a bug.
    #[error("internal fault: {0}; please report it")]
    Internal(&'static str),
}
