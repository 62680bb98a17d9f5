use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use ndarray::{Array3, s};
use sam3d_infer::Image;
use sam3d_io::nrrd::Segment;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{
    Fields, client_id, field,
    info::{DEEPEDIT, DEEPGROW},
    params::Params,
};
use crate::{
    answer,
    form::Form,
    images::{ImageName, Located},
    mask_file,
    names::Asker,
    prompts,
    refusal::Refusal,
    room::Purpose,
    state::{Core, SharedState},
};

/// `POST /infer/{model}?image=&session_id=&output=`: the mask for the clicks in the form's `params`.
///
/// The image is a session, a study, or the form's `file`. The answer is multipart with `params` and `image`, JSON alone
/// for `output=json`, the file alone for `output=image`.
pub(crate) async fn infer(
    State(server): SharedState,
    Path(model): Path<String>,
    Query(fields): Query<Fields>,
    asker: Asker,
    request: Request,
) -> Result<Response, Refusal> {
    let start = Instant::now();
    if ![DEEPGROW, DEEPEDIT].contains(&model.as_str()) {
        return Err(Refusal::not_found(format!(
            "there is no model {model:?}: expected {DEEPGROW} or {DEEPEDIT}"
        )));
    }
    let output = Output::of_text(field(&fields, "output"))?;
    // A client without anything to say may send no form at all.
    let names_image = fields.contains_key("image") || fields.contains_key("session_id");
    let mut form = if Form::is_sent(&request) || !names_image {
        Form::read(&server, request, Purpose::Pass).await?
    } else {
        Form::default()
    };
    let asker = asker.with_client(&client_id(&fields, &form));
    let params = Params::parse(form.text("params"), &server.config.target)?;
    let image = image(&server, (&fields, asker), &mut form).await?;
    let prompts = prompts::of_clicks(&params.clicks, &image, server.rules)?;
    let answer = answer::answer(&server, Arc::clone(&image), &prompts, params.threshold).await?;
    let change = answer.answered.change;
    let painting = {
        let (image, roi) = (Arc::clone(&image), params.roi);
        move || {
            let mut mask = Array3::zeros(image.grid().shape_kji());
            answer.mask.paint(&mut mask, 1).map_err(|error| Refusal::of_prediction(&error))?;
            if let Some(roi) = roi {
                keep_inside(&mut mask, roi);
            }
            let voxels = mask.iter().filter(|value| **value != 0).count() as u64;
            Ok::<_, Refusal>((mask, voxels))
        }
    };
    let painted = spawn_blocking(painting).await;
    let (mask, voxels) = painted.map_err(|error| Refusal::internal("paint the mask", &error))??;
    let name = params.label.as_deref().unwrap_or(&server.config.target);
    let seconds = |time: Option<std::time::Duration>| time.map_or(0.0, |time| time.as_secs_f64());
    let result = json!({
        "label": name,
        "label_names": { name: 1 },
        "voxels": voxels,
        "clicks_outside_the_crop": change.map_or(0, |change| change.outside),
        "latencies": {
            "encoder": seconds(change.and_then(|change| change.encoding)),
            "decoder": seconds(change.map(|change| change.decoding)),
            "total": start.elapsed().as_secs_f64(),
        },
    });
    if output == Output::Json {
        return Ok(Json(result).into_response());
    }
    let segment = [Segment::new(name, 1)];
    let kind = (params.format, params.value_type);
    let file_name = format!("mask{}", params.format.ending());
    let work = move || {
        let directory = server.uploads.directory();
        mask_file::encode(directory, mask.view(), image.grid(), &segment, kind)
    };
    let file = spawn_blocking(work).await.map_err(|error| Refusal::internal("encode the mask", &error))??;
    match output {
        Output::Image => Ok(file_alone(file, &file_name)),
        _ => Ok(both(&result, &file, &file_name)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    All,
    Json,
    Image,
}

impl Output {
    fn of_text(text: Option<&str>) -> Result<Self, Refusal> {
        match text {
            None | Some("all") => Ok(Self::All),
            Some("json") => Ok(Self::Json),
            Some("image") => Ok(Self::Image),
            Some(other) => Err(Refusal::bad_request(format!("output={other}: expected all, json or image"))),
        }
    }
}

/// The session's image; else the study's; else the file sent along, which is not kept.
async fn image(
    server: &Core,
    (fields, asker): (&Fields, Asker),
    form: &mut Form,
) -> Result<Arc<Image>, Refusal> {
    if let Some(session) = field(fields, "session_id") {
        return server.open(&ImageName::Upload(session.to_owned())).await;
    }
    if let Some(received) = form.take_file("file")? {
        let located =
            Located { path: received.path(), series: None, file_name: received.name.clone(), kept: None };
        return server.images.open(located).await;
    }
    match field(fields, "image") {
        Some(id) => server.open(&ImageName::Called(id.to_owned(), asker)).await,
        None => Err(no_image()),
    }
}

fn no_image() -> Refusal {
    Refusal::bad_request("no image: name one by image= or session_id=, or send it as the form's field file")
}

/// Clears what lies outside `roi`, the smallest and the largest voxel `[i, j, k]`.
fn keep_inside(mask: &mut Array3<u8>, [low, high]: [[i64; 3]; 2]) {
    let shape = mask.dim();
    let sizes = [shape.2, shape.1, shape.0];
    let range = |axis: usize| {
        let end = (high[axis].saturating_add(1)).clamp(0, sizes[axis] as i64) as usize;
        (low[axis].clamp(0, sizes[axis] as i64) as usize).min(end)..end
    };
    let (i, j, k) = (range(0), range(1), range(2));
    let mut kept = Array3::zeros(shape);
    let inside = s![k, j, i];
    kept.slice_mut(inside).assign(&mask.slice(inside));
    *mask = kept;
}

fn file_alone(mask: Bytes, file_name: &str) -> Response {
    let mut response = mask.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// A multipart reply with the parts in the order, and each with its type last, as MITK's parser wants them.
fn both(result: &Value, mask: &[u8], file_name: &str) -> Response {
    // Long and random: no mask holds it by chance.
    let boundary = format!("sam3d-{:032x}", rand::random::<u128>());
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"params\"\r\nContent-Type: application/json\r\n\r\n\
         {result}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{file_name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(mask);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let mut response = body.into_response();
    if let Ok(kind) = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}")) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roi_keeps_its_inside_only() {
        // Two, three and four voxels along i, j and k.
        let mut mask = Array3::ones([4, 3, 2]);
        keep_inside(&mut mask, [[1, -5, 2], [90, 0, 2]]);
        let kept: Vec<_> = mask.indexed_iter().filter(|(_, value)| **value == 1).map(|(at, _)| at).collect();
        assert_eq!(kept, [(2, 0, 1)]);
        keep_inside(&mut mask, [[7, 7, 7], [9, 9, 9]]);
        assert_eq!(mask.sum(), 0);
    }
}
