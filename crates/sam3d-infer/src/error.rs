use std::path::PathBuf;

use sam3d_geom::GeomError;
use sam3d_io::IoError;
use sam3d_model::ModelError;

/// Why a session could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// Clicks given together span more than one crop and none lies in its middle.
    #[error(
        "the clicks are {span} resampled voxels apart, more than the crop of {side}; segment the parts one by one"
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
    /// There is no step to undo or to redo.
    #[error("there is no step to {0}")]
    NoStep(&'static str),
    /// The checkpoint does not say how intensities are prepared.
    #[error("{path}: the checkpoint does not say how intensities were preprocessed", path = path.display())]
    PreprocessingUnknown {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A session log that cannot be replayed as it is.
    #[error("session log: {detail}")]
    LogInvalid {
        /// What is wrong with it.
        detail: String,
    },
    /// A session log of another image or of other weights.
    #[error("the session was recorded with {what} of SHA-256 {expected}, found {found}")]
    LogMismatch {
        /// `an image` or `weights`.
        what: &'static str,
        /// SHA-256 in the log.
        expected: String,
        /// SHA-256 of what is there.
        found: String,
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
    /// An array is not of the shape it was made with: a fault of the program.
    #[error("internal fault: {0}; please report it")]
    Internal(&'static str),
}
