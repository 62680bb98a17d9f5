//! Signing in, for clients that know only this way to a bearer token.

use axum::{Form, Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use axum::http::StatusCode;

use crate::{refusal::Refusal, state::SharedState};

/// `GET /auth/`: whether a token is needed; 404 if not, as a client that knows of none expects.
pub(crate) async fn enabled(State(server): SharedState) -> Result<Json<Value>, Refusal> {
    if server.access.needs_token() {
        Ok(Json(json!({ "enabled": true, "client_id": "sam3d", "realm": "" })))
    } else {
        Err(Refusal::not_found("no sign-in is needed"))
    }
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    #[serde(default)]
    password: String,
}

/// `POST /auth/token`: the server's token for a client that gives it as password.
pub(crate) async fn token(
    State(server): SharedState,
    Form(form): Form<SignIn>,
) -> Result<Json<Value>, Refusal> {
    if !server.access.needs_token() {
        return Err(Refusal::not_found("no sign-in is needed"));
    }
    if !server.access.accepts_token(&form.password) {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "the password is the server's token, and this is another",
        ));
    }
    Ok(Json(json!({ "access_token": form.password, "token_type": "bearer" })))
}

/// `GET /auth/token/valid`, which only a request with the token reaches.
pub(crate) async fn valid() -> Json<Value> {
    Json(json!({ "username": "sam3d" }))
}
