use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
};
use serde_json::{Value, json, value::RawValue};
use tokio::task::spawn_blocking;

use super::{Sent, sent};
use crate::{refusal::Refusal, state::SharedState, workspaces::Workspace};

/// The revision of a workspace, as a header has it.
type Revision = [(HeaderName, String); 1];

fn revision(number: u64) -> Revision {
    [(header::ETAG, format!("\"{number}\""))]
}

/// `POST /api/workspaces`: keeps what a person does on the page, and names it.
pub(crate) async fn create_workspace(
    State(server): SharedState,
    body: Sent<Box<RawValue>>,
) -> Result<(Revision, Json<Value>), Refusal> {
    let content = sent(body)?;
    let id = blocking(move || server.workspaces.create(content)).await?;
    Ok((revision(1), Json(json!({ "workspace": id }))))
}

/// `GET /api/workspaces/{id}`: what was kept; its revision is the `ETag`.
pub(crate) async fn get_workspace(
    State(server): SharedState,
    Path(id): Path<String>,
) -> Result<(Revision, Json<Box<RawValue>>), Refusal> {
    let Workspace { revision: number, content } = blocking(move || server.workspaces.get(&id)).await?;
    Ok((revision(number), Json(content)))
}

/// `PUT /api/workspaces/{id}` with the revision that was read as `If-Match`.
pub(crate) async fn put_workspace(
    State(server): SharedState,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Sent<Box<RawValue>>,
) -> Result<(Revision, Json<Value>), Refusal> {
    let read =
        headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()?.trim_matches('"').parse().ok());
    let Some(read) = read else {
        let detail = "send the revision that was read as If-Match";
        return Err(Refusal::new(StatusCode::PRECONDITION_REQUIRED, detail));
    };
    let content = sent(body)?;
    let number = blocking(move || server.workspaces.put(&id, read, content)).await?;
    Ok((revision(number), Json(json!({}))))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(|error| Refusal::internal("keep the workspace", &error))?
}
