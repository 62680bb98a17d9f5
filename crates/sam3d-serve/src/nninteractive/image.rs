//! The image of a lease, and the client's mask buffer.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
};
use ndarray::Array3;
use sam3d_geom::{Affine, Preprocessing};
use sam3d_infer::Image;
use sam3d_io::{Grid, IoError, ValueType, Volume};
use sam3d_nnia::{Array, ElementType};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    array::{self, blocking},
    json, lease,
    lease::{Buffer, Sign, Work},
    meta,
};
use crate::{
    names::Asker,
    refusal::{Refusal, sentence},
    state::SharedState,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageMeta {
    image_properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties {
    /// Millimetres between voxels along the array's axes.
    spacing: Option<[f64; 3]>,
}

/// `POST /set_image`: the image, in place of an earlier one, with which everything else is forgotten.
pub(crate) async fn set_image(
    State(server): SharedState,
    headers: HeaderMap,
    asker: Asker,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    // Refused after the body has arrived: a client that is still writing might not read why.
    let unpacked = array::read(&server, &asker, body).await?;
    let ImageMeta { image_properties } = meta(&headers)?;
    if image_properties.spacing.is_none() {
        tracing::info!("an image without spacing: its voxels are taken to be 1 mm apart");
    }
    let spacing = image_properties.spacing.unwrap_or([1.0; 3]);
    let preprocessing = *server.images.preprocessing();
    let (image, shape) = blocking(move || {
        let shape = unpacked.array.shape().to_vec();
        let image = image(&unpacked.array, spacing, &preprocessing)?;
        drop(unpacked);
        Ok((image, shape))
    })
    .await?;
    let mut work = lease.work().await;
    *work = Work { image: Some(Arc::new(image)), autozoom: work.autozoom, ..Work::default() };
    Ok(Json(json!({ "original_image_shape": shape })))
}

/// The image of `array`, `[1, k, j, i]`. Its orientation is unknown: i is taken to run to the patient's left, j to posterior and
/// k to superior, as in a CT of a patient who lies on the back.
fn image(array: &Array, spacing_kji: [f64; 3], preprocessing: &Preprocessing) -> Result<Image, Refusal> {
    let &[channels, k, j, i] = array.shape() else {
        let detail =
            format!("the image has the shape {:?}, expected 4 axes: channel and 3 of space", array.shape());
        return Err(Refusal::bad_request(detail));
    };
    if channels != 1 {
        let detail = format!("the image has {channels} channels; networks here see one");
        return Err(Refusal::bad_request(detail));
    }
    if spacing_kji.iter().any(|mm| !mm.is_finite() || *mm <= 0.0) {
        let detail = format!("spacing {spacing_kji:?}: expected three positive numbers of millimetres");
        return Err(Refusal::bad_request(detail));
    }
    let [sk, sj, si] = spacing_kji;
    let rows = [[-si, 0.0, 0.0, 0.0], [0.0, -sj, 0.0, 0.0], [0.0, 0.0, sk, 0.0]];
    let refused = |error: IoError| match error {
        IoError::TooLarge { .. } | IoError::ResampledTooLarge { .. } => Refusal::too_large(sentence(&error)),
        error => Refusal::bad_request(sentence(&error)),
    };
    let affine = Affine::new(rows).map_err(|error| Refusal::bad_request(sentence(&error)))?;
    let grid = Grid::from_affine([i, j, k], affine).map_err(refused)?;
    let (values, nan_voxels) = array.to_f32().map_err(array::refused)?;
    let data = Array3::from_shape_vec(grid.shape_kji(), values)
        .map_err(|error| Refusal::internal("take the image", &error))?;
    let volume = Volume { data, grid, nan_voxels, value_type: value_type(array.element()), rescale: None };
    let image = Image::new(volume, preprocessing).map_err(refused)?.compact();
    // Here, so that the network's thread need not wait for it.
    image.sha256();
    Ok(image)
}

fn value_type(element: ElementType) -> ValueType {
    match element {
        ElementType::Bool | ElementType::Uint8 => ValueType::Uint8,
        ElementType::Int8 => ValueType::Int8,
        ElementType::Int16 => ValueType::Int16,
        ElementType::Uint16 => ValueType::Uint16,
        ElementType::Int32 => ValueType::Int32,
        ElementType::Uint32 => ValueType::Uint32,
        ElementType::Int64 => ValueType::Int64,
        ElementType::Uint64 => ValueType::Uint64,
        ElementType::Float16 | ElementType::Float32 => ValueType::Float32,
        ElementType::Float64 => ValueType::Float64,
    }
}

#[derive(Debug, Deserialize)]
struct BufferBody {
    shape: [usize; 3],
    dtype: String,
}

/// `POST /set_target_buffer`: shape and type of the client's mask, which is zero; the prompts stay.
pub(crate) async fn set_target_buffer(
    State(server): SharedState,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let BufferBody { shape, dtype } = json(&body)?;
    let element = ElementType::of_name(&dtype).filter(|element| element.is_whole()).ok_or_else(|| {
        Refusal::bad_request(format!("a mask buffer of {dtype:?}: expected bool or a type of whole numbers"))
    })?;
    let mut work = lease.work().await;
    if let Some(image) = &work.image {
        lease::check_shape("the mask buffer", shape, image)?;
    }
    work.buffer = Some(Buffer { element, shape_kji: shape });
    work.now.held = Arc::default();
    Ok(Json(json!({})))
}
