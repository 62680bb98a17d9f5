use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::datastore::status;
use crate::{names::Asker, refusal::Refusal, state::SharedState};

/// The network, for clients that send `foreground` and `background`.
pub(super) const DEEPGROW: &str = "sam3d";
/// The network, for clients that send a list of clicks for each label.
pub(super) const DEEPEDIT: &str = "sam3d_deepedit";

/// `GET /info/`
pub(crate) async fn info(State(server): SharedState, asker: Asker) -> Result<Json<Value>, Refusal> {
    let target = &server.config.target;
    let model = |kind: &str, labels: Value| {
        json!({
            "type": kind,
            "labels": labels,
            "dimension": 3,
            "description": "3DSAM-adapter: one click in a CT volume becomes a 3D mask",
            "config": { "threshold": 0.5 },
        })
    };
    Ok(Json(json!({
        "name": "sam3d",
        "description": format!("sam3d: segments what is clicked ({target})"),
        "version": env!("CARGO_PKG_VERSION"),
        "labels": [target],
        "models": {
            DEEPGROW: model("deepgrow", json!({ target: 1 })),
            DEEPEDIT: model("deepedit", json!({ target: 1, "background": 0 })),
        },
        "trainers": {},
        "strategies": { "first": { "description": "The first study without a final label" } },
        "scoring": {},
        "train_stats": {},
        "datastore": status(&server, &asker).await?,
    })))
}
