//! DICOM folders that are sent as one archive.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Reply, Served, agent, reply};

fn send(served: &Served, name: &str, archive: &[u8]) -> Reply {
    reply(agent().post(served.url(&format!("/api/uploads?name={name}&packing=tar"))).send(archive))
}

fn archive(files: &[&Path]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (number, file) in files.iter().enumerate() {
        builder.append_path_with_name(file, format!("folder/{number}")).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn a_folder_is_one_image_and_outlives_a_restart() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/two_series");
    let mut slices: Vec<_> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    slices.sort();
    let paths: Vec<&Path> = slices.iter().map(std::path::PathBuf::as_path).collect();
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        let sessions = directory.path().to_owned();
        Served::with(move |config| config.sessions = Some(sessions))
    };
    let mut served = start();
    let told = send(&served, "folder", &archive(&paths)).json();
    let series: Vec<(&str, u64)> = told["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| (series["uid"].as_str().unwrap(), series["images"].as_u64().unwrap()))
        .collect();
    assert_eq!(series, [("1.2.826.1", 8), ("1.2.826.2", 5)]);
    let upload = told["upload"].as_str().unwrap().to_owned();
    let shape =
        |served: &Served, query: &str| served.get(&format!("/api/image?{query}")).json()["shape_ijk"].clone();
    let both = format!("upload={upload}");
    assert_eq!(served.get(&format!("/api/image?{both}")).status, 400, "one of both must be chosen");
    let first = format!("{both}&series=1.2.826.1");
    assert_eq!(shape(&served, &first), json!([24, 20, 8]));
    assert_eq!(shape(&served, &format!("{both}&series=1.2.826.2")), json!([24, 20, 5]));
    assert_eq!(served.get(&format!("/api/image?{both}&series=1.2.3")).status, 400);
    served.stop();
    assert_eq!(shape(&start(), &first), json!([24, 20, 8]));
}

#[test]
fn what_is_no_archive_is_refused() {
    let served = Served::start();
    let refused = send(&served, "folder", b"not an archive, but long enough to be looked at");
    assert!(refused.status == 400 && refused.detail().starts_with("folder: "), "{}", refused.text());
    let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
    assert!(send(&served, "folder", &empty).detail().contains("no file"));
    let state: Value = served.get("/api/state").json();
    assert_eq!((&state["uploads"], &state["upload_files"]), (&json!(0), &json!(0)));
}
