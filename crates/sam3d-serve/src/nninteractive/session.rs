//! The routes of leases, and what clients ask before they begin.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sam3d_infer::SessionLog;
use serde_json::{Value, json};

use super::lease::Sign;
use crate::{refusal::Refusal, state::SharedState};

/// Seconds after which a client may try again to get a lease.
const RETRY_AFTER_SECONDS: &str = "10";
/// Width of strokes, in voxels along each axis, that clients are to draw.
const SCRIBBLE_THICKNESS: [f64; 3] = [2.0; 3];

/// `POST /claim`: a lease.
pub(crate) async fn claim(State(server): SharedState) -> Response {
    let leases = &server.leases;
    let Some(token) = leases.claim() else {
        let detail = format!("server is at capacity ({} sessions)", leases.most());
        let mut response =
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "detail": detail }))).into_response();
        let after = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, after);
        return response;
    };
    Json(json!({
        "lease_token": token,
        "idle_timeout_seconds": leases.idle.as_secs_f64(),
        "liveness_timeout_seconds": leases.liveness.as_secs_f64(),
        "max_sessions": leases.most(),
    }))
    .into_response()
}

/// `GET /capabilities`: which prompts the weights understand.
pub(crate) async fn capabilities(State(server): SharedState) -> Json<Value> {
    let accepts = server.rules.accepts;
    let shapes = accepts.shapes;
    Json(json!({
        "supported_interactions": {
            "points": accepts.clicks,
            "scribble": shapes,
            "lasso": shapes,
            "bbox2d": shapes,
            "bbox3d": shapes,
        },
        "channel_mapping": {},
        "num_interaction_channels": 0,
        "supports_initial_label": true,
        "supports_zero_shot_label_refinement": shapes,
        "preferred_scribble_thickness": SCRIBBLE_THICKNESS,
        "interaction_decay": null,
        "inference_session_version": env!("CARGO_PKG_VERSION"),
        "license": null,
        "supports_undo": true,
        "do_autozoom": false,
    }))
}

/// `POST /release`: ends the lease, if there is one.
pub(crate) async fn release(State(server): SharedState, headers: HeaderMap) -> Json<Value> {
    server.leases.release(&headers);
    Json(json!({ "released": true }))
}

/// `POST /heartbeat`: a sign of life, also while a prediction runs.
pub(crate) async fn heartbeat(
    State(server): SharedState,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let lease = server.leases.find(&headers, Sign::Life)?;
    let remaining = lease.remaining(server.leases.idle).as_secs_f64();
    Ok(Json(json!({ "remaining_seconds": remaining })))
}

/// `GET /lease_status`: the time that is left.
pub(crate) async fn lease_status(
    State(server): SharedState,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let idle = server.leases.idle;
    let remaining = server.leases.find(&headers, Sign::None)?.remaining(idle).as_secs_f64();
    Ok(Json(json!({ "remaining_seconds": remaining, "idle_timeout_seconds": idle.as_secs_f64() })))
}

/// `GET /session_log`: the log of the session behind the client's mask. It is not part of the protocol.
pub(crate) async fn log(State(server): SharedState, headers: HeaderMap) -> Result<Json<SessionLog>, Refusal> {
    let lease = server.leases.find(&headers, Sign::None)?;
    let work = lease.work().await;
    let log = work.now.log.as_ref().ok_or_else(|| Refusal::not_found("there is no prediction yet"))?;
    Ok(Json(SessionLog::clone(Arc::as_ref(log))))
}
