use std::{path::Path, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use sam3d_infer::{Image, NativeVoxels};
use sam3d_io::{Grid, IoError, atomic::Overwrite, nifti};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::{Asked, ImageQuery, asked};
use crate::{
    api::voxels::value_type,
    labels::Tag,
    private::PrivateDirectory,
    refusal::Refusal,
    state::{Shared, SharedState},
};

/// `GET /api/image`: the geometry of a volume, which is prepared on the way.
pub(crate) async fn image(
    State(server): SharedState,
    query: Asked<ImageQuery>,
) -> Result<Json<Value>, Refusal> {
    let known = server.images.named(&asked(query)?.name()?, &server.config, &server.uploads).await?;
    let name = known.located.file_name.clone();
    let image = server.images.open(known.located).await?;
    let grid = image.grid();
    let saved = server.labels.as_ref().and_then(|labels| labels.saved_at(&known.stem, Tag::Final));
    Ok(Json(json!({
        "name": name,
        "value_type": value_type(&image),
        "label_saved": saved,
        "sha256": image.sha256(),
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
    let image = asked(query)?.open(&server).await?;
    as_nifti(&server, image).await
}

/// The volume of `image` as a plain NIfTI file.
pub(crate) async fn as_nifti(server: &Shared, image: Arc<Image>) -> Result<Response, Refusal> {
    let shared = Arc::clone(server);
    let work = move || {
        let failed = |error: &dyn std::error::Error| Refusal::internal("write the volume", error);
        let directory = PrivateDirectory::new(shared.uploads.directory(), "volume-");
        let directory = directory.map_err(|error| failed(&error))?;
        let path = directory.path().join("volume.nii");
        write_nifti(&image, &path).map_err(|error| failed(&error))?;
        // The open file outlives its name: nothing is left over however the transfer ends.
        let file = std::fs::File::open(&path).map_err(|error| failed(&error))?;
        let bytes = file.metadata().map_err(|error| failed(&error))?.len();
        Ok::<_, Refusal>((file, bytes))
    };
    let written = tokio::task::spawn_blocking(work).await;
    let (file, bytes) = written.map_err(|error| Refusal::internal("write the volume", &error))??;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
    ];
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 16);
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// Writes the voxels of `image`, as int16 if that loses nothing.
fn write_nifti(image: &Image, to: &Path) -> Result<(), IoError> {
    let grid = Grid::from_affine(image.grid().shape_ijk(), *image.grid().world_from_ijk())?;
    match image.native() {
        Some(NativeVoxels::Whole(voxels)) => nifti::write(to, voxels, &grid, Overwrite::Refuse),
        Some(NativeVoxels::Real(voxels)) => nifti::write(to, voxels, &grid, Overwrite::Refuse),
        None => Err(IoError::ShapeMismatch { expected: image.grid().shape_kji(), found: [0; 3] }),
    }
}
