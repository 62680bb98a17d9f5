//! What the page asks for, under `/api`.

mod file;
mod image;
mod mask;
mod studies;

pub(crate) use file::segmentation;
pub(crate) use image::{as_nifti, image, volume};
pub(crate) use mask::mask;
pub(crate) use studies::{remove_upload, state, studies, upload};

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Query,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use sam3d_infer::Image;
use serde::Deserialize;

use crate::{images::ImageName, refusal::Refusal, state::Core};

/// A query, or why it cannot be read.
pub(crate) type Asked<T> = Result<Query<T>, QueryRejection>;
/// A JSON body, or why it cannot be read.
pub(crate) type Sent<T> = Result<Json<T>, JsonRejection>;

/// The content of a query.
pub(crate) fn asked<T>(query: Asked<T>) -> Result<T, Refusal> {
    query.map(|Query(query)| query).map_err(|error| Refusal::new(error.status(), error.body_text()))
}

/// The content of a JSON body.
pub(crate) fn sent<T>(body: Sent<T>) -> Result<T, Refusal> {
    body.map(|Json(body)| body).map_err(|error| Refusal::new(error.status(), error.body_text()))
}

/// Which image a request of the page is about: one of both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageQuery {
    study: Option<String>,
    upload: Option<String>,
    /// SHA-256 of the image that the page shows, which a file may no longer have that was replaced.
    sha256: Option<String>,
}

impl ImageQuery {
    fn name(self) -> Result<ImageName, Refusal> {
        match (self.study, self.upload) {
            (Some(study), None) => Ok(ImageName::Study(study)),
            (None, Some(upload)) => Ok(ImageName::Upload(upload)),
            _ => Err(Refusal::bad_request("name the image by one of study and upload")),
        }
    }

    /// The image, if it is still the one that is shown.
    async fn open(self, server: &Core) -> Result<Arc<Image>, Refusal> {
        let shown = self.sha256.clone();
        let image = server.open(&self.name()?).await?;
        match shown {
            Some(shown) if shown != image.sha256() => Err(Refusal::new(
                StatusCode::CONFLICT,
                "the image has changed since it was opened; choose it again",
            )),
            _ => Ok(image),
        }
    }
}
