use std::path::PathBuf;

use sam3d_geom::GeomError;
use sam3d_infer::InferError;
use sam3d_io::{IoError, overlay::OverlayError};
use sam3d_metrics::MetricsError;
use sam3d_model::ModelError;

/// Why an evaluation, or a case of it, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A case has no voxel of the target after resampling.
    #[error("no voxel of the target class is left after resampling")]
    NoTarget,
    /// A setting is not valid.
    #[error("{field} is {found}, expected {expected}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A directory holds an evaluation already.
    #[error("{path} holds an evaluation already", path = path.display())]
    EvaluationExists {
        /// The directory.
        path: PathBuf,
    },
    /// A directory contains an evaluation with other settings.
    #[error("{path}: an evaluation with other settings ({settings})", path = path.display())]
    EvaluationDiffers {
        /// The file with its settings.
        path: PathBuf,
        /// The settings that differ.
        settings: String,
    },
    /// A file of an evaluation is damaged or belongs to another evaluation.
    #[error("{path}: {detail}", path = path.display())]
    EvaluationFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The session.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The network or its checkpoint.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A volume.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A picture of the report.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// A metric.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A geometry.
    #[error(transparent)]
    Geometry(#[from] GeomError),
    /// An array is not of the shape it was made with, or a thread ended unexpectedly: a fault of the program.
    #[error("internal fault: {0}; please report it")]
    Internal(&'static str),
}
