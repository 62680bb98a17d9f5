//! MONAI Label's protocol, byte for byte as its clients send and read it.

use sam3d_io::nrrd;
use serde_json::{Value, json};

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{Reply, Served, expected, volume_of},
};

fn params(more: Value) -> Vec<u8> {
    let mut params = json!({ "threshold": THRESHOLD, "client_id": "user-xyz", "device": "cuda" });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params.to_string().into_bytes()
}

fn infer(served: &Served, query: &str, more: Value) -> Reply {
    served.form("POST", &format!("/infer/sam3d?{query}"), &[("params", None, &params(more))])
}

/// The parts of a multipart answer: header lines and content of each.
fn parts(reply: &Reply) -> Vec<(String, Vec<u8>)> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let boundary = reply.kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let mut rest = reply.body.strip_prefix(format!("--{boundary}\r\n").as_bytes()).unwrap();
    let mut parts = Vec::new();
    loop {
        let head = find(rest, b"\r\n\r\n").unwrap();
        let end = find(rest, format!("\r\n--{boundary}").as_bytes()).unwrap();
        parts.push((String::from_utf8(rest[..head].to_vec()).unwrap(), rest[head + 4..end].to_vec()));
        let after = &rest[end + boundary.len() + 4..];
        if after == b"--\r\n" {
            return parts;
        }
        rest = after.strip_prefix(b"\r\n").unwrap();
    }
}

