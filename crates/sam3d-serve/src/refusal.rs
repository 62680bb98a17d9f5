//! What a client is told when it does not get what it asked for: a status and a sentence.

use std::{error::Error, path::Path};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sam3d_infer::InferError;
use sam3d_io::IoError;

/// Seconds after which a client may try again.
const RETRY_AFTER_SECONDS: &str = "2";

/// A status and a sentence, sent as `{"detail": "..."}` (the form that MONAI Label's clients show).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// A fault that is not the client's; the cause goes to the log, not to the client.
    pub(crate) fn internal(action: &'static str, cause: &dyn Error) -> Self {
        tracing::error!("cannot {action}: {}", sentence(cause));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the server cannot {action}; its log says why"))
    }

    /// What is wrong with the volume that the client knows as `name` and the server as `path`.
    pub(crate) fn of_volume(error: &IoError, path: &Path, name: &str) -> Self {
        // The client knows its file and what it names beside it, not where the server keeps them.
        let mut detail = sentence(error).replace(&path.display().to_string(), name);
        if let Some(parent) = path.parent().filter(|parent| parent.parent().is_some()) {
            detail = detail.replace(&format!("{}/", parent.display()), "");
        }
        match error.problem() {
            IoError::TooLarge { .. } | IoError::ResampledTooLarge { .. } => Self::too_large(detail),
            IoError::OutOfMemory { .. } => Self::busy(detail),
            _ => Self::bad_request(detail),
        }
    }

    /// Why the network gave no answer.
    pub(crate) fn of_prediction(error: &InferError) -> Self {
        match error {
            InferError::ClicksTooFarApart { .. }
            | InferError::Geometry(_)
            | InferError::PromptRefused(_)
            | InferError::Io(IoError::VoxelOutside { .. }) => Self::bad_request(sentence(error)),
            _ => Self::internal("compute the mask", error),
        }
    }
}

/// The error and its causes, joined by colons, on one line.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace('\n', "; ")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(serde_json::json!({ "detail": self.detail }));
        let mut response = (self.status, body).into_response();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            StatusCode::UNAUTHORIZED => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
    use sam3d_io::{Grid, prepare::Frame};

    use super::*;

    #[test]
    fn a_volume_is_named_as_its_client_knows_it() {
        let path = Path::new("/srv/studies/0b1c.nii");
        let error = IoError::OutOfMemory { voxels: 7 }.of_file(path);
        let refusal = Refusal::of_volume(&error, path, "ct.nii");
        assert_eq!(refusal, Refusal::busy("ct.nii: not enough memory for 7 voxels"));
        let grid = [[9e3, 0.0, 0.0, 0.0], [0.0, 9e3, 0.0, 0.0], [0.0, 0.0, 9e3, 0.0]];
        let grid = Grid::from_affine([8; 3], Affine::new(grid).unwrap()).unwrap();
        let preprocessing = Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        };
        let error = Frame::new(&grid, &preprocessing).unwrap_err();
        let refusal = Refusal::of_volume(&error.of_file(path), path, "ct.nii");
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(refusal.detail.starts_with("ct.nii: resampling 8 x 8 x 8 voxels"), "{}", refusal.detail);
    }
}
