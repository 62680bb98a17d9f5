//! nnInteractive's remote protocol, as its clients for 3D Slicer, napari and MITK use it.
//!
//! A client claims a lease, sends one image, describes its mask buffer, and sends prompts; each answer is the box of voxels that
//! changed, which the client pastes into its copy. What belongs to a client is kept with its [lease]: the image, the steps of
//! its session, and the mask that the client holds.
//!
//! # Axes
//! Images come without orientation; their axes are taken as `[k, j, i]` of a file, i to the patient's left, j to posterior,
//! k to superior. Boxes are half-open; numbers may be fractions, which are rounded, half to even.
//!
//! # Statuses
//! Clients take 503 for "no lease is free" and 410 for "the lease is lost", on any route: so a full queue makes them wait, and
//! whatever else is busy is a 500.

mod answer;
mod array;
mod drawn;
mod image;
pub(crate) mod lease;
mod mask;
mod prompts;
mod session;
mod slow;

pub(crate) use image::{set_image, set_target_buffer};
pub(crate) use prompts::{
    add_bbox, add_initial_seg, add_lasso, add_point, add_scribble, predict, reset, set_autozoom, undo,
};
pub(crate) use session::{capabilities, claim, heartbeat, lease_status, log, release};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// The header with a description of what a body cannot say of itself, as JSON.
const META: &str = "x-meta";

/// The content of a JSON body; an empty one counts as `{}`.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) if value.is_object() => {
            serde_json::from_value(value).map_err(|error| Refusal::bad_request(format!("body: {error}")))
        }
        _ => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "the body is not a JSON object")),
    }
}

/// The content of the header `X-Meta`; without it that of `{}`.
fn meta<T: DeserializeOwned>(headers: &HeaderMap) -> Result<T, Refusal> {
    let text = headers.get(META).map_or(Ok("{}"), |value| value.to_str());
    let invalid = |error: &dyn std::error::Error| Refusal::bad_request(format!("X-Meta: {error}"));
    let text = text.map_err(|error| invalid(&error))?;
    serde_json::from_str(text).map_err(|error| invalid(&error))
}

/// What a client left out: it counts as true.
fn yes() -> bool {
    true
}

/// Keeps 503 for what clients understand by it.
pub(crate) async fn never_busy(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().remove(header::RETRY_AFTER);
    }
    response
}