#[test]
fn info_names_models_as_clients_expect() {
    let served = Served::start();
    for path in ["/info/", "/info"] {
        let info = served.get(path).json();
        assert_eq!(info["labels"], json!(["tumour"]));
        assert_eq!(info["models"]["sam3d"]["type"], "deepgrow");
        assert_eq!(info["models"]["sam3d"]["labels"], json!({ "tumour": 1 }));
        assert_eq!(info["models"]["sam3d_deepedit"]["labels"], json!({ "tumour": 1, "background": 0 }));
        for model in ["sam3d", "sam3d_deepedit"] {
            assert!(
                info["models"][model]["dimension"] == 3 && info["models"][model]["description"].is_string()
            );
            assert!(info["models"][model]["config"].is_object());
        }
        assert_eq!(info["datastore"]["total"], 2);
        // Slicer refuses a server that has this.
        assert!(info.get("config").is_none());
    }
    for path in ["/train/?check_if_running=true", "/auth/", "/scoring/", "/logs/"] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_session_answers_clicks_in_every_form() {
    let served = Served::start();
    let image = std::fs::read(served.studies.join("one.nii.gz")).unwrap();
    let created = served.form(
        "PUT",
        "/session/",
        &[("files", Some("CT chest.nii.gz"), &image), ("client_id", None, b"x")],
    );
    let created = created.json();
    let session = created["session_id"].as_str().unwrap();
    assert_eq!(created["session_info"]["name"], "CT chest.nii.gz");
    assert_eq!(created["session_info"]["expiry"], 3600);
    assert_eq!(served.get(&format!("/session/{session}")).json()["bytes"], image.len());
    assert_eq!(served.get(&format!("/session/{session}?image=true")).body, image);

    let query = format!("image=&session_id={session}");
    let mask = expected(&served.studies.join("one.nii.gz"), BALLS[0], THRESHOLD);
    let deepgrow = json!({ "foreground": [BALLS[0]], "background": [], "label": "lesion 1" });
    let reply = infer(&served, &query, deepgrow.clone());
    let parts = parts(&reply);
    assert_eq!(
        parts[0].0,
        "Content-Disposition: form-data; name=\"params\"\r\nContent-Type: application/json"
    );
    assert_eq!(
        parts[1].0,
        "Content-Disposition: form-data; name=\"image\"; filename=\"mask.nii.gz\"\r\nContent-Type: application/octet-stream"
    );
    let told: Value = serde_json::from_slice(&parts[0].1).unwrap();
    assert_eq!(told["label_names"], json!({ "lesion 1": 1 }));
    assert_eq!(told["voxels"], mask.iter().filter(|value| **value == 1).count());
    let volume = volume_of(&parts[1].1, "mask.nii.gz");
    assert_eq!((volume.data, volume.grid), (mask.mapv(f32::from), bright::grid()));

    // The other model, the other form, one answer each way.
    let deepedit = json!({ "tumour": [BALLS[0]], "background": [], "label": "tumour", "result_extension": ".nrrd",
        "result_dtype": "uint16", "result_compress": false });
    let path = format!("/infer/sam3d_deepedit?{query}&output=image");
    let alone = served.form("POST", &path, &[("params", None, &params(deepedit))]);
    let volume = volume_of(&alone.body, "mask.nrrd");
    assert_eq!((volume.data, volume.value_type), (mask.mapv(f32::from), sam3d_io::ValueType::Uint16));
    let told = infer(&served, &format!("{query}&output=json"), deepgrow).json();
    assert_eq!(told["latencies"]["encoder"], 0.0);

    assert_eq!(served.delete(&format!("/session/{session}")).status, 200);
    for reply in [
        served.get(&format!("/session/{session}")),
        served.delete(&format!("/session/{session}")),
        infer(&served, &query, json!({ "foreground": [BALLS[0]] })),
    ] {
        assert!(reply.status == 404 && reply.detail().contains("expired"), "{reply:?}");
    }
}

#[test]
fn studies_and_files_sent_along_answer_too() {
    let served = Served::start();
    let mask = expected(&served.studies.join("two.nii.gz"), BALLS[1], THRESHOLD);
    let clicks = json!({ "foreground": [BALLS[1]], "background": [] });
    let from_study = parts(&infer(&served, "image=two", clicks.clone()));
    assert_eq!(volume_of(&from_study[1].1, "mask.nii.gz").data, mask.mapv(f32::from));
    // MITK sends the image with every click, and no address for it.
    let image = std::fs::read(served.studies.join("two.nii.gz")).unwrap();
    let form = [("params", None, &params(clicks)[..]), ("file", Some("post_from_mitk.nii.gz"), &image[..])];
    let sent_along = parts(&served.form("POST", "/infer/sam3d", &form));
    assert_eq!(sent_along[1].1, from_study[1].1);
    let told: Value = serde_json::from_slice(&sent_along[0].1).unwrap();
    assert_eq!(told["latencies"]["encoder"], 0.0, "the same content was encoded before");

    let corners =
        json!({ "foreground": [BALLS[1]], "roi": [50, 40, 60, 30, 0, 29], "result_extension": ".seg.nrrd" });
    let cut = parts(&infer(&served, "image=two", corners));
    let directory = tempfile_with(&cut[1].1);
    assert_eq!(nrrd::segments(&directory.1).unwrap()[0].name, "tumour");
    let volume = volume_of(&cut[1].1, "mask.seg.nrrd");
    for ((k, j, i), value) in volume.data.indexed_iter() {
        let inside = (40..=50).contains(&i) && (30..=60).contains(&j);
        assert_eq!(*value, f32::from(if inside { mask[[k, j, i]] } else { 0 }), "{i} {j} {k}");
    }
}

fn tempfile_with(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mask.seg.nrrd");
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

#[test]
fn what_cannot_be_inferred_is_told() {
    let served = Served::start();
    for (path, sent, status, words) in [
        ("/infer/other?image=one", json!({ "foreground": [[1, 2, 3]] }), 404, "sam3d_deepedit"),
        ("/infer/sam3d?image=none", json!({ "foreground": [[1, 2, 3]] }), 404, "none"),
        ("/infer/sam3d?image=..%2Fone", json!({ "foreground": [[1, 2, 3]] }), 404, "no study"),
        ("/infer/sam3d", json!({ "foreground": [[1, 2, 3]] }), 400, "no image"),
        ("/infer/sam3d?image=one", json!({}), 400, "no click"),
        (
            "/infer/sam3d?image=one",
            json!({ "foreground": [[1, 2, 3]], "background": [[4, 5, 6]] }),
            400,
            "negative",
        ),
        ("/infer/sam3d?image=one", json!({ "foreground": [[1, 2, 99]] }), 400, "k from 0 to 29"),
        ("/infer/sam3d?image=one", json!({ "foreground": [[1, 2]] }), 400, "foreground"),
        ("/infer/sam3d?image=one&output=dicom_seg", json!({ "foreground": [[1, 2, 3]] }), 400, "dicom_seg"),
    ] {
        let reply = served.form("POST", path, &[("params", None, sent.to_string().as_bytes())]);
        assert_eq!(reply.status, status, "{path} {sent}: {}", reply.text());
        assert!(reply.detail().contains(words), "{path} {sent}: {}", reply.text());
    }
}

#[test]
fn labels_are_kept_under_names_of_the_server() {
    let served = Served::start();
    assert_eq!(
        served.post("/activelearning/first", &json!({})).json(),
        json!({ "id": "one", "name": "one.nii.gz" })
    );
    let label = served
        .form(
            "POST",
            "/infer/sam3d?image=one&output=image",
            &[("params", None, &params(json!({ "foreground": [BALLS[0]] })))],
        )
        .body;
    let note = br#"{"label_info": [{"name": "tumour", "idx": 1}]}"#;
    let save = |image: &str, tag: &str, name: &str, label: &[u8]| {
        let path = format!("/datastore/label?image={image}&tag={tag}");
        served.form("PUT", &path, &[("params", None, note), ("label", Some(name), label)])
    };
    let saved = save("one", "", "/tmp/abc.nii.gz", &label);
    assert_eq!((saved.status, saved.json()), (200, json!({ "image": "one", "label": "one" })));
    let file = served.studies.join("labels/final/one.nii.gz");
    assert_eq!(std::fs::read(&file).unwrap(), label);
    let beside: Value =
        serde_json::from_slice(&std::fs::read(file.with_file_name("one.json")).unwrap()).unwrap();
    assert_eq!(beside["params"]["label_info"][0]["name"], "tumour");
    assert_eq!(served.get("/datastore/label?label=one&tag=final").body, label);
    let all = served.get("/datastore/?output=all").json();
    assert_eq!(all["objects"]["one"]["labels"]["final"]["ext"], ".nii.gz");
    assert_eq!(served.get("/datastore/?output=train").json(), json!([{ "image": "one", "label": "one" }]));
    assert_eq!(served.get("/datastore/").json()["completed"], 1);
    assert_eq!(served.post("/activelearning/first", &json!({})).json()["id"], "two");
    // The labels are no studies.
    assert_eq!(served.get("/api/studies").json().as_array().unwrap().len(), 2);

    for (reply, status, words) in [
        (save("../two", "final", "a.nii.gz", &label), 404, "no study"),
        (save("one", "../..", "a.nii.gz", &label), 400, "tag"),
        (save("one", "final", "a.png", &label), 415, "a.png"),
        (save("one", "final", "a.nii.gz", b"no volume"), 400, "a.nii.gz"),
        (served.form("PUT", "/datastore/label?image=one", &[("params", None, note)]), 400, "field label"),
        (served.get("/datastore/label?label=two&tag=final"), 404, "no label final"),
    ] {
        assert!(
            reply.status == status && reply.detail().contains(words),
            "{status} {words}: {}",
            reply.text()
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), label);
    let other_format = infer(
        &served,
        "image=one&output=image",
        json!({ "foreground": [BALLS[1]], "result_extension": ".nrrd" }),
    );
    assert_eq!(save("one", "final", "b.nrrd", &other_format.body).status, 200);
    assert!(!file.exists() && file.with_file_name("one.nrrd").exists());
}

/// Whatever several viewers save at once, a label and its note are of one save, and all are told that it went well.
#[test]
fn labels_saved_at_once_stay_with_their_notes() {
    let served = Served::start();
    let formats = [".nii.gz", ".nrrd", ".seg.nrrd", ".nii"];
    let labels: Vec<(String, Vec<u8>)> = (0..8)
        .map(|at| {
            let format = formats[at % 4];
            let more = json!({ "foreground": [BALLS[at / 4]], "result_extension": format });
            (format!("label{format}"), infer(&served, "image=one&output=image", more).body)
        })
        .collect();
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for (at, (name, label)) in labels.iter().enumerate() {
                let served = &served;
                scope.spawn(move || {
                    let params = json!({ "saved_by": at }).to_string();
                    let form = [("params", None, params.as_bytes()), ("label", Some(&name[..]), &label[..])];
                    let saved = served.form("PUT", "/datastore/label?image=one", &form);
                    assert_eq!(saved.status, 200, "{}", saved.text());
                });
            }
        });
        let directory = served.studies.join("labels/final");
        let note = std::fs::read(directory.join("one.json")).unwrap();
        let note: Value = serde_json::from_slice(&note).unwrap();
        let (name, label) = &labels[note["params"]["saved_by"].as_u64().unwrap() as usize];
        assert_eq!(&served.get("/datastore/label?label=one&tag=final").body, label);
        assert_eq!(&std::fs::read(directory.join(name.replace("label", "one"))).unwrap(), label);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    }
}

