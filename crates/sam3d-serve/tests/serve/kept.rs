//! Uploads and their labels that outlive a restart.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    bright::{BALLS, THRESHOLD},
    support::{Reply, Served, expected, volume_of},
};

fn infer(served: &Served, name: &str) -> Reply {
    let params = json!({ "foreground": [BALLS[0]], "threshold": THRESHOLD }).to_string();
    let path = format!("/infer/sam3d?image={name}&output=image");
    served.form("POST", &path, &[("params", None, params.as_bytes())])
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn uploads_and_labels_outlive_a_restart_and_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (sessions, labels) = (directory.path().join("sessions"), directory.path().join("labels"));
    let start = |sessions: &Path| {
        let (sessions, labels) = (sessions.to_owned(), labels.clone());
        Served::with(move |config| (config.sessions, config.labels) = (Some(sessions), Some(labels)))
    };
    let mut served = start(&sessions);
    let image = fs::read(served.studies.join("one.nii.gz")).unwrap();
    assert_eq!(served.send_volume("CT_image", &image).status, 200);
    let session: Value = served.form("PUT", "/session/", &[("files", Some("b.nii.gz"), &image)]).json();
    let id = session["session_id"].as_str().unwrap().to_owned();
    let mask = infer(&served, "CT_image").body;
    let saved = served.form("PUT", "/datastore/label?image=CT_image", &[("label", Some("l.nii.gz"), &mask)]);
    assert_eq!(saved.status, 200, "{}", saved.text());
    let wanted = expected(&served.studies.join("one.nii.gz"), BALLS[0], THRESHOLD).mapv(f32::from);
    assert_eq!(volume_of(&mask, "m.nii.gz").data, wanted);

    // What a kill would leave, and what a stop leaves; in the first also half an upload.
    let killed = directory.path().join("killed");
    copy(&sessions, &killed);
    fs::create_dir(killed.join("upload-half")).unwrap();
    fs::write(killed.join("upload-half/volume.nii.gz"), b"half").unwrap();
    fs::write(killed.join("notes of somebody"), b"not a server's").unwrap();
    served.stop();
    drop(served);
    for sessions in [&sessions, &killed] {
        let mut served = start(sessions);
        assert_eq!(served.get("/api/state").json()["uploads"], 2);
        let told = infer(&served, "CT_image");
        assert_eq!(told.status, 200, "{}", told.text());
        assert_eq!(volume_of(&told.body, "m.nii.gz").data, wanted);
        assert_eq!(served.get("/datastore/label?label=CT_image&tag=final").body, mask);
        assert_eq!(served.get(&format!("/session/{id}")).json()["name"], "b.nii.gz");
        assert_eq!(served.delete(&format!("/session/{id}")).status, 200);
        served.stop();
    }
    assert!(!killed.join("upload-half").exists() && killed.join("notes of somebody").exists());
    // One of both was closed, for good.
    assert_eq!(start(&sessions).get("/api/state").json()["uploads"], 1);
}

#[test]
fn what_is_kept_is_bounded_and_has_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let start = |most: usize, idle: u64| {
        let sessions = directory.path().to_owned();
        Served::with(move |config| {
            config.sessions = Some(sessions);
            config.limits.uploads = most;
            config.limits.idle = std::time::Duration::from_secs(idle);
        })
    };
    let mut served = start(64, 3600);
    for name in ["first", "second", "third"] {
        assert_eq!(served.send_volume(name, name.as_bytes()).status, 200);
    }
    let other = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| start(64, 3600)));
    assert!(other.is_err(), "two servers share a directory");
    served.stop();
    assert_eq!(start(2, 3600).get("/api/state").json()["uploads"], 2);
    let folders = || {
        fs::read_dir(directory.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    };
    assert_eq!(folders(), 2, "what is too much is removed");
    // Expired while no server ran: of no second's use.
    assert_eq!(start(64, 0).get("/api/state").json()["uploads"], 0);
    assert_eq!(folders(), 0);
}
