use axum::{Json, extract::State, http::StatusCode};
use sam3d_dicomweb::{SeriesRecord, SeriesSearch, Uid, sop_instance_uid};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Asked, ImageQuery, Sent, asked,
    file::{self, FileRequest},
    sent,
};
use crate::{
    archive::{ArchiveStudies, MOST_LISTED},
    refusal::Refusal,
    state::{Core, SharedState},
};

/// Which series of the archive are searched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchiveQuery {
    series: Option<String>,
    study: Option<String>,
    modality: Option<String>,
    /// Patient ID, for servers that show patients.
    patient: Option<String>,
    /// Study date or range, for servers that show patients.
    date: Option<String>,
    offset: Option<usize>,
}

/// A series as clients see it: of a patient nothing, unless the server was told to show patients.
pub(crate) fn described(record: &SeriesRecord) -> Value {
    let mut value = json!({
        "study": record.study,
        "series": record.series,
        "modality": record.modality,
        "description": record.description,
        "study_description": record.study_description,
        "instances": record.instances,
    });
    if let Some(patient) = &record.patient {
        value["patient"] = json!({ "name": patient.name, "id": patient.id });
        value["date"] = json!(patient.study_date);
    }
    value
}

/// `GET /api/archive`: the series of the archive, 200 at a time.
pub(crate) async fn archive(
    State(server): SharedState,
    query: Asked<ArchiveQuery>,
) -> Result<Json<Value>, Refusal> {
    let archive = archive_of(&server)?;
    let ArchiveQuery { series, study, modality, patient, date, offset } = asked(query)?;
    if (patient.is_some() || date.is_some()) && !archive.shows_patients() {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "this server does not show patients and dates"));
    }
    let uid = |text: Option<String>| {
        let parsed = text.map(|text| text.parse::<Uid>()).transpose();
        parsed.map_err(|error| Refusal::bad_request(error.to_string()))
    };
    let search = SeriesSearch {
        series: uid(series)?,
        study: uid(study)?,
        modality: modality.or_else(|| Some("CT".to_owned())),
        patient_id: patient,
        study_date: date,
        with_patient: archive.shows_patients(),
        offset: offset.unwrap_or_default(),
        limit: MOST_LISTED,
    };
    let found = archive.search(search).await?;
    Ok(Json(json!({ "series": found.iter().map(described).collect::<Vec<_>>() })))
}

/// `POST /api/archive/store?study=`: the objects as a segmentation or structure set, stored beside the series in the archive.
pub(crate) async fn store(
    State(server): SharedState,
    query: Asked<ImageQuery>,
    body: Sent<FileRequest>,
) -> Result<Json<Value>, Refusal> {
    let archive = archive_of(&server)?;
    let (query, request) = (asked(query)?, sent(body)?);
    let series = archive.series(query.study().unwrap_or_default()).await?;
    if !request.is_dicom() {
        return Err(Refusal::bad_request("an archive stores the formats .dcm and .rtstruct.dcm"));
    }
    let study = series.record().study.clone();
    let file = file::file(&server, &query, request).await?.to_vec();
    let instance = sop_instance_uid(&file).map_err(|error| Refusal::internal("store the object", &error))?;
    let report = archive.store(study, file).await?;
    if report.has_stored(&instance) {
        return Ok(Json(json!({ "stored": instance })));
    }
    let reason = report.failed.first().map_or_else(|| "it gives no reason".to_owned(), ToString::to_string);
    Err(Refusal::new(StatusCode::BAD_GATEWAY, format!("the archive has not stored the object: {reason}")))
}

fn archive_of(server: &Core) -> Result<&ArchiveStudies, Refusal> {
    server.images.archive().ok_or_else(|| Refusal::not_found("this server has no archive"))
}