#[test]
fn only_label_maps_on_the_images_grid_are_saved() {
    let served = Served::start();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, write: &dyn Fn(&std::path::Path)| {
        let path = directory.path().join(name);
        write(&path);
        std::fs::read(path).unwrap()
    };
    let shape = bright::grid().shape_kji();
    let rows = bright::grid().world_from_ijk().rows();
    let mut moved = rows;
    moved[0][3] += 5.0;
    let moved =
        sam3d_io::Grid::from_affine(bright::grid().shape_ijk(), sam3d_geom::Affine::new(moved).unwrap());
    let refuse = sam3d_io::atomic::Overwrite::Refuse;
    let mask = ndarray::Array3::<i16>::ones(shape);
    let elsewhere = file("moved.nii", &|path| {
        sam3d_io::write(path, mask.view(), moved.as_ref().unwrap(), refuse).unwrap();
    });
    let shifted = file("shifted.nii", &|path| {
        let voxels = ndarray::Array3::from_shape_fn(shape, |(k, j, i)| (k * 64 + j + i) as i16);
        sam3d_io::write(path, voxels.view(), &bright::grid(), refuse).unwrap();
    });
    let negative = file("negative.nii", &|path| {
        sam3d_io::write(path, (-&mask).view(), &bright::grid(), refuse).unwrap();
    });
    let probability = file("probability.nii", &|path| {
        sam3d_io::write(path, mask.mapv(|_| 0.5f32).view(), &bright::grid(), refuse).unwrap();
    });
    for (name, label, words) in [
        ("a.nii", &elsewhere, "corners up to 5.00 mm apart"),
        ("ct.nii", &shifted, "different values"),
        ("a.nii", &negative, "0 and above"),
        ("a.nii", &probability, "whole numbers"),
    ] {
        let refused = served.form("PUT", "/datastore/label?image=two", &[("label", Some(name), label)]);
        assert_eq!(refused.status, 400, "{words}: {}", refused.text());
        let detail = refused.detail();
        assert!(detail.contains(words) && !detail.contains("volume.nii"), "{words}: {detail}");
    }
    assert_eq!(served.get("/datastore/label?label=two&tag=final").status, 404);
}

