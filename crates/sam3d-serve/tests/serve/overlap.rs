//! Objects that overlap, as files.

use std::path::PathBuf;

use sam3d_io::{ReadLimits, nrrd};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{Reply, Served, mask_of_runs, volume_of},
};

/// A wide object and a narrow one around the same ball, and one around the other.
fn objects() -> Vec<Value> {
    let object = |name: &str, ball: usize, threshold: f64| {
        json!({
            "name": name, "colour": [1.0, 0.5, 0.0], "threshold": threshold,
            "clicks": [{ "ijk": BALLS[ball] }],
        })
    };
    vec![object("wide", 0, 0.6), object("narrow", 0, THRESHOLD), object("other", 1, THRESHOLD)]
}

fn shown(served: &Served, object: &Value) -> Value {
    let body = json!({ "clicks": object["clicks"], "threshold": object["threshold"] });
    served.post("/api/mask?study=one", &body).last_line()
}

fn file(body: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mask.seg.nrrd");
    std::fs::write(&path, body).unwrap();
    (directory, path)
}

#[test]
fn objects_that_overlap_keep_their_voxels_in_layers() {
    let served = Served::start();
    let masks: Vec<_> = objects().iter().map(|object| mask_of_runs(&shown(&served, object))).collect();
    let common = masks[0].iter().zip(&masks[1]).filter(|(a, b)| **a == 1 && **b == 1).count();
    assert!(common > 0, "the test needs objects that overlap");
    let request = json!({ "format": ".seg.nrrd", "objects": objects() });
    let reply = served.post("/api/segmentation?study=one", &request);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (_directory, path) = file(&reply.body);
    let found = nrrd::read_layers(&path, ReadLimits::default()).unwrap();
    assert_eq!(found.grid.world_from_ijk(), bright::grid().world_from_ijk());
    let places: Vec<_> = found
        .segments
        .iter()
        .map(|segment| (segment.segment.name.as_str(), segment.layer, segment.segment.label))
        .collect();
    assert_eq!(places, [("wide", 0, 1), ("narrow", 1, 2), ("other", 0, 3)]);
    for (mask, segment) in masks.iter().zip(&found.segments) {
        let written = found.layers[segment.layer].mapv(|value| u8::from(value == segment.segment.label));
        assert_eq!(written, mask, "{}", segment.segment.name);
    }
}

#[test]
fn formats_of_one_label_a_voxel_refuse_an_overlap_unless_an_order_is_named() {
    let served = Served::start();
    let masks: Vec<_> = objects().iter().map(|object| mask_of_runs(&shown(&served, object))).collect();
    for format in [".nii.gz", ".nii", ".nrrd"] {
        let request = json!({ "format": format, "objects": objects() });
        let refused = served.post("/api/segmentation?study=one", &request);
        assert_eq!(refused.status, 409, "{format}: {}", refused.text());
        let detail = refused.detail();
        assert!(detail.contains("wide and to narrow") && detail.contains(".seg.nrrd"), "{detail}");
        let apart = json!({ "format": format, "objects": &objects()[1..] });
        assert_eq!(served.post("/api/segmentation?study=one", &apart).status, 200, "{format}");
    }
    for format in [".nii.gz", ".seg.nrrd"] {
        let request = json!({ "format": format, "objects": objects(), "overlap": "later_over_earlier" });
        let reply = served.post("/api/segmentation?study=one", &request);
        let volume = volume_of(&reply.body, &format!("mask{format}"));
        for (at, value) in volume.data.indexed_iter() {
            let label = (0..3).rev().find(|object| masks[*object][at] == 1).map_or(0, |object| object + 1);
            assert_eq!(*value, label as f32, "{format} {at:?}");
        }
    }
}

/// The label of a study: what was shown, kept without a download, and there again to begin from.
#[test]
fn what_was_shown_is_kept_as_label() {
    let served = Served::start();
    let image = |key: &str| served.get("/api/image?study=one").json()[key].clone();
    assert_eq!(image("label_saved"), Value::Null);
    assert_eq!(served.get("/api/label?study=one").status, 404);
    let mut objects = objects();
    let lines: Vec<Value> = objects.iter().map(|object| shown(&served, object)).collect();
    for (object, line) in objects.iter_mut().zip(&lines) {
        object["mask_sha256"] = line["mask_sha256"].clone();
    }
    let save = |objects: &[Value], query: &str| -> Reply {
        served.post(&format!("/api/label?{query}"), &json!({ "objects": objects }))
    };
    let mut stale = objects.clone();
    stale[0]["mask_sha256"] = lines[1]["mask_sha256"].clone();
    assert_eq!(save(&stale, "study=one").status, 409, "another mask than the one that was shown");
    assert_eq!(
        save(&objects, "study=one&sha256=00").status,
        409,
        "another image than the one that was shown"
    );
    assert_eq!(image("label_saved"), Value::Null);
    let saved = save(&objects, "study=one");
    assert_eq!(saved.status, 200, "{}", saved.text());
    assert_eq!(saved.json()["objects"], json!(["wide", "narrow", "other"]));
    assert!(image("label_saved").as_u64().is_some());
    let studies = served.get("/api/studies").json();
    let listed: Vec<(&str, bool)> = studies
        .as_array()
        .unwrap()
        .iter()
        .map(|study| (study["id"].as_str().unwrap(), study["saved"].is_u64()))
        .collect();
    assert_eq!(listed, [("one", true), ("two", false)]);
    let kept = served.get("/api/label?study=one").json();
    for (object, line) in kept.as_array().unwrap().iter().zip(&lines) {
        let runs: Vec<usize> = object["runs"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|run| serde_json::from_value::<[usize; 2]>(run.clone()).unwrap())
            .collect();
        assert_eq!(json!(runs), line["runs"]);
    }
    // A viewer of MONAI Label gets the same file.
    let (_directory, path) = file(&served.get("/datastore/label?label=one&tag=final").body);
    assert_eq!(nrrd::segments(&path).unwrap().len(), 3);

    let without = Served::with(|config| config.labels = None);
    let refused = without.post("/api/label?study=one", &json!({ "objects": [] }));
    assert!(refused.status == 409 && refused.detail().contains("no directory for labels"), "{refused:?}");
}
