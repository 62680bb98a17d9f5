use std::sync::Arc;

use axum::{Json, extract::State};
use sam3d_infer::Ahead;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, ImageQuery, Sent, asked, sent};
use crate::{
    prompts::{self, Click},
    refusal::Refusal,
    state::SharedState,
};

/// The clicks of an object, the last of which may come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AheadRequest {
    clicks: Vec<Click>,
}

/// `POST /api/encode-ahead`: encodes the crop that the last click would need, while nobody asks for a mask; answers when that
/// is done. A page that closes the connection takes its request back.
pub(crate) async fn encode_ahead(
    State(server): SharedState,
    query: Asked<ImageQuery>,
    body: Sent<AheadRequest>,
) -> Result<Json<Value>, Refusal> {
    let query = asked(query)?;
    let AheadRequest { clicks } = sent(body)?;
    if !server.encodes_ahead {
        return Err(Refusal::not_found("this server encodes nothing ahead of a click"));
    }
    let image = query.open(&server).await?;
    let prompts = prompts::of_clicks(&clicks, &image, server.rules)?;
    let done = server.model.encode_ahead(Arc::clone(&image), prompts::steps(&prompts)).await?;
    let seconds = match done {
        Ahead::Encoded(time) => {
            server.metrics.encoded(time);
            Some(time.as_secs_f64())
        }
        Ahead::Known | Ahead::Stopped => None,
    };
    Ok(Json(json!({ "encoding_seconds": seconds })))
}
