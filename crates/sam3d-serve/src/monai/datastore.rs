use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::{
    Fields, client_id, field, labels_missing, required,
    session::{attachment, send_file, send_path},
};
use crate::{
    api::as_nifti,
    form::Form,
    images::{ImageName, Known},
    labels::{Checked, Tag},
    mask_file::MaskFormat,
    names::Asker,
    refusal::Refusal,
    room::Purpose,
    state::{Core, Shared, SharedState},
};

/// The counts that clients show.
pub(super) async fn status(server: &Shared, asker: &Asker) -> Result<Value, Refusal> {
    let images = labelled(server, asker).await?;
    let count = |tag| images.values().filter(|(_, labels)| labels.contains_key(&tag)).count();
    Ok(json!({
        "total": images.len(),
        "completed": count(Tag::Final),
        "label_tags": Tag::ALL.map(|tag| (tag.name(), count(tag))).into_iter().collect::<BTreeMap<_, _>>(),
        "train": {},
    }))
}

/// The images that `asker` can name, with the formats of their labels.
async fn labelled(
    server: &Shared,
    asker: &Asker,
) -> Result<BTreeMap<String, (Known, BTreeMap<Tag, MaskFormat>)>, Refusal> {
    let images = server.images.known_names(&server.config, &server.uploads, asker).await?;
    let server = Arc::clone(server);
    let work = move || {
        let labels = |image: &Known| {
            let found = |tag| Some((tag, server.labels.as_ref()?.find(&image.stem, tag)?));
            Tag::ALL.into_iter().filter_map(found).collect()
        };
        images.into_iter().map(|(name, image)| (name, (image.clone(), labels(&image)))).collect()
    };
    spawn_blocking(work).await.map_err(|error| Refusal::internal("look for labels", &error))
}

/// `GET /datastore/`: counts; with `output=all` every image and its labels, with `output=train` those with a final one.
pub(crate) async fn datastore(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
) -> Result<Json<Value>, Refusal> {
    let asker = asker.with_client(field(&fields, "client_id").unwrap_or_default());
    let output = field(&fields, "output").unwrap_or("stats");
    if output == "stats" {
        return status(&server, &asker).await.map(Json);
    }
    let images = labelled(&server, &asker).await?;
    match output {
        "all" => {
            let objects: Map<String, Value> = images
                .iter()
                .map(|(id, (image, labels))| {
                    let labels: Map<String, Value> = labels
                        .iter()
                        .map(|(tag, format)| {
                            (tag.name().to_owned(), json!({ "info": {}, "ext": format.ending() }))
                        })
                        .collect();
                    let described =
                        json!({ "info": { "name": image.located.sent_name() }, "ext": image.ending });
                    (id.clone(), json!({ "image": described, "labels": labels }))
                })
                .collect();
            Ok(Json(json!({ "name": "sam3d", "description": "", "objects": objects })))
        }
        "train" => {
            let labelled = images.iter().filter(|(_, (_, labels))| labels.contains_key(&Tag::Final));
            Ok(Json(labelled.map(|(id, _)| json!({ "image": id, "label": id })).collect()))
        }
        other => Err(Refusal::bad_request(format!("output={other}: expected all, stats or train"))),
    }
}

/// `PUT /datastore/?image=`: keeps the form's `file` under the client's name for it until the server stops.
pub(crate) async fn add_image(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let mut form = Form::read(&server, request, Purpose::Keep).await?;
    let received = form.required_file("file")?;
    let asker = asker.with_client(&client_id(&fields, &form));
    let own = crate::studies::stem(&received.name).unwrap_or(&received.name).to_owned();
    let name = field(&fields, "image").map_or(own, str::to_owned);
    if server.images.listed(&server.config).await?.contains_key(&name) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            format!("there is a study {name:?} already; choose another name"),
        ));
    }
    let sha256 = received.sha256.clone();
    let id = server.uploads.add(received, None);
    server.images.names.give(&name, &asker, (id, sha256), &server.uploads)?;
    Ok(Json(json!({ "image": name })))
}

