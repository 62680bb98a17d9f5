use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ndarray::Array3;
use sam3d_infer::Prompt;
use sam3d_io::nrrd::Segment;
use serde::Deserialize;

use super::{
    Asked, ImageQuery, Sent, asked,
    mask::{checked_threshold, mask_sha256},
    sent,
};
use crate::{
    answer,
    mask_file::{self, MaskFormat, MaskType},
    prompts::{self, Click},
    refusal::Refusal,
    state::SharedState,
};

/// A segmentation to download: its objects, of which a later one lies over an earlier one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRequest {
    format: MaskFormat,
    objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    name: String,
    /// Red, green and blue from 0 to 1.
    colour: [f32; 3],
    /// Clicks, or prompts of every kind as the session log has them.
    clicks: Option<Vec<Click>>,
    prompts: Option<Vec<Prompt>>,
    threshold: f64,
    /// What the server said of the mask that is shown.
    mask_sha256: Option<String>,
}

/// `POST /api/segmentation`: a file with all objects, the first with label 1.
///
/// The masks are computed again from what was sent and not taken from the page: what is downloaded is what the
/// network said, voxel for voxel. They must be the masks that were shown, by their hashes.
pub(crate) async fn segmentation(
    State(server): SharedState,
    query: Asked<ImageQuery>,
    body: Sent<FileRequest>,
) -> Result<Response, Refusal> {
    let query = asked(query)?;
    let FileRequest { format, objects } = sent(body)?;
    let image = query.open(&server).await?;
    let mut masks = Vec::new();
    let mut segments = Vec::new();
    for object in objects {
        let label = u8::try_from(segments.len() + 1).map_err(|_| {
            Refusal::bad_request("more than 255 objects do not fit a file of one byte per voxel")
        })?;
        let threshold = checked_threshold(object.threshold)?;
        let prompts = prompts::read(object.clicks, object.prompts, &image, server.rules)?;
        let answer = answer::answer(&server, Arc::clone(&image), &prompts, threshold).await?;
        masks.push((answer.mask, object.mask_sha256));
        segments.push(Segment { name: object.name, label, colour: object.colour });
    }
    if segments.is_empty() {
        return Err(Refusal::bad_request("there is no object with a click yet"));
    }
    let work = move || {
        let mut labels = Array3::<u8>::zeros(image.grid().shape_kji());
        for ((mask, shown), Segment { name, label, .. }) in masks.iter().zip(&segments) {
            if shown.as_ref().is_some_and(|shown| *shown != mask_sha256(mask, image.grid().shape_kji())) {
                let detail = format!("the mask of {name} is no longer the one that is shown; click again");
                return Err(Refusal::new(StatusCode::CONFLICT, detail));
            }
            mask.paint(&mut labels, *label).map_err(|error| Refusal::of_prediction(&error))?;
        }
        let directory = server.uploads.directory();
        mask_file::encode(directory, labels.view(), image.grid(), &segments, (format, MaskType::Uint8))
    };
    let bytes = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Refusal::internal("encode the mask", &error))??;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    Ok((headers, bytes).into_response())
}
