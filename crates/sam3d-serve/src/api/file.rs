use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use sam3d_infer::Image;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{
    Asked, ImageQuery, Sent, asked,
    segmentation::{Object, Overlap, Segmentation},
    sent,
};
use crate::{
    dicom_file::ObjectFormat,
    labels::{Checked, Tag},
    mask_file::MaskFormat,
    monai::labels_missing,
    refusal::Refusal,
    state::{Shared, SharedState},
};

/// A segmentation to download.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRequest {
    format: FileFormat,
    objects: Vec<Object>,
    #[serde(default)]
    overlap: Overlap,
}

/// A volume, or a DICOM object beside its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum FileFormat {
    Volume(MaskFormat),
    Object(ObjectFormat),
}

impl TryFrom<String> for FileFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            ".dcm" => Ok(Self::Object(ObjectFormat::Segmentation)),
            ".labelmap.dcm" => Ok(Self::Object(ObjectFormat::LabelMap)),
            ".rtstruct.dcm" => Ok(Self::Object(ObjectFormat::StructureSet)),
            ending => MaskFormat::of_ending(ending).map(Self::Volume).ok_or_else(|| {
                format!(
                    "format {ending:?}: expected .nii.gz, .nii, .nrrd, .seg.nrrd, .dcm, .labelmap.dcm or .rtstruct.dcm"
                )
            }),
        }
    }
}

impl FileRequest {
    /// Whether it asks for a DICOM object.
    pub(super) fn is_dicom(&self) -> bool {
        matches!(self.format, FileFormat::Object(_))
    }
}

/// `POST /api/segmentation`: a file with all objects, the first with label 1.
pub(crate) async fn segmentation(
    State(server): SharedState,
    query: Asked<ImageQuery>,
    body: Sent<FileRequest>,
) -> Result<Response, Refusal> {
    let bytes = file(&server, &asked(query)?, sent(body)?).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    Ok((headers, bytes).into_response())
}

/// The bytes of the file that `request` asks for.
pub(super) async fn file(
    server: &Shared,
    query: &ImageQuery,
    request: FileRequest,
) -> Result<Bytes, Refusal> {
    let FileRequest { format, objects, overlap } = request;
    let located = server.locate(&query.name()?).await?;
    let image = query.open(server).await?;
    let found = Segmentation::of(objects, server, &image).await?;
    match format {
        FileFormat::Volume(format) => Ok(encoded(found, (format, overlap), server, image).await?.0),
        FileFormat::Object(format) => found.encode_dicom(format, located, (server, &image)).await,
    }
}

/// A segmentation to keep.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaveRequest {
    objects: Vec<Object>,
}

/// `POST /api/label`: keeps all objects as the image's label, in place of an earlier one: a `.seg.nrrd`, with layers if they
/// overlap.
pub(crate) async fn save_label(
    State(server): SharedState,
    query: Asked<ImageQuery>,
    body: Sent<SaveRequest>,
) -> Result<Json<Value>, Refusal> {
    let query = asked(query)?;
    let SaveRequest { objects } = sent(body)?;
    if server.labels.is_none() {
        return Err(labels_missing());
    }
    let known = server.images.named(&query.name()?, &server.config, &server.uploads).await?;
    let image = query.open(&server).await?;
    let found = Segmentation::of(objects, &server, &image).await?;
    let names = found.names();
    let format = MaskFormat::Segmentation;
    let (bytes, _) = encoded(found, (format, Overlap::Keep), &server, image).await?;
    let work = move || {
        let labels = server.labels.as_ref().ok_or_else(labels_missing)?;
        let params = json!({ "objects": names });
        labels.save((&known.stem, Tag::Final), Checked::own(bytes, format), (&known.stem, &params))?;
        Ok(Json(json!({ "objects": names, "saved": labels.saved_at(&known.stem, Tag::Final) })))
    };
    spawn_blocking(work).await.map_err(|error| Refusal::internal("keep the label", &error))?
}

async fn encoded(
    found: Segmentation,
    how: (MaskFormat, Overlap),
    server: &Shared,
    image: Arc<Image>,
) -> Result<(Bytes, Arc<Image>), Refusal> {
    let server = Arc::clone(server);
    let work = move || {
        let bytes = found.encode(how, image.grid(), server.uploads.directory())?;
        Ok((bytes, image))
    };
    spawn_blocking(work).await.map_err(|error| Refusal::internal("encode the mask", &error))?
}
