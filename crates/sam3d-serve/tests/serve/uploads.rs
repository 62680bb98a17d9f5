//! Volumes that clients send: bounded while they arrive, apart from one another, and nobody else's.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{BOUNDARY, Reply, Served, expected, multipart, volume_of},
};

/// A request whose body never comes to its end.
fn unfinished(served: &Served, path: &str, kind: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).unwrap();
    let method = if path.starts_with("/api") { "POST" } else { "PUT" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 100000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

fn session(served: &Served, name: &str, content: &[u8]) -> Reply {
    served.form("PUT", "/session/", &[("files", Some(name), content)])
}

fn clicked(served: &Served, session: &Reply) -> Reply {
    let id = session.json()["session_id"].as_str().unwrap().to_owned();
    let params = json!({ "foreground": [[1, 2, 3]] }).to_string();
    served.form("POST", &format!("/infer/sam3d?session_id={id}"), &[("params", None, params.as_bytes())])
}

#[test]
fn an_upload_has_its_place_before_its_first_byte() {
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let begun = multipart(&[("files", Some("a.nii"), &[7; 600])]);
    for (path, kind, body) in [
        ("/session/", form.as_str(), &begun[..begun.len() - 100]),
        ("/api/uploads?name=a.nii", "application/octet-stream", &[7; 500]),
    ] {
        let served = Served::with(|config| config.limits.uploads = 1);
        let files = || served.get("/api/state").json()["upload_files"].as_u64().unwrap();
        let arriving = unfinished(&served, path, kind, body);
        eventually("the upload never began", || files() == 1);
        let refused = session(&served, "b.nii", b"content");
        assert_eq!(refused.status, 503, "{path}: {}", refused.text());
        drop(arriving);
        eventually("half an upload is still there", || files() == 0);
        assert_eq!(session(&served, "b.nii", b"content").status, 200);
    }
}

#[test]
fn bytes_are_counted_while_they_arrive() {
    let served = Served::with(|config| config.limits.uploads_bytes = 1000);
    let begun = [7; 600];
    let arriving = unfinished(&served, "/api/uploads?name=a.nii", "application/octet-stream", &begun);
    eventually("no byte is counted", || served.get("/api/state").json()["upload_files_bytes"] == 600);
    let refused = session(&served, "b.nii", &[7; 500]);
    assert!(refused.detail().contains("600 of 1000 bytes"), "{}", refused.text());
    assert_eq!(session(&served, "b.nii", &[7; 100]).status, 200);
    drop(arriving);
}

#[test]
fn an_upload_that_nobody_uses_gives_way() {
    let served = Served::with(|config| {
        config.limits.uploads = 1;
        config.limits.gives_way = Duration::ZERO;
    });
    let first = session(&served, "a.nii", b"content");
    assert_eq!(session(&served, "b.nii", b"content").status, 200);
    assert_eq!(clicked(&served, &first).status, 404);
}

#[test]
fn forms_have_parts_and_headers_of_bounded_size() {
    let served = Served::start();
    let parts: Vec<(&str, Option<&str>, &[u8])> = (0..15).map(|_| ("p", None, &b"x"[..])).collect();
    let sixteen = [&[("files", Some("a.nii"), &b"content"[..])], &parts[..]].concat();
    let taken = served.form("PUT", "/session/", &sixteen);
    assert_eq!(taken.status, 200, "{}", taken.text());
    let seventeen = [&sixteen[..], &parts[..1]].concat();
    let refused = served.form("PUT", "/session/", &seventeen);
    assert!(refused.status == 400 && refused.detail().contains("more than 16 parts"), "{}", refused.text());

    // Headers that go on and on are refused long before the end of what was announced.
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    for begin in [format!("--{BOUNDARY}\r\nX: "), "no boundary at all ".to_owned()] {
        let body = [begin.as_bytes(), &vec![b'x'; 1 << 17]].concat();
        let mut stream = unfinished(&served, "/session/", &kind, &body);
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("65536 bytes"), "{answer}");
    }
}

/// A header that names another client's file does not get at it, and nothing tells where files are.
#[test]
fn uploads_are_apart() {
    let served = Served::start();
    let secret = vec![42u8; 8];
    session(&served, "secret.raw", &secret);
    for (name, data_file) in [
        ("a.mhd", "volume"),
        ("a.mhd", "volume.raw"),
        ("a.mhd", "../volume"),
        ("a.mhd", "/etc/passwd"),
        ("a.nhdr", "volume"),
        ("a.nhdr", "../upload/volume"),
    ] {
        let header = if name.ends_with("mhd") {
            format!(
                "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n\
                 ElementSpacing = 1 1 1\nElementDataFile = {data_file}\n"
            )
        } else {
            format!(
                "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\nspace: LPS\n\
                 space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\ndata file: {data_file}\n\n"
            )
        };
        let refused = clicked(&served, &session(&served, name, header.as_bytes()));
        let detail = refused.detail();
        assert_eq!(refused.status, 400, "{name} {data_file}: {detail}");
        assert!(!detail.contains("sam3d-serve") && !detail.contains("upload-"), "{detail}");
        assert!(!detail.contains(&*std::env::temp_dir().to_string_lossy()), "{detail}");
    }
}

