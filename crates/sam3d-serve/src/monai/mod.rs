//! MONAI Label's protocol, as its clients for Python, 3D Slicer, OHIF and MITK use it.
//!
//! Images are studies or uploads; the network stands in the list of models twice, once for each form in which clients
//! send clicks. What a client may ask of a MONAI Label server and this one has not (training, scoring) is answered with
//! 404, which clients take for "not running".

mod auth;
mod datastore;
mod infer;
mod info;
mod params;
mod session;

pub(crate) use auth::{enabled, token, valid};
pub(crate) use datastore::{
    add_image, check_image, check_label, datastore, image, image_info, label, next_sample, save_label,
};
pub(crate) use infer::infer;
pub(crate) use info::info;
pub(crate) use session::{create, get, remove};

use std::collections::HashMap;

use axum::http::StatusCode;

use crate::{form::Form, refusal::Refusal};

/// Fields of a query. Clients send more of them than are needed here.
pub(crate) type Fields = HashMap<String, String>;

/// The value of a field, if it is there and not empty.
fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// The value of a field that must be there.
fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Refusal> {
    field(fields, name).ok_or_else(|| Refusal::bad_request(format!("the address lacks {name}=...")))
}

/// What a client calls itself: in the query, in the form, or in the form's `params`.
fn client_id(fields: &Fields, form: &Form) -> String {
    let in_params = || {
        let params: serde_json::Value = serde_json::from_str(form.text("params")).ok()?;
        Some(params.get("client_id")?.as_str()?.to_owned())
    };
    let given =
        field(fields, "client_id").or_else(|| Some(form.text("client_id")).filter(|id| !id.is_empty()));
    given.map(str::to_owned).or_else(in_params).unwrap_or_default()
}

/// `GET /train/`: nothing is trained here, so nothing is running.
pub(crate) async fn not_training() -> Refusal {
    Refusal::not_found("no training is running; networks are trained with sam3d train")
}

/// What a label needs if there is no place for it.
pub(crate) fn labels_missing() -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        "this server has no directory for labels: start it with --studies or --labels to keep them",
    )
}
