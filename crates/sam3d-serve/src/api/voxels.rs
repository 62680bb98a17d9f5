use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use ndarray::Axis;
use sam3d_infer::{Image, NativeVoxels};
use serde::Deserialize;

use super::{Asked, ImageQuery, asked};
use crate::{refusal::Refusal, state::SharedState};

/// Which slices of an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoxelQuery {
    study: Option<String>,
    upload: Option<String>,
    series: Option<String>,
    sha256: Option<String>,
    /// The first slice along k, from 0.
    #[serde(default)]
    first: usize,
    /// How many.
    count: Option<usize>,
}

/// `GET /api/voxels`: the voxels of some slices across k, as little-endian numbers of the type that `/api/image` names, i
/// fastest. They come from memory, slice by slice, so that a viewer can show some before it has all.
pub(crate) async fn voxels(
    State(server): SharedState,
    query: Asked<VoxelQuery>,
) -> Result<Response, Refusal> {
    let VoxelQuery { study, upload, series, sha256, first, count } = asked(query)?;
    let image = ImageQuery { study, upload, series, sha256 }.open(&server).await?;
    let [depth, rows, columns] = image.grid().shape_kji();
    let count = count.unwrap_or(depth.saturating_sub(first));
    let end = first.checked_add(count).filter(|end| *end <= depth && count > 0).ok_or_else(|| {
        Refusal::bad_request(format!("slices {first} to {first} + {count}: the image has {depth}"))
    })?;
    let bytes_per_voxel = if value_type(&image) == INT16 { 2 } else { 4 };
    let bytes = count * rows * columns * bytes_per_voxel;
    let slices = stream::iter((first..end).map(move |k| Ok::<_, std::convert::Infallible>(slice(&image, k))));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
    ];
    Ok((headers, Body::from_stream(slices)).into_response())
}

const INT16: &str = "int16";

/// The type of the voxels that are sent.
pub(super) fn value_type(image: &Image) -> &'static str {
    match image.native() {
        Some(NativeVoxels::Whole(_)) => INT16,
        _ => "float32",
    }
}

/// The bytes of the slice `k`.
fn slice(image: &Arc<Image>, k: usize) -> Bytes {
    let mut bytes = Vec::new();
    match image.native() {
        Some(NativeVoxels::Whole(voxels)) => {
            voxels.index_axis(Axis(0), k).iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        }
        Some(NativeVoxels::Real(voxels)) => {
            voxels.index_axis(Axis(0), k).iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        }
        None => {}
    }
    bytes.into()
}
