//! What the page asks for, under `/api`.

mod ahead;
mod archive;
mod diameters;
mod file;
mod image;
mod label_objects;
mod mask;
mod object;
mod segmentation;
mod studies;
mod voxels;
mod workspace;

pub(crate) use ahead::encode_ahead;
pub(crate) use archive::{archive, store};
pub(crate) use file::{save_label, segmentation};
pub(crate) use image::{as_nifti, image, volume};
pub(crate) use label_objects::{of_file, of_saved};
pub(crate) use mask::mask;
pub(crate) use studies::{remove_upload, state, studies, upload};
pub(crate) use voxels::voxels;
pub(crate) use workspace::{create_workspace, get_workspace, put_workspace};

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

/// Which image a request of the page is about: one of study and upload.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImageQuery {
    study: Option<String>,
    upload: Option<String>,
    /// Series Instance UID, of an upload that holds several series.
    series: Option<String>,
    /// SHA-256 of the image that the page shows, which a file may no longer have that was replaced.
    sha256: Option<String>,
}

impl ImageQuery {
    fn name(&self) -> Result<ImageName, Refusal> {
        let Self { study, upload, series, .. } = self;
        match (study.clone(), upload.clone(), series.clone()) {
            (Some(study), None, None) => Ok(ImageName::Study(study)),
            (None, Some(upload), None) => Ok(ImageName::Upload(upload)),
            (None, Some(upload), Some(uid)) if is_uid(&uid) => Ok(ImageName::Series { upload, uid }),
            (None, Some(_), Some(uid)) => {
                Err(Refusal::bad_request(format!("series {uid:?}: expected a unique identifier of DICOM")))
            }
            _ => Err(Refusal::bad_request("name the image by one of study and upload")),
        }
    }

    /// The study it names.
    fn study(&self) -> Option<&str> {
        self.study.as_deref()
    }

    /// The image, if it is still the one that is shown.
    async fn open(&self, server: &Core) -> Result<Arc<Image>, Refusal> {
        let image = server.open(&self.name()?).await?;
        match &self.sha256 {
            Some(shown) if shown != image.sha256() => Err(Refusal::new(
                StatusCode::CONFLICT,
                "the image has changed since it was opened; choose it again",
            )),
            _ => Ok(image),
        }
    }
}

/// Whether a text has the form of a unique identifier of DICOM, which then may be part of a file's name.
fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
