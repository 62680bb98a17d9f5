use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::{Fields, field};
use crate::{form::Form, refusal::Refusal, room::Purpose, state::SharedState, uploads::UploadInfo};

/// `PUT /session/`: keeps the file of the field `files` for the requests that follow. `expiry` is a number of seconds.
pub(crate) async fn create(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let received = Form::read(&server, request, Purpose::Keep).await?.required_file("files")?;
    let expiry = field(&fields, "expiry").and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
    let id = server.uploads.add(received, expiry.map(Duration::from_secs));
    let info = server.uploads.get(&id, true)?;
    Ok(Json(json!({ "session_id": id, "session_info": described(&info) })))
}

/// `GET /session/{id}`: what is known of it; with `image=true` the file, with `update_ts=true` counted as use.
pub(crate) async fn get(
    State(server): SharedState,
    Path(id): Path<String>,
    Query(fields): Query<Fields>,
) -> Result<Response, Refusal> {
    let is_true = |name| field(&fields, name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let info = server.uploads.get(&id, is_true("update_ts"))?;
    if !is_true("image") {
        return Ok(Json(described(&info)).into_response());
    }
    send_path(&info.path, &info.name).await
}

/// `DELETE /session/{id}`
pub(crate) async fn remove(
    State(server): SharedState,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    server.uploads.remove(&id).map(|info| Json(described(&info)))
}

/// The file at `path`, which the client shall call `name`.
pub(super) async fn send_path(path: &std::path::Path, name: &str) -> Result<Response, Refusal> {
    let gone = |_| Refusal::not_found(format!("{name}: the file is no longer there, or cannot be read"));
    send_file(tokio::fs::File::open(path).await.map_err(gone)?, name).await
}

/// The content of `file`, which the client shall call `name`.
pub(super) async fn send_file(file: tokio::fs::File, name: &str) -> Result<Response, Refusal> {
    let gone = |_| Refusal::not_found(format!("{name}: the file cannot be read"));
    let bytes = file.metadata().await.map_err(gone)?.len();
    let mut response = Body::from_stream(ReaderStream::with_capacity(file, 1 << 16)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(header::CONTENT_DISPOSITION, attachment(name));
    Ok(response)
}

/// A header that gives a download its name; letters that a header cannot carry become underscores.
pub(super) fn attachment(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_graphic() && !"\"\\".contains(letter) || letter == ' ' { letter } else { '_' }
        })
        .collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{plain}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

/// A session, in the words of the protocol. Where the server keeps the file is nobody's business.
fn described(info: &UploadInfo) -> Value {
    json!({
        "name": info.name,
        "image": info.name,
        "path": "",
        "meta": {},
        "bytes": info.bytes,
        "create_ts": info.created,
        "last_access_ts": info.last_used,
        "expiry": info.idle_seconds,
    })
}