#[test]
fn slices_of_two_people_are_not_one_volume() {
    let Some(series) = sam3d_testkit::test_volume("dicom_ct/STS_019_CT/image") else { return };
    let mut slices: Vec<_> = std::fs::read_dir(series).unwrap().map(|entry| entry.unwrap().path()).collect();
    slices.sort();
    let served = Served::start();
    let sessions: Vec<Value> = slices[..3]
        .iter()
        .map(|slice| session(&served, "slice.dcm", &std::fs::read(slice).unwrap()).json())
        .collect();
    for told in sessions {
        let id = told["session_id"].as_str().unwrap();
        let image = served.get(&format!("/api/image?upload={id}"));
        assert!(image.status != 200 || image.json()["shape_ijk"][2] == 1, "{}", image.text());
    }
}

/// Two clients of MONAI Label call their volumes by one name, as 3D Slicer does for them.
#[test]
fn each_client_has_its_own_volume_of_a_name() {
    let served = Served::start();
    let images = ["one", "two"].map(|name| served.studies.join(format!("{name}.nii.gz")));
    let clients = ["user-a", "user-b"];
    let add = |client: &str, image: &std::path::Path| {
        let params = json!({ "client_id": client }).to_string();
        let content = std::fs::read(image).unwrap();
        let form = [("params", None, params.as_bytes()), ("file", Some("x.nii.gz"), &content[..])];
        served.form("PUT", "/datastore/?image=CT_image", &form)
    };
    for (client, image) in clients.into_iter().zip(&images) {
        assert_eq!(add(client, image).json(), json!({ "image": "CT_image" }));
    }
    let infer = |client: &str| {
        let params = json!({ "foreground": [BALLS[0]], "threshold": THRESHOLD, "client_id": client });
        let path = "/infer/sam3d?image=CT_image&output=image";
        served.form("POST", path, &[("params", None, params.to_string().as_bytes())])
    };
    let mut labels = Vec::new();
    for (client, image) in clients.into_iter().zip(&images) {
        let answer = infer(client);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mask = volume_of(&answer.body, "mask.nii.gz");
        assert_eq!(mask.data, expected(image, BALLS[0], THRESHOLD).mapv(f32::from), "{client}");
        labels.push(answer.body);
    }
    assert_ne!(labels[0], labels[1], "equal masks would hide a mix-up");
    for (client, label) in clients.into_iter().zip(&labels) {
        let params = json!({ "client_id": client }).to_string();
        let form = [("params", None, params.as_bytes()), ("label", Some("l.nii.gz"), &label[..])];
        let saved = served.form("PUT", "/datastore/label?image=CT_image", &form);
        assert_eq!(saved.status, 200, "{}", saved.text());
    }
    for (client, label) in clients.into_iter().zip(&labels) {
        let path = format!("/datastore/label?label=CT_image&tag=final&client_id={client}");
        assert_eq!(&served.get(&path).body, label, "{client}");
    }
    // A request that does not say whose is not answered with anybody's.
    let ambiguous = served.get("/datastore/label?label=CT_image&tag=final");
    assert!(ambiguous.status == 409 && ambiguous.detail().contains("client_id"), "{}", ambiguous.text());
    // The same client cannot give the name to another volume, and the same volume again changes nothing.
    let refused = add(clients[0], &images[1]);
    assert!(refused.status == 409 && refused.detail().contains("rename"), "{}", refused.text());
    assert_eq!(add(clients[0], &images[0]).status, 200);
    assert_eq!(served.get("/api/state").json()["uploads"], 2);
    let again = volume_of(&infer(clients[0]).body, "mask.nii.gz");
    assert_eq!(again.grid, bright::grid());
    assert_eq!(infer("user-c").status, 404);
}

/// Connections that send nothing, little, or do not read are closed.
#[test]
fn nobody_waits_for_slow_clients_for_ever() {
    let served = Served::with(|config| {
        config.limits.connections = 2;
        config.limits.head = Duration::from_millis(300);
        config.limits.body = Duration::from_millis(300);
    });
    let silent = TcpStream::connect(served.address).unwrap();
    let mut slow = TcpStream::connect(served.address).unwrap();
    slow.write_all(b"P").unwrap();
    // All connections are taken, and are free again.
    assert_eq!(served.get("/").status, 200);
    drop((silent, slow));

    let mut trickle = unfinished(&served, "/api/uploads?name=a.nii", "application/octet-stream", b"a");
    let start = Instant::now();
    let answer = loop {
        let _closed = trickle.write_all(b"a");
        trickle.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut answer = [0; 1024];
        match trickle.read(&mut answer) {
            Ok(length) => break String::from_utf8_lossy(&answer[..length]).into_owned(),
            Err(_) => assert!(start.elapsed() < Duration::from_secs(30), "a trickle holds a request"),
        }
    };
    assert!(answer.is_empty() || answer.contains("too slowly"), "{answer}");
}
