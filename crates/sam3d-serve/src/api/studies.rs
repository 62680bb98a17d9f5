use axum::{
    Json,
    body::Body,
    extract::{Path, State},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Asked, asked};
use sam3d_infer::Accepts;

use crate::{
    names::Asker, received::receive, refusal::Refusal, refusal::sentence, room::Purpose, state::SharedState,
};

/// `GET /api/state`: what the page must know of the server.
pub(crate) async fn state(State(server): SharedState) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "target": server.config.target,
        "has_studies": server.config.studies.is_some(),
        "negative_clicks": server.rules.accepts.negative_clicks,
        "negative_refused": Accepts::NO_NEGATIVE_CLICKS,
        "shapes": server.rules.accepts.shapes,
        "shapes_refused": Accepts::NO_SHAPES,
        "most_clicks": server.rules.most,
        "upload_bytes": server.config.limits.upload_bytes,
        "uploads": server.uploads.count(),
        "upload_files": server.uploads.files(),
        "upload_files_bytes": server.uploads.bytes(),
        "waiting": server.model.waiting(),
    }))
}

#[derive(Serialize)]
pub(crate) struct Listed {
    id: String,
    name: String,
    bytes: u64,
}

/// `GET /api/studies`: the volumes that are offered.
pub(crate) async fn studies(State(server): SharedState) -> Result<Json<Vec<Listed>>, Refusal> {
    let studies = server.images.listed(&server.config).await?.into_values();
    let listed = studies.map(|study| Listed { id: study.id, name: study.file_name, bytes: study.bytes });
    Ok(Json(listed.collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    name: String,
}

/// `POST /api/uploads?name=`: keeps the body as a volume.
pub(crate) async fn upload(
    State(server): SharedState,
    query: Asked<UploadQuery>,
    asker: Asker,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let name = asked(query)?.name;
    let place = server.uploads.reserve(Purpose::Keep, asker.address())?;
    let broken_off = |error| Refusal::bad_request(format!("the upload broke off: {}", sentence(&error)));
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(broken_off));
    let received = receive(&server, chunks, &name, place, server.config.limits.upload_bytes).await?;
    let (name, bytes) = (received.name.clone(), received.bytes());
    let id = server.uploads.add(received, None);
    Ok(Json(json!({ "upload": id, "name": name, "bytes": bytes })))
}

/// `DELETE /api/uploads/{id}`
pub(crate) async fn remove_upload(
    State(server): SharedState,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    server.uploads.remove(&id)?;
    Ok(Json(json!({})))
}
