//! The program as the server of a real archive's series.

use std::{io::Read, thread};

use sam3d_dicomweb::SeriesSearch;
use serde_json::{Value, json};

use crate::{
    bright::{BALLS, THRESHOLD},
    orthanc::Orthanc,
    slices::{SERIES, STUDY, write_slices},
    support::Place,
};

#[test]
fn a_series_of_orthanc_is_clicked_in_and_its_segmentation_stored_there() {
    let Some(orthanc) = Orthanc::start() else { return };
    let place = Place::new();
    write_slices(&place.path("slices"));
    let study = STUDY.parse().unwrap();
    assert_eq!(orthanc.fill(&study, &place.path("slices")), 30);
    let mut program = place.serve(&["-vv", "--dicomweb", &orthanc.url, "--dicomweb-cache", "cache"]);
    let mut stderr = program.child.stderr.take().unwrap();
    let log = thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    let url = |path: &str| format!("{}{path}", program.address.trim_end_matches('/'));
    let get = |path: &str| -> Value {
        let text = ureq::get(url(path)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let studies = get("/api/studies");
    assert!(studies.as_array().unwrap().iter().any(|study| study["id"] == SERIES), "{studies}");
    assert!(!studies.to_string().contains("Doe"), "{studies}");
    let shape = get(&format!("/api/image?study={SERIES}"))["shape_ijk"].clone();
    assert_eq!(shape, json!([64, 56, 30]));
    let object = json!({
        "name": "GTV", "colour": [1.0, 0.5, 0.0], "threshold": THRESHOLD,
        "clicks": [{ "ijk": BALLS[0], "label": "positive" }],
    });
    let body = json!({ "format": ".dcm", "objects": [object] }).to_string();
    let store = ureq::post(url(&format!("/api/archive/store?study={SERIES}")))
        .header("content-type", "application/json")
        .send(body.as_str());
    let answer = store.unwrap().body_mut().read_to_string().unwrap();
    assert!(answer.contains("2.25."), "{answer}");
    let search =
        SeriesSearch { study: Some(study), modality: Some("SEG".to_owned()), ..SeriesSearch::default() };
    assert_eq!(orthanc.archive().search(&search).unwrap().len(), 1);
    // However much is logged, nothing in it says whose images they are.
    drop(program);
    let log = log.join().unwrap();
    assert!(log.contains("fetched 30 files"), "{log}");
    for secret in ["Doe", SERIES, STUDY] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
