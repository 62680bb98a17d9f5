use std::time::{Duration, Instant};

use serde_json::json;

use super::viewer::{BRIGHT_SPACING, Viewer, bright_image, recorded};
use crate::support::{Served, agent, reply};

#[test]
fn a_lease_that_nobody_uses_expires() {
    let served = Served::with(|config| {
        config.limits.leases = 1;
        config.limits.lease_idle = Duration::from_millis(300);
    });
    let viewer = Viewer::new(&served);
    let start = Instant::now();
    // Asking for the status is no use, and a heartbeat is only a sign of life.
    while viewer.get("/lease_status").status == 200 {
        viewer.post("/heartbeat", &json!({}));
        assert!(start.elapsed() < Duration::from_secs(60), "a lease is held for ever");
    }
    for told in
        [viewer.get("/lease_status"), viewer.post("/undo", &json!({})), viewer.post("/heartbeat", &json!({}))]
    {
        assert_eq!((told.status, told.detail().as_str()), (410, "lease expired or unknown"));
    }
    Viewer::new(&served);
}

#[test]
fn a_client_without_a_sign_of_life_loses_its_lease() {
    let served = Served::with(|config| config.limits.lease_liveness = Duration::from_millis(300));
    let (silent, alive) = (Viewer::new(&served), Viewer::new(&served));
    let start = Instant::now();
    while silent.get("/lease_status").status == 200 {
        assert_eq!(alive.post("/heartbeat", &json!({})).status, 200);
        assert!(start.elapsed() < Duration::from_secs(60), "a dead client keeps its lease");
    }
    assert!(start.elapsed() >= Duration::from_millis(250));
    assert_eq!(alive.post("/heartbeat", &json!({})).status, 200);
}

#[test]
fn keys_and_leases_are_needed() {
    const TOKEN: &str = "a-token-of-the-tests";
    let served = Served::with(|config| config.token = Some(TOKEN.to_owned()));
    let claim = |key: &str| {
        reply(
            agent().post(served.url("/claim")).header("authorization", format!("Bearer {key}")).send_empty(),
        )
    };
    assert_eq!((claim("another-token-of-tests").status, claim(TOKEN).status), (401, 200));
    assert_eq!(served.get("/healthz").json(), json!({ "ok": true }));
    assert_eq!(served.get("/capabilities").status, 401);

    let served = Served::start();
    assert_eq!(served.post("/undo", &json!({})).detail(), "lease token missing");
    let stranger = Viewer::of_lease(&served, "0123456789abcdef0123456789abcdef");
    assert_eq!(stranger.post("/undo", &json!({})).status, 410);
    // Without a lease there is nothing to release, which is no fault.
    assert_eq!(stranger.post("/release", &json!({})).json(), json!({ "released": true }));
    assert_eq!(stranger.get("/capabilities").status, 200);
}

#[test]
fn what_does_not_fit_is_refused_with_a_sentence() {
    let served = Served::with(|config| config.limits.voxels = 200_000);
    let viewer = Viewer::new(&served);
    let point = json!({ "coordinates": [1, 2, 3], "include_interaction": true });
    let image = bright_image();
    let check = |told: crate::support::Reply, status: u16, words: &str| {
        assert_eq!(told.status, status, "{words}: {}", told.text());
        assert!(told.detail().contains(words), "{words}: {}", told.text());
    };
    check(viewer.post("/add_point_interaction", &point), 400, "send set_image first");
    check(viewer.send("/set_image", None, b"PK is a zip file"), 400, "begins with NNIA");
    check(viewer.send("/set_image", None, &image[..image.len() - 1]), 400, "ends after");
    check(viewer.send("/set_image", None, &recorded("scribble_uint8.bin")), 400, "expected 4 axes");
    let wrong = json!({ "image_properties": { "spacing": [1.0, 0.0, 1.0] } });
    check(viewer.send("/set_image", Some(&wrong), &image), 400, "three positive numbers");
    check(viewer.send("/set_image", Some(&json!([1])), &image), 400, "X-Meta");
    let small = Served::with(|config| config.limits.voxels = 100);
    check(Viewer::new(&small).send("/set_image", None, &image), 413, "claims 107520 elements");
    assert_eq!(
        viewer.send("/set_image", None, &image).json(),
        json!({ "original_image_shape": [1, 30, 56, 64] })
    );
    check(viewer.post("/add_point_interaction", &point), 400, "send set_target_buffer first");
    check(
        viewer.post("/set_target_buffer", &json!({ "shape": [30, 56, 64], "dtype": "float32" })),
        400,
        "float32",
    );
    check(viewer.post("/set_target_buffer", &json!({ "shape": [30, 56, 64] })), 400, "dtype");
    check(viewer.post("/set_target_buffer", &json!({ "shape": [30, 56], "dtype": "uint8" })), 400, "body");
    check(
        viewer.post("/set_target_buffer", &json!({ "shape": [64, 56, 30], "dtype": "uint8" })),
        400,
        "shape",
    );
    check(viewer.post("/set_target_buffer", &json!([])), 422, "JSON object");

    let viewer = Viewer::with_image(&served, &image, BRIGHT_SPACING);
    let outside = json!({ "coordinates": [29.6, 0, 0], "include_interaction": true });
    check(viewer.post("/add_point_interaction", &outside), 400, "outside the image");
    let outside = json!({ "coordinates": [1e300, 0, -5], "include_interaction": true });
    check(viewer.post("/add_point_interaction", &outside), 400, "outside the image");
    let empty = json!({ "bbox_coords": [[1, 1], [0, 5], [0, 5]], "include_interaction": true });
    check(viewer.post("/add_bbox_interaction", &empty), 400, "is empty");
    let meta = json!({ "include_interaction": true, "interaction_bbox": [[0, 2], [0, 2], [0, 2]] });
    check(
        viewer.send("/add_scribble_interaction", Some(&meta), &recorded("scribble_uint8.bin")),
        400,
        "expected [2, 2, 2]",
    );
    check(
        viewer.send("/add_initial_seg_interaction", None, &recorded("scribble_uint8.bin")),
        400,
        "the mask to begin from has the shape [7, 9, 1]",
    );
    check(viewer.get("/session_log"), 404, "no prediction yet");
    check(viewer.get("/add_point_interaction"), 405, "method");
    let files = served.get("/api/state").json()["upload_files"].clone();
    assert_eq!(files, 0, "bodies are left over");
}
