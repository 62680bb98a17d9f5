//! What goes wrong, by accident or on purpose: clear answers, and nothing left over.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    bright::{BALLS, THRESHOLD},
    support::{BOUNDARY, Served, agent, multipart, reply},
};

const TOKEN: &str = "a-token-of-the-tests";

/// Sends `request` as it is and returns all that comes back.
fn raw(served: &Served, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // A server that has seen enough closes its side while this still writes.
    let _broken_pipe = stream.write_all(request);
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits for `holds`, up to a time at which something is wrong.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn malformed_forms_are_refused() {
    let served = Served::start();
    let send = |kind: &str, body: &[u8]| {
        reply(agent().put(served.url("/session/")).header("content-type", kind).send(body))
    };
    let form = format!("multipart/form-data; boundary={BOUNDARY}");
    let whole = multipart(&[("files", Some("a.nii.gz"), b"content")]);
    for (kind, body, words) in [
        (form.as_str(), &whole[..whole.len() / 2], "form cannot be read"),
        (form.as_str(), b"no parts at all", "form cannot be read"),
        (form.as_str(), &multipart(&[("other", Some("a.nii.gz"), b"content")]), "no file in its field files"),
        (
            form.as_str(),
            &multipart(&[("files", Some("a"), b"1"), ("files", Some("b"), b"2")]),
            "found 2 files",
        ),
        ("multipart/form-data", &whole, "boundary"),
        ("application/json", b"{}", "multipart/form-data"),
    ] {
        let refused = send(kind, body);
        assert!((400..500).contains(&refused.status), "{kind}: {refused:?}");
        assert!(refused.detail().contains(words), "{kind}: {}", refused.text());
    }
    let many: Vec<(&str, Option<&str>, &[u8])> = (0..17).map(|_| ("p", None, &b"x"[..])).collect();
    assert!(send(&form, &multipart(&many)).detail().contains("more than 16 parts"));
    let long = vec![b'x'; (1 << 20) + 1];
    let refused = served.form("POST", "/infer/sam3d?image=one", &[("params", None, &long)]);
    assert!(refused.status == 413 && refused.detail().contains("text field"), "{}", refused.text());
    assert_eq!(uploads(&served), 0);
}

/// Uploads that the server counts.
fn uploads(served: &Served) -> usize {
    served.get("/api/state").json()["uploads"].as_u64().unwrap() as usize
}

#[test]
fn a_header_that_claims_gigabytes_costs_nothing() {
    let served = Served::start();
    // A NIfTI header of 1290 x 1290 x 1290 bytes, over 2 GB, and no voxel.
    let mut header = vec![0u8; 352];
    header[..4].copy_from_slice(&348i32.to_le_bytes());
    for (at, value) in [(40, 3i16), (42, 1290), (44, 1290), (46, 1290), (48, 1), (70, 2), (72, 8)] {
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    for at in [80, 84, 88] {
        header[at..at + 4].copy_from_slice(&1f32.to_le_bytes());
    }
    header[108..112].copy_from_slice(&352f32.to_le_bytes());
    header[344..348].copy_from_slice(b"n+1\0");
    let session = served.form("PUT", "/session/", &[("files", Some("big.nii"), &header)]).json();
    let session = session["session_id"].as_str().unwrap();
    let refused = served.form(
        "POST",
        &format!("/infer/sam3d?session_id={session}"),
        &[("params", None, br#"{"foreground": [[1, 2, 3]]}"#)],
    );
    assert_eq!(refused.status, 413);
    assert!(
        refused.detail().starts_with("big.nii: the header claims 2146689000 voxels"),
        "{}",
        refused.text()
    );
}

#[test]
fn endless_heads_and_bodies_are_cut_off() {
    let served = Served::with(|config| config.limits.upload_bytes = 1000);
    let mut head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
    head.extend(vec![b'x'; 2 << 20]);
    let answer = raw(&served, &head);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let refused = served.form("PUT", "/session/", &[("files", Some("a.nii"), &[0; 1001])]);
    assert!(refused.status == 413 && refused.detail().contains("1000 bytes"), "{}", refused.text());
    let refused = reply(agent().post(served.url("/api/uploads?name=a.nii")).send(&[0u8; 1001][..]));
    assert_eq!(refused.status, 413);
    let mut request = format!(
        "POST /api/mask?study=one HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        3 << 20
    )
    .into_bytes();
    request.resize(request.len() + (3 << 20), b'1');
    let answer = raw(&served, &request);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(uploads(&served), 0);
}

#[test]
fn an_upload_that_is_killed_leaves_nothing() {
    let served = Served::start();
    let files = || served.get("/api/state").json()["upload_files"].as_u64().unwrap();
    let body = multipart(&[("files", Some("a.nii.gz"), &vec![7; 1 << 20])]);
    let head = format!(
        "PUT /session/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..body.len() / 2]).unwrap();
    eventually("the upload never began", || files() == 1);
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    eventually("half an upload is still there", || files() == 0);
    assert_eq!(uploads(&served), 0);
}

#[test]
fn sessions_expire() {
    let served = Served::start();
    let image = std::fs::read(served.studies.join("one.nii.gz")).unwrap();
    let session = |expiry: u32| {
        let path = format!("/session/?expiry={expiry}");
        let reply = served.form("PUT", &path, &[("files", Some("a.nii.gz"), &image)]).json();
        reply["session_id"].as_str().unwrap().to_owned()
    };
    let (brief, long) = (session(1), session(1_000_000));
    assert_eq!(served.get(&format!("/session/{long}")).json()["expiry"], 3600);
    eventually("the session is kept for ever", || served.get(&format!("/session/{brief}")).status == 404);
    let clicks = br#"{"foreground": [[1, 2, 3]]}"#;
    let refused =
        served.form("POST", &format!("/infer/sam3d?session_id={brief}"), &[("params", None, clicks)]);
    assert!(refused.status == 404 && refused.detail().contains("send the image again"), "{}", refused.text());
    assert_eq!(uploads(&served), 1);
}

#[test]
fn too_many_uploads_are_told_to_wait() {
    let served = Served::with(|config| config.limits.uploads = 1);
    let send = || served.form("PUT", "/session/", &[("files", Some("a.nii.gz"), b"content")]);
    assert_eq!(send().status, 200);
    let refused = send();
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("2")));
    assert!(refused.detail().contains("1 uploads are open"), "{}", refused.text());
}

#[test]
fn with_a_token_nothing_is_told_without_it() {
    let served = Served::with(|config| config.token = Some(TOKEN.to_owned()));
    for path in
        ["/api/state", "/api/studies", "/api/volume?study=one", "/info/", "/datastore/", "/auth/token/valid"]
    {
        let refused = served.get(path);
        assert!(refused.status == 401 && refused.detail().contains("Bearer"), "{path}: {refused:?}");
    }
    assert_eq!(served.form("PUT", "/session/", &[("files", Some("a"), b"x")]).status, 401);
    // The page must load to ask for the token.
    assert_eq!(served.get("/").status, 200);
    assert_eq!(served.get("/auth/").json()["enabled"], true);
    let sign_in = |password: &str| {
        let form = format!("grant_type=password&username=x&password={password}");
        let request = agent().post(served.url("/auth/token"));
        reply(request.header("content-type", "application/x-www-form-urlencoded").send(form.as_bytes()))
    };
    assert_eq!(sign_in("another-token-than-it").status, 401);
    let token = sign_in(TOKEN).json();
    let authorization =
        format!("{} {}", token["token_type"].as_str().unwrap(), token["access_token"].as_str().unwrap());
    let with =
        |value: &str| reply(agent().get(served.url("/info/")).header("authorization", value).call()).status;
    assert_eq!(
        (with(&authorization), with("Bearer wrong"), with(&format!("Basic {TOKEN}"))),
        (200, 401, 401)
    );
}

#[test]
fn pages_of_strangers_are_refused_and_allowed_ones_told() {
    let served = Served::with(|config| config.allowed_origins = vec!["http://localhost:3000".to_owned()]);
    let status = |headers: &str| {
        let request = format!("GET /api/studies HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        let answer = raw(&served, request.as_bytes());
        (answer.split(' ').nth(1).unwrap().to_owned(), answer)
    };
    assert_eq!(status("Host: rebound.example").0, "403");
    assert_eq!(status("Host: localhost\r\nOrigin: http://evil.example").0, "403");
    let (code, answer) = status("Host: localhost\r\nOrigin: http://localhost:3000");
    assert!(
        code == "200" && answer.contains("access-control-allow-origin: http://localhost:3000"),
        "{answer}"
    );
    let (code, answer) = status("Host: localhost");
    assert!(code == "200" && !answer.contains("access-control-allow-origin"), "{answer}");
}

#[test]
fn stopping_lets_requests_end_and_removes_uploads() {
    let mut served = Served::start();
    let image = std::fs::read(served.studies.join("one.nii.gz")).unwrap();
    served.form("PUT", "/session/", &[("files", Some("a.nii.gz"), &image)]);
    let url = served.url("/api/mask?study=one");
    let body = json!({ "clicks": [{ "ijk": BALLS[0] }], "threshold": THRESHOLD }).to_string();
    let asking = std::thread::spawn(move || {
        reply(agent().post(url).header("content-type", "application/json").send(body.as_bytes()))
    });
    eventually("the request never came", || {
        served.get("/api/state").json()["waiting"] == 1 || asking.is_finished()
    });
    served.stop();
    assert_eq!(asking.join().unwrap().last_line()["stage"], "done");
    assert!(TcpStream::connect(served.address).is_err());
}
