use std::path::Path;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use sam3d_io::{Grid, IoError, ReadLimits, atomic::Overwrite, nifti};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::{Asked, ImageQuery, asked};
use crate::{
    images::Located,
    refusal::Refusal,
    state::{Core, SharedState},
};

/// `GET /api/image`: the geometry of a volume, which is prepared on the way.
pub(crate) async fn image(
    State(server): SharedState,
    query: Asked<ImageQuery>,
) -> Result<Json<Value>, Refusal> {
    let located = server.locate(&asked(query)?.name()?).await?;
    let name = located.file_name.clone();
    let image = server.images.open(located).await?;
    let grid = image.grid();
    Ok(Json(json!({
        "name": name,
        "shape_ijk": grid.shape_ijk(),
        "spacing_ijk_mm": grid.spacing_ijk_mm(),
        "world_from_ijk": grid.world_from_ijk().rows(),
    })))
}

/// `GET /api/volume`: the voxels as a plain NIfTI file whose affine says what this program understood, whatever the
/// format of the file, so that a voxel of the viewer is a voxel of the file.
pub(crate) async fn volume(
    State(server): SharedState,
    query: Asked<ImageQuery>,
) -> Result<Response, Refusal> {
    let located = server.locate(&asked(query)?.name()?).await?;
    as_nifti(&server, located).await
}

/// The volume in `located` as a plain NIfTI file.
pub(crate) async fn as_nifti(server: &Core, located: Located) -> Result<Response, Refusal> {
    let place = tempfile::Builder::new().prefix("volume-").tempdir_in(server.uploads.directory());
    let place = place.map_err(|error| Refusal::internal("write the volume", &error))?;
    let limits = server.images.limits();
    let written = {
        let _reading = server.images.reading().await;
        let path = place.path().join("volume.nii");
        let work = move || {
            convert(&located.path, &path, limits)
                .map_err(|error| Refusal::of_volume(&error, &located.path, &located.file_name))?;
            std::fs::File::open(&path).map_err(|error| Refusal::internal("write the volume", &error))
        };
        tokio::task::spawn_blocking(work).await
    };
    let file = written.map_err(|error| Refusal::internal("write the volume", &error))??;
    let bytes = file.metadata().map_err(|error| Refusal::internal("write the volume", &error))?.len();
    // The open file outlives its name: nothing is left over however the transfer ends.
    drop(place);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
    ];
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 16);
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// Writes the volume at `from` to `to`, as int16 if that loses nothing.
fn convert(from: &Path, to: &Path, limits: ReadLimits) -> Result<(), IoError> {
    let volume = sam3d_io::read(from, limits)?;
    let grid = Grid::from_affine(volume.grid.shape_ijk(), *volume.grid.world_from_ijk())?;
    let whole = |value: &f32| value.fract() == 0.0 && (-32768.0..=32767.0).contains(value);
    if volume.data.iter().all(whole) {
        nifti::write_i16(to, volume.data.mapv(|value| value as i16).view(), &grid, Overwrite::Refuse)
    } else {
        nifti::write_f32(to, volume.data.view(), &grid, Overwrite::Refuse)
    }
}
