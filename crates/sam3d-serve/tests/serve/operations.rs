//! What administrators look at, and bounds that keep one client from locking out the others.

use std::{io::Write, sync::mpsc, time::Duration};

use serde_json::json;

use crate::{
    bright::{BALLS, THRESHOLD},
    support::{Served, agent, held_back, reply},
};

#[test]
fn what_was_done_is_counted() {
    const TOKEN: &str = "a-token-of-the-tests";
    let served = Served::with(|config| config.token = Some(TOKEN.to_owned()));
    assert_eq!((served.get("/healthz").status, served.get("/readyz").status), (200, 200));
    assert_eq!(served.get("/metrics").status, 401);
    let with = || format!("Bearer {TOKEN}");
    let metrics = || reply(agent().get(served.url("/metrics")).header("authorization", with()).call());
    let value = |name: &str| {
        let told = metrics();
        assert_eq!((told.status, told.kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
        let text = told.text();
        let line = text.lines().find(|line| line.starts_with(&format!("sam3d_{name} "))).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!((value("predictions_total"), value("network_ready")), (0.0, 1.0));
    let body = json!({ "clicks": [{ "ijk": BALLS[0] }], "threshold": THRESHOLD }).to_string();
    for (predictions, encodings) in [(1.0, 1.0), (2.0, 1.0)] {
        let request = agent().post(served.url("/api/mask?study=one")).header("authorization", with());
        let told = reply(request.header("content-type", "application/json").send(&body));
        assert_eq!(told.last_line()["stage"], "done");
        assert_eq!((value("predictions_total"), value("encodings_total")), (predictions, encodings));
    }
    assert!(value("encoding_seconds_total") > 0.0 && value("decoding_seconds_total") > 0.0);
    assert!(value("http_answers_total{class=\"2xx\"}") > 4.0);
    assert!(value("http_answers_total{class=\"4xx\"}") >= 1.0);
    // Each series is described, and only described ones are there.
    let text = metrics().text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split([' ', '{']).next().unwrap();
        assert!(
            text.contains(&format!("# TYPE {name} ")) && text.contains(&format!("# HELP {name} ")),
            "{line}"
        );
    }
}

/// While the weights are loaded again after a panic the server lives, and is not ready.
#[test]
fn a_network_that_is_loaded_again_is_not_ready() {
    let (open, gate) = mpsc::channel();
    let served = Served::opening(held_back(gate), |_| {});
    assert_eq!(served.get("/readyz").text(), "ready\n");
    let body = json!({ "clicks": [{ "ijk": BALLS[0] }], "threshold": THRESHOLD });
    assert_eq!(served.post("/api/mask?study=one", &body).last_line()["stage"], "failed");
    crate::uploads::eventually("the network stays ready", || served.get("/readyz").status == 503);
    assert_eq!(served.get("/healthz").status, 200);
    assert!(served.get("/metrics").text().contains("sam3d_network_ready 0"));
    open.send(()).unwrap();
    crate::uploads::eventually("the network is never ready", || served.get("/readyz").status == 200);
    assert_eq!(served.post("/api/mask?study=one", &body).last_line()["stage"], "done");
    assert!(served.get("/metrics").text().contains("sam3d_prediction_failures_total 1"));
}

/// A header that claims more than there is memory for is refused before anything is read, and what fits is read.
#[test]
fn readers_share_a_budget_of_memory() {
    let served = Served::with(|config| config.limits.reading_bytes = 1 << 20);
    assert_eq!(served.get("/api/image?study=one").status, 200);
    // 512 x 512 x 512 bytes by the header, and no voxel.
    let mut header = vec![0u8; 352];
    header[..4].copy_from_slice(&348i32.to_le_bytes());
    for (at, value) in [(40, 3i16), (42, 512), (44, 512), (46, 512), (48, 1), (70, 2), (72, 8)] {
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    for at in [80, 84, 88] {
        header[at..at + 4].copy_from_slice(&1f32.to_le_bytes());
    }
    header[108..112].copy_from_slice(&352f32.to_le_bytes());
    header[344..348].copy_from_slice(b"n+1\0");
    let upload = reply(agent().post(served.url("/api/uploads?name=big.nii")).send(&header[..])).json();
    let refused = served.get(&format!("/api/image?upload={}", upload["upload"].as_str().unwrap()));
    assert!(refused.status == 413 && refused.detail().contains("for all readers"), "{}", refused.text());
    assert_eq!(served.get("/api/image?study=two").status, 200);
}

/// Several series in a directory are listed, and each is read by itself.
#[test]
fn series_of_one_directory_are_listed_to_choose_from() {
    let names = ["dicom_ct/STS_019_CT/image", "dicom_ct/dcmqi_ct3slice/ct-3slice"];
    let [Some(first), Some(second)] = names.map(sam3d_testkit::test_volume) else { return };
    let served = Served::start();
    let mixed = served.studies.join("mixed");
    std::fs::create_dir(&mixed).unwrap();
    let mut slices = Vec::new();
    for (number, directory) in [&first, &second].into_iter().enumerate() {
        let series = sam3d_io::dicom::survey(directory).unwrap().series;
        let [series] = &series[..] else { panic!("{series:?}") };
        slices.push((series.images, series.uid.clone()));
        for file in sam3d_io::files_of_volume(directory).unwrap() {
            let name = format!("{number}-{}", file.file_name().unwrap().to_string_lossy());
            std::fs::copy(&file, mixed.join(name)).unwrap();
        }
    }
    let listed = served.get("/api/studies").json();
    let ids: Vec<&str> =
        listed.as_array().unwrap().iter().map(|study| study["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 4, "{listed}");
    for (images, uid) in slices {
        let id = format!("mixed ({uid})");
        assert!(ids.contains(&id.as_str()), "{ids:?}");
        let image = served.get(&format!("/api/image?study={}", id.replace(' ', "%20")));
        assert_eq!(image.json()["shape_ijk"][2], images, "{}", image.text());
    }
}

/// Another client is served while one holds all the connections that it may.
#[cfg(target_os = "linux")]
#[test]
fn one_address_does_not_hold_every_connection() {
    use crate::support::{connect_from, raw_from};
    let served = Served::with(|config| {
        (config.limits.connections, config.limits.connections_per_client) = (4, 3);
        config.limits.head = Duration::from_secs(3600);
    });
    let mut greedy: Vec<_> = (0..8).map(|_| connect_from([127, 0, 0, 2], served.address)).collect();
    greedy.iter_mut().for_each(|stream| drop(stream.write_all(b"G")));
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw_from([127, 0, 0, 3], served.address, request);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Sessions that one client never closes give way to its own next ones, and leave room for others.
#[cfg(target_os = "linux")]
#[test]
fn sessions_that_a_client_never_closes_lock_nobody_out() {
    use crate::support::raw_from;
    let served = Served::with(|config| {
        (config.limits.uploads, config.limits.uploads_per_client) = (3, 2);
        config.limits.gives_way_to_own = Duration::ZERO;
    });
    let send = |from: [u8; 4]| {
        let request = "POST /api/uploads?name=a.nii HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                       Content-Length: 7\r\n\r\ncontent";
        raw_from(from, served.address, request)
    };
    (0..5).for_each(|_| assert!(send([127, 0, 0, 2]).starts_with("HTTP/1.1 200")));
    assert_eq!(served.get("/api/state").json()["uploads"], 2);
    assert!(send([127, 0, 0, 3]).starts_with("HTTP/1.1 200"));
    // Full: what others used lately stays.
    let refused = send([127, 0, 0, 4]);
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("3 uploads are open"), "{refused}");
    assert!(send([127, 0, 0, 2]).starts_with("HTTP/1.1 200"));
}

#[cfg(target_os = "linux")]
#[test]
fn sessions_in_use_do_not_give_way() {
    let served = Served::with(|config| config.limits.uploads_per_client = 1);
    let send = || served.form("PUT", "/session/", &[("files", Some("a.nii.gz"), b"content")]);
    assert_eq!(send().status, 200);
    let refused = send();
    assert!(
        refused.status == 503 && refused.detail().contains("1 uploads from your address"),
        "{}",
        refused.text()
    );
}