#[test]
fn an_image_sent_to_the_datastore_has_its_clients_name() {
    let served = Served::start();
    let image = std::fs::read(served.studies.join("one.nii.gz")).unwrap();
    let add = |name: &str| {
        let path = format!("/datastore/?image={name}&client_id=user-xyz");
        served.form("PUT", &path, &[("file", Some("x.nii.gz"), &image)])
    };
    assert_eq!(add("..%2Fevil").json(), json!({ "image": "../evil" }));
    assert_eq!(add("one").status, 409);
    assert_eq!(served.get("/datastore/image?image=..%2Fevil").body, image);
    let label = infer(&served, "image=..%2Fevil&output=image", json!({ "foreground": [BALLS[0]] })).body;
    let saved =
        served.form("PUT", "/datastore/label?image=..%2Fevil", &[("label", Some("l.nii.gz"), &label)]);
    assert_eq!(saved.status, 200, "{}", saved.text());
    let names: Vec<String> = std::fs::read_dir(served.studies.join("labels/final"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("upload-")), "{names:?}");
    let without = Served::with(|config| config.labels = None);
    let refused = without.form("PUT", "/datastore/label?image=one", &[("label", Some("l.nii.gz"), &label)]);
    assert!(refused.status == 409 && refused.detail().contains("--labels"), "{}", refused.text());
}

/// A directory of slices is a study, under the name that OHIF gives it if it is called by its Series Instance UID.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn a_dicom_series_is_a_study() {
    let Some(slices) = sam3d_testkit::test_volume("dicom_ct/STS_019_CT/image") else { return };
    let served = Served::start();
    let series = served.studies.join("1.2.826.0.1");
    std::fs::create_dir(&series).unwrap();
    for slice in std::fs::read_dir(&slices).unwrap() {
        let slice = slice.unwrap();
        std::fs::copy(slice.path(), series.join(slice.file_name())).unwrap();
    }
    let expected = sam3d_io::read(&series, sam3d_io::ReadLimits::default()).unwrap();
    let sent = served.get("/datastore/image?image=1.2.826.0.1");
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(volume_of(&sent.body, "image.nii").data, expected.data);
    let click = expected.grid.shape_ijk().map(|size| size / 2);
    let answer =
        infer(&served, "image=1.2.826.0.1&output=image", json!({ "foreground": [click], "threshold": 0.5 }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(volume_of(&answer.body, "mask.nii.gz").grid.shape_ijk(), expected.grid.shape_ijk());
}
