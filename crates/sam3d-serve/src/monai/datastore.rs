use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Multipart, Path, Query, State, multipart::MultipartRejection},
    http::{StatusCode, header},
    response::Response,
};
use serde_json::{Map, Value, json};

use super::{
    Fields, field, labels_missing, required,
    session::{attachment, send_file},
};
use crate::{
    api::as_nifti,
    body,
    images::{self, ImageName, Known},
    labels::Tag,
    refusal::Refusal,
    state::{Core, SharedState},
};

/// The counts that clients show.
pub(super) async fn status(server: &Core) -> Result<Value, Refusal> {
    let images = known(server).await?;
    let tags = Tag::ALL.map(|tag| (tag, count(server, &images, tag)));
    Ok(json!({
        "total": images.len(),
        "completed": tags[0].1,
        "label_tags": tags.iter().map(|(tag, count)| (tag.name(), *count)).collect::<BTreeMap<_, _>>(),
        "train": {},
    }))
}

/// `GET /datastore/`: counts; with `output=all` every image and its labels, with `output=train` those with a final one.
pub(crate) async fn datastore(
    State(server): SharedState,
    Query(fields): Query<Fields>,
) -> Result<Json<Value>, Refusal> {
    let output = field(&fields, "output").unwrap_or("stats");
    if output == "stats" {
        return status(&server).await.map(Json);
    }
    let images = known(&server).await?;
    let label = |image: &Known, tag| Some(server.labels.as_ref()?.find(&image.stem, tag)?.1.ending());
    match output {
        "all" => {
            let objects: Map<String, Value> = images
                .iter()
                .map(|(id, image)| {
                    let labels: Map<String, Value> = Tag::ALL
                        .into_iter()
                        .filter_map(|tag| {
                            Some((tag.name().to_owned(), json!({ "info": {}, "ext": label(image, tag)? })))
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
            let labelled = images.iter().filter(|(_, image)| label(image, Tag::Final).is_some());
            Ok(Json(labelled.map(|(id, _)| json!({ "image": id, "label": id })).collect()))
        }
        other => Err(Refusal::bad_request(format!("output={other}: expected all, stats or train"))),
    }
}

/// `PUT /datastore/?image=`: keeps the form's `file` under the client's name for it until the server stops.
pub(crate) async fn add_image(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Json<Value>, Refusal> {
    let mut form = body::read_form(&server, body::multipart(form)?).await?;
    let received = form
        .take_file("file")
        .ok_or_else(|| Refusal::bad_request("the form has no file in its field file"))?;
    let own = crate::studies::stem(&received.name).unwrap_or(&received.name).to_owned();
    let name = field(&fields, "image").map_or(own, str::to_owned);
    if images::listed(&server.config).await?.contains_key(&name) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            format!("there is a study {name:?} already; choose another name"),
        ));
    }
    let id = server.uploads.add(received, None)?;
    server.images.call(&name, id);
    Ok(Json(json!({ "image": name })))
}

/// `GET /datastore/image?image=`: the file as it is; a DICOM series as NIfTI, since one file is asked for.
pub(crate) async fn image(
    State(server): SharedState,
    Query(fields): Query<Fields>,
) -> Result<Response, Refusal> {
    let located = server.locate(&ImageName::Study(required(&fields, "image")?.to_owned())).await?;
    if !located.path.is_dir() {
        return send_file(&located.path, &located.file_name).await;
    }
    let name = attachment(&located.sent_name());
    let mut response = as_nifti(&server, located).await?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

/// `HEAD /datastore/image?image=`: whether the image is there.
pub(crate) async fn check_image(
    State(server): SharedState,
    Query(fields): Query<Fields>,
) -> Result<(), Refusal> {
    server.locate(&ImageName::Study(required(&fields, "image")?.to_owned())).await.map(drop)
}

/// `GET /datastore/image/info?image=`
pub(crate) async fn image_info(
    State(server): SharedState,
    Query(fields): Query<Fields>,
) -> Result<Json<Value>, Refusal> {
    let located = server.locate(&ImageName::Study(required(&fields, "image")?.to_owned())).await?;
    Ok(Json(json!({ "name": located.sent_name() })))
}

/// `PUT /datastore/label?image=&tag=`: keeps the form's `label` on disk, once it is known to fit its image.
pub(crate) async fn save_label(
    State(server): SharedState,
    Query(fields): Query<Fields>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Json<Value>, Refusal> {
    if server.labels.is_none() {
        return Err(labels_missing());
    }
    let mut form = body::read_form(&server, body::multipart(form)?).await?;
    let received = form
        .take_file("label")
        .ok_or_else(|| Refusal::bad_request("the form has no file in its field label"))?;
    let name = required(&fields, "image")?.to_owned();
    let tag = Tag::of_text(field(&fields, "tag").unwrap_or_default())?;
    let params = match form.text("params") {
        "" => json!({}),
        text => serde_json::from_str(text)
            .map_err(|error| Refusal::bad_request(format!("params is no JSON: {error}")))?,
    };
    let known = known_image(&server, &name).await?;
    let image = server.images.open(known.located).await?;
    let saved = json!({ "image": name, "label": name });
    let work = move || {
        let labels = server.labels.as_ref().ok_or_else(labels_missing)?;
        let limits = server.images.limits();
        labels.save((&known.stem, tag), &received, (&image, limits), (&name, &params))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Refusal::internal("keep the label", &error))??;
    Ok(Json(saved))
}

/// `GET /datastore/label?label=&tag=`: the label of an image.
pub(crate) async fn label(
    State(server): SharedState,
    Query(fields): Query<Fields>,
) -> Result<Response, Refusal> {
    let name = required(&fields, "label")?;
    let tag = Tag::of_text(field(&fields, "tag").unwrap_or_default())?;
    let known = known_image(&server, name).await?;
    let found = server.labels.as_ref().and_then(|labels| labels.find(&known.stem, tag));
    let (path, format) =
        found.ok_or_else(|| Refusal::not_found(format!("{name} has no label {}", tag.name())))?;
    let short = known.stem.rsplit('/').next().unwrap_or_default();
    send_file(&path, &format!("{short}{}", format.ending())).await
}

/// `HEAD /datastore/label?image=&tag=`: whether an image has a label.
pub(crate) async fn check_label(
    State(server): SharedState,
    Query(fields): Query<Fields>,
) -> Result<(), Refusal> {
    let name = field(&fields, "label").map_or_else(|| required(&fields, "image"), Ok)?;
    let tag = Tag::of_text(field(&fields, "tag").unwrap_or_default())?;
    let known = known_image(&server, name).await?;
    let found = server.labels.as_ref().and_then(|labels| labels.find(&known.stem, tag));
    found.map(drop).ok_or_else(|| Refusal::not_found(format!("{name} has no label {}", tag.name())))
}

/// `POST /activelearning/{strategy}`: the first study without a final label; nothing if all have one.
pub(crate) async fn next_sample(
    State(server): SharedState,
    Path(strategy): Path<String>,
) -> Result<Json<Value>, Refusal> {
    if strategy != "first" {
        return Err(Refusal::not_found(format!("there is no strategy {strategy:?}: expected first")));
    }
    let images = known(&server).await?;
    let unlabelled = |image: &Known| {
        server.labels.as_ref().is_none_or(|labels| labels.find(&image.stem, Tag::Final).is_none())
    };
    let next = images.into_iter().find(|(_, image)| unlabelled(image));
    Ok(Json(
        next.map_or_else(|| json!({}), |(id, image)| json!({ "id": id, "name": image.located.sent_name() })),
    ))
}

async fn known(server: &Core) -> Result<BTreeMap<String, Known>, Refusal> {
    server.images.known_names(&server.config, &server.uploads).await
}

async fn known_image(server: &Core, name: &str) -> Result<Known, Refusal> {
    known(server).await?.remove(name).ok_or_else(|| Refusal::not_found(format!("there is no study {name:?}")))
}

fn count(server: &Core, images: &BTreeMap<String, Known>, tag: Tag) -> usize {
    let Some(labels) = &server.labels else { return 0 };
    images.values().filter(|image| labels.find(&image.stem, tag).is_some()).count()
}
