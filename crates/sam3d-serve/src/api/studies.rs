use axum::{
    Json,
    body::Body,
    extract::{Path, State},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Asked, asked};
use sam3d_dicomweb::SeriesRecord;
use sam3d_infer::Accepts;

use crate::{
    archive::ArchiveStudies,
    labels::Tag,
    names::Asker,
    received::receive,
    refusal::{Refusal, sentence},
    room::Purpose,
    series_upload::unpack,
    state::SharedState,
};

/// `GET /api/state`: what the page must know of the server.
pub(crate) async fn state(State(server): SharedState) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "target": server.config.target,
        "has_studies": server.config.studies.is_some(),
        "keeps_labels": server.labels.is_some(),
        "negative_clicks": server.rules.accepts.negative_clicks,
        "negative_refused": Accepts::NO_NEGATIVE_CLICKS,
        "shapes": server.rules.accepts.shapes,
        "shapes_refused": Accepts::NO_SHAPES,
        "encodes_ahead": server.encodes_ahead,
        "most_clicks": server.rules.most,
        "upload_bytes": server.config.limits.upload_bytes,
        "uploads": server.uploads.count(),
        "upload_files": server.uploads.files(),
        "upload_files_bytes": server.uploads.bytes(),
        "waiting": server.model.waiting(),
        "has_archive": server.images.archive().is_some(),
        "fetching": server.images.archive().map(ArchiveStudies::fetching),
    }))
}

#[derive(Serialize)]
pub(crate) struct Listed {
    id: String,
    name: String,
    bytes: u64,
    /// When its label was saved, in seconds since 1970.
    saved: Option<u64>,
    /// Whether it lies in the archive until it is chosen.
    is_archived: bool,
}

impl Listed {
    /// A series of the archive, named by what it is, and by whose it is only if the server shows patients.
    fn of_record(record: &SeriesRecord) -> Self {
        let patient = record.patient.as_ref().map(|patient| {
            format!("{} {} {}, ", patient.name.replace('^', " "), patient.id, patient.study_date)
        });
        let described = [&record.description, &record.study_description];
        let described = described.into_iter().find(|text| !text.is_empty()).map_or("", String::as_str);
        let images = record.instances.map(|count| format!(", {count} images")).unwrap_or_default();
        let patient = patient.unwrap_or_default();
        let name = format!("{patient}{} {described}{images} ({})", record.modality, record.series);
        Self { id: record.series.to_string(), name, bytes: 0, saved: None, is_archived: true }
    }
}

/// `GET /api/studies`: the volumes that are offered.
pub(crate) async fn studies(State(server): SharedState) -> Result<Json<Vec<Listed>>, Refusal> {
    let studies = server.images.listed(&server.config).await?.into_values();
    let archived = match server.images.archive() {
        Some(archive) => archive.listed().await,
        None => Vec::new(),
    };
    let listed = move || {
        let labels = server.labels.as_ref();
        let saved = |id: &str| labels.and_then(|labels| labels.saved_at(id, Tag::Final));
        let listed = studies.map(|study| Listed {
            saved: saved(&study.id),
            id: study.id,
            name: study.file_name,
            bytes: study.bytes,
            is_archived: false,
        });
        let of_archive = archived.iter().map(Listed::of_record);
        let of_archive = of_archive.map(|series| Listed { saved: saved(&series.id), ..series });
        Json(listed.chain(of_archive).collect())
    };
    spawn_blocking(listed).await.map_err(|error| Refusal::internal("look for labels", &error))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    name: String,
    /// How the body is packed; without, it is one file.
    #[serde(default)]
    packing: Packing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Packing {
    #[default]
    None,
    /// The files of a folder.
    Tar,
}

/// `POST /api/uploads?name=`: keeps the body as a volume; with `packing=tar` the files in it, as a DICOM folder, whose series are
/// listed if there are several.
pub(crate) async fn upload(
    State(server): SharedState,
    query: Asked<UploadQuery>,
    asker: Asker,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let UploadQuery { name, packing } = asked(query)?;
    let place = server.uploads.reserve(Purpose::Keep, asker.address())?;
    let broken_off = |error| Refusal::bad_request(format!("the upload broke off: {}", sentence(&error)));
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(broken_off));
    let received = receive(&server, chunks, &name, place, server.config.limits.upload_bytes).await?;
    let (received, series) = match packing {
        Packing::None => (received, Vec::new()),
        Packing::Tar => spawn_blocking(move || unpack(received))
            .await
            .map_err(|error| Refusal::internal("unpack the upload", &error))??,
    };
    let (name, bytes) = (received.name.clone(), received.bytes());
    let id = server.uploads.add(received, None);
    let series: Vec<Value> = series
        .into_iter()
        .map(|series| json!({ "uid": series.uid, "modality": series.modality, "images": series.images }))
        .collect();
    Ok(Json(json!({ "upload": id, "name": name, "bytes": bytes, "series": series })))
}

/// `DELETE /api/uploads/{id}`
pub(crate) async fn remove_upload(
    State(server): SharedState,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    server.uploads.remove(&id)?;
    Ok(Json(json!({})))
}