/// `GET /datastore/image?image=`: the file as it is; a DICOM series as NIfTI, since one file is asked for.
pub(crate) async fn image(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
) -> Result<Response, Refusal> {
    let located = server.locate(&called(&fields, asker)?).await?;
    if !located.path.is_dir() {
        return send_path(&located.path, &located.file_name).await;
    }
    let name = attachment(&located.sent_name());
    let mut response = as_nifti(&server, server.images.open(located).await?).await?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

/// `HEAD /datastore/image?image=`: whether the image is there.
pub(crate) async fn check_image(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
) -> Result<(), Refusal> {
    server.locate(&called(&fields, asker)?).await.map(drop)
}

/// `GET /datastore/image/info?image=`
pub(crate) async fn image_info(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
) -> Result<Json<Value>, Refusal> {
    let located = server.locate(&called(&fields, asker)?).await?;
    Ok(Json(json!({ "name": located.sent_name() })))
}

/// `PUT /datastore/label?image=&tag=`: keeps the form's `label` on disk, once it is known to fit its image.
pub(crate) async fn save_label(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    if server.labels.is_none() {
        return Err(labels_missing());
    }
    let mut form = Form::read(&server, request, Purpose::Pass).await?;
    let received = form.required_file("label")?;
    let asker = asker.with_client(&client_id(&fields, &form));
    let name = required(&fields, "image")?.to_owned();
    let tag = Tag::of_text(field(&fields, "tag").unwrap_or_default())?;
    let params = match form.text("params") {
        "" => json!({}),
        text => serde_json::from_str(text)
            .map_err(|error| Refusal::bad_request(format!("params is no JSON: {error}")))?,
    };
    let known = known_image(&server, &name, &asker).await?;
    let image = server.images.open(known.located).await?;
    let saved = json!({ "image": name, "label": name });
    // A label is a volume that is read, with the voxels of its image.
    let voxels: usize = image.grid().shape_ijk().iter().product();
    let memory = server.images.memory_of(voxels as u64).await?;
    let work = {
        let server = Arc::clone(&server);
        move || {
            let labels = server.labels.as_ref().ok_or_else(labels_missing)?;
            let checked = Checked::new(&received, &image)?;
            labels.save((&known.stem, tag), checked, (&name, &params))
        }
    };
    spawn_blocking(work).await.map_err(|error| Refusal::internal("keep the label", &error))??;
    drop(memory);
    Ok(Json(saved))
}

/// `GET /datastore/label?label=&tag=`: the label of an image.
pub(crate) async fn label(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
) -> Result<Response, Refusal> {
    let name = required(&fields, "label")?;
    let tag = Tag::of_text(field(&fields, "tag").unwrap_or_default())?;
    let asker = asker.with_client(field(&fields, "client_id").unwrap_or_default());
    let known = known_image(&server, name, &asker).await?;
    let short = known.stem.rsplit('/').next().unwrap_or_default().to_owned();
    let (file, format) = open_label(&server, known.stem, tag, name).await?;
    send_file(file.into(), &format!("{short}{}", format.ending())).await
}

/// `HEAD /datastore/label?image=&tag=`: whether an image has a label.
pub(crate) async fn check_label(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    asker: Asker,
) -> Result<(), Refusal> {
    let name = field(&fields, "label").map_or_else(|| required(&fields, "image"), Ok)?;
    let tag = Tag::of_text(field(&fields, "tag").unwrap_or_default())?;
    let asker = asker.with_client(field(&fields, "client_id").unwrap_or_default());
    let known = known_image(&server, name, &asker).await?;
    open_label(&server, known.stem, tag, name).await.map(drop)
}

/// `POST /activelearning/{strategy}`: the first study without a final label; nothing if all have one.
pub(crate) async fn next_sample(
    State(server): SharedState,
    Path(strategy): Path<String>,
    asker: Asker,
) -> Result<Json<Value>, Refusal> {
    if strategy != "first" {
        return Err(Refusal::not_found(format!("there is no strategy {strategy:?}: expected first")));
    }
    let images = labelled(&server, &asker).await?;
    let next = images.into_iter().find(|(_, (_, labels))| !labels.contains_key(&Tag::Final));
    Ok(Json(next.map_or_else(
        || json!({}),
        |(id, (image, _))| json!({ "id": id, "name": image.located.sent_name() }),
    )))
}

/// The image that a query names.
fn called(fields: &Fields, asker: Asker) -> Result<ImageName, Refusal> {
    let client = client_id(fields, &Form::default());
    Ok(ImageName::Called(required(fields, "image")?.to_owned(), asker.with_client(&client)))
}

/// The label of the image that the client calls `name`.
async fn open_label(
    server: &Shared,
    stem: String,
    tag: Tag,
    name: &str,
) -> Result<(std::fs::File, MaskFormat), Refusal> {
    let server = Arc::clone(server);
    let work = move || server.labels.as_ref().map_or(Ok(None), |labels| labels.open(&stem, tag));
    let failed = |error: &dyn std::error::Error| Refusal::internal("read the label", error);
    let opened = spawn_blocking(work).await.map_err(|error| failed(&error))?;
    let opened = opened.map_err(|error| failed(&error))?;
    opened.ok_or_else(|| Refusal::not_found(format!("{name} has no label {}", tag.name())))
}

async fn known_image(server: &Core, name: &str, asker: &Asker) -> Result<Known, Refusal> {
    server.images.known(name, (&server.config, &server.uploads), asker).await
}
