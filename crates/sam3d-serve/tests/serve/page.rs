//! What the page asks for.

use sam3d_io::nrrd;
use serde_json::{Value, json};

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{Served, centroid, expected, mask_of_runs, volume_of},
};

fn request(clicks: &[[usize; 3]]) -> Value {
    let clicks: Vec<Value> = clicks.iter().map(|ijk| json!({ "ijk": ijk, "label": "positive" })).collect();
    json!({ "clicks": clicks, "threshold": THRESHOLD })
}

#[test]
fn a_click_gives_the_mask_of_segment_and_the_next_one_costs_the_decoder_only() {
    let served = Served::start();
    let ask = |clicks: &[[usize; 3]]| served.post("/api/mask?study=one", &request(clicks));
    let reply = ask(&[BALLS[0]]);
    let stages: Vec<String> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["stage"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(stages, ["waiting", "encoding", "decoding", "done"]);
    let first = reply.last_line();
    let mask = mask_of_runs(&first);
    assert_eq!(mask, expected(&served.studies.join("one.nii.gz"), BALLS[0], THRESHOLD));
    let distance =
        centroid(&mask).iter().zip(BALLS[0]).map(|(a, b)| (a - b as f64).abs()).fold(0.0, f64::max);
    assert!(distance < 2.0, "{:?}", centroid(&mask));
    assert_eq!(first["voxels"], mask.iter().filter(|value| **value == 1).count());
    assert!(first["encoding_seconds"].is_f64());

    let near = BALLS[0].map(|index| index + 2);
    let second = ask(&[BALLS[0], near]).last_line();
    assert!(second["encoding_seconds"].is_null() && second["decoding_seconds"].is_f64(), "{second}");
    // Taking the second click back costs nothing but the mask.
    let again = ask(&[BALLS[0]]).last_line();
    assert!(again["encoding_seconds"].is_null() && again["decoding_seconds"].is_null());
    assert_eq!(again["runs"], first["runs"]);
    // The other study has other voxels: it is another image.
    let other = served.post("/api/mask?study=two", &request(&[BALLS[0]])).last_line();
    assert!(other["encoding_seconds"].is_f64());
}

/// The crop under a resting crosshair is encoded once: the click there needs the decoder only, and its mask is the same.
#[test]
fn a_click_after_the_crosshair_rested_hits_the_kept_embedding() {
    let served = Served::start();
    let encodings = || {
        let metrics = served.get("/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("sam3d_encodings_total ")).unwrap();
        line.parse::<u32>().unwrap()
    };
    let rest = |clicks: &[[usize; 3]]| {
        let clicks: Vec<Value> = clicks.iter().map(|ijk| json!({ "ijk": ijk })).collect();
        served.post("/api/encode-ahead?study=one", &json!({ "clicks": clicks }))
    };
    assert_eq!(served.get("/api/state").json()["encodes_ahead"], true);
    assert!(rest(&[BALLS[0]]).json()["encoding_seconds"].is_f64());
    assert!(rest(&[BALLS[0]]).json()["encoding_seconds"].is_null(), "known");
    assert_eq!(encodings(), 1);
    let clicked = served.post("/api/mask?study=one", &request(&[BALLS[0]])).last_line();
    assert!(clicked["encoding_seconds"].is_null(), "{clicked}");
    assert_eq!(mask_of_runs(&clicked), expected(&served.studies.join("one.nii.gz"), BALLS[0], THRESHOLD));
    // The next click of the object stays in its crop; one far away would not.
    assert!(rest(&[BALLS[0], BALLS[0].map(|index| index + 2)]).json()["encoding_seconds"].is_null());
    assert_eq!(encodings(), 1);
    assert!(rest(&[BALLS[0], BALLS[1]]).json()["encoding_seconds"].is_f64());
    served.post("/api/mask?study=one", &request(&[BALLS[0], BALLS[1]])).last_line();
    assert_eq!(encodings(), 2);
    let outside = rest(&[[64, 0, 0]]);
    assert!(outside.status == 400 && outside.detail().contains("i runs from 0 to 63"), "{}", outside.text());

    for served in
        [Served::with(|config| config.encode_ahead = false), Served::of(bright::config(), 0, |_| {})]
    {
        assert_eq!(served.get("/api/state").json()["encodes_ahead"], false);
        let body = json!({ "clicks": [{ "ijk": BALLS[0] }] });
        assert_eq!(served.post("/api/encode-ahead?study=one", &body).status, 404);
    }
}

#[test]
fn what_does_not_fit_the_memory_is_encoded_again() {
    let encoded = |served: &Served, clicks: &[[usize; 3]]| {
        let line = served.post("/api/mask?study=one", &request(clicks)).last_line();
        (line["encoding_seconds"].is_f64(), line["runs"].clone())
    };
    let beside = BALLS[0].map(|index| index + 1);
    let asked = |served: &Served| {
        [&[BALLS[0]][..], &[BALLS[1]], &[BALLS[0], beside]].map(|clicks| encoded(served, clicks))
    };
    // Room for one embedding: the second click on the first ball finds that of the other.
    let lean = asked(&Served::of(bright::config(), 1, |_| {}));
    assert_eq!(lean.each_ref().map(|(encoded, _)| *encoded), [true, true, true]);
    let roomy = asked(&Served::start());
    assert_eq!(roomy.each_ref().map(|(encoded, _)| *encoded), [true, true, false]);
    assert_eq!(lean.map(|(_, runs)| runs), roomy.map(|(_, runs)| runs));
}

#[test]
fn objects_are_downloaded_as_files() {
    let served = Served::start();
    let object = |ball: usize, name: &str| {
        let mut object = request(&[BALLS[ball]]);
        object["name"] = name.into();
        object["colour"] = json!([0.0, 0.5, 1.0]);
        object
    };
    let path = served.studies.join("one.nii.gz");
    let [first, second] = [0, 1].map(|ball| expected(&path, BALLS[ball], THRESHOLD));
    let both = json!({ "format": ".seg.nrrd", "objects": [object(0, "left"), object(1, "right")] });
    let reply = served.post("/api/segmentation?study=one", &both);
    let volume = volume_of(&reply.body, "mask.seg.nrrd");
    for (at, value) in volume.data.indexed_iter() {
        let label = if second[at] == 1 { 2 } else { first[at] };
        assert_eq!(*value, f32::from(label), "{at:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mask.seg.nrrd");
    std::fs::write(&file, &reply.body).unwrap();
    let segments = nrrd::segments(&file).unwrap();
    assert_eq!(
        segments.iter().map(|s| (s.name.as_str(), s.label)).collect::<Vec<_>>(),
        [("left", 1), ("right", 2)]
    );
    assert_eq!(segments[0].colour, [0.0, 0.5, 1.0]);

    let one = json!({ "format": ".nii.gz", "objects": [object(0, "left")] });
    let reply = served.post("/api/segmentation?study=one", &one);
    let volume = volume_of(&reply.body, "mask.nii.gz");
    assert_eq!(volume.data, first.mapv(f32::from));
    assert_eq!(volume.grid, bright::grid());
    let nothing = served.post("/api/segmentation?study=one", &json!({ "format": ".nii", "objects": [] }));
    assert_eq!((nothing.status, nothing.detail()), (400, "there is no object with a click yet".to_owned()));
}

/// What is downloaded is what was shown, of the image that was shown; a click outside its own mask is named.
#[test]
fn what_was_shown_is_what_is_downloaded() {
    let served = Served::start();
    let shown = served.get("/api/image?study=one").json()["sha256"].as_str().unwrap().to_owned();
    let query = format!("study=one&sha256={shown}");
    let dark = [2, 2, 2];
    let answer = served.post(&format!("/api/mask?{query}"), &request(&[BALLS[0], dark])).last_line();
    assert_eq!(answer["missed"], json!([1]));
    assert_eq!(mask_of_runs(&answer)[[2, 2, 2]], 0);
    let alone = served.post(&format!("/api/mask?{query}"), &request(&[BALLS[0]])).last_line();
    assert_eq!(alone["missed"], json!([]));

    let download = |clicks: &[[usize; 3]]| {
        let mut object = request(clicks);
        object["name"] = "tumour".into();
        object["colour"] = json!([1.0, 0.0, 0.0]);
        object["mask_sha256"] = alone["mask_sha256"].clone();
        let file = json!({ "format": ".nii.gz", "objects": [object] });
        served.post(&format!("/api/segmentation?{query}"), &file)
    };
    let file = volume_of(&download(&[BALLS[0]]).body, "mask.nii.gz");
    assert_eq!(file.data, mask_of_runs(&alone).mapv(f32::from));
    let refused = download(&[BALLS[1]]);
    assert!(refused.status == 409 && refused.detail().contains("click again"), "{}", refused.text());

    // Another patient's image under the same name: nothing is answered for the one that is shown.
    std::fs::copy(served.studies.join("two.nii.gz"), served.studies.join("one.nii.gz")).unwrap();
    for reply in [
        served.post(&format!("/api/mask?{query}"), &request(&[BALLS[0]])),
        served.get(&format!("/api/volume?{query}")),
        download(&[BALLS[0]]),
    ] {
        assert!(reply.status == 409 && reply.detail().contains("has changed"), "{}", reply.text());
    }
    let other = served.post("/api/mask?study=one", &request(&[BALLS[0]])).last_line();
    assert_eq!(mask_of_runs(&other), expected(&served.studies.join("two.nii.gz"), BALLS[0], THRESHOLD));
    assert_ne!(other["mask_sha256"], alone["mask_sha256"], "equal masks would hide a mix-up");
}

#[test]
fn an_upload_is_an_image_until_it_is_forgotten() {
    let served = Served::start();
    let bytes = std::fs::read(served.studies.join("two.nii.gz")).unwrap();
    let send = |name: &str, body: &[u8]| {
        let url = served.url(&format!("/api/uploads?name={name}"));
        crate::support::reply(crate::support::agent().post(url).send(body))
    };
    let reply = send("..%2F..%2Fct.nii.gz", &bytes).json();
    assert_eq!(
        (reply["name"].as_str(), reply["bytes"].as_u64()),
        (Some("ct.nii.gz"), Some(bytes.len() as u64))
    );
    let upload = reply["upload"].as_str().unwrap();
    let image = served.get(&format!("/api/image?upload={upload}")).json();
    assert_eq!(image["shape_ijk"], json!([64, 56, 30]));
    let volume = volume_of(&served.get(&format!("/api/volume?upload={upload}")).body, "volume.nii");
    assert_eq!(volume.data, bright::volume(20).mapv(f32::from));
    assert_eq!(volume.grid, bright::grid());
    let mask = served.post(&format!("/api/mask?upload={upload}"), &request(&[BALLS[1]])).last_line();
    assert_eq!(mask_of_runs(&mask), expected(&served.studies.join("two.nii.gz"), BALLS[1], THRESHOLD));

    assert_eq!(served.delete(&format!("/api/uploads/{upload}")).status, 200);
    let gone = served.get(&format!("/api/image?upload={upload}"));
    assert!(gone.status == 404 && gone.detail().contains("send the image again"), "{gone:?}");

    // What is no volume is said of it by the name its owner knows.
    let upload = send("notes.txt", b"not a volume at all, but long enough").json();
    let refused = served.get(&format!("/api/image?upload={}", upload["upload"].as_str().unwrap()));
    assert!(refused.status == 400 && refused.detail().starts_with("notes.txt: "), "{refused:?}");
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let served = Served::start();
    let click = |ijk: [f64; 3]| json!({ "clicks": [{ "ijk": ijk }], "threshold": 0.5 });
    let negative = json!({ "clicks": [{ "ijk": [1, 2, 3] }, { "ijk": [1, 2, 3], "label": "negative" }], "threshold": 0.5 });
    let many: Vec<Value> = (0..101).map(|_| json!({ "ijk": [1, 2, 3] })).collect();
    for (path, body, status, words) in [
        ("?study=one", click([64.0, 0.0, 0.0]), 400, "i runs from 0 to 63"),
        ("?study=one", click([-1.0, 0.0, 0.0]), 400, "outside"),
        ("?study=one", click([0.5, 0.0, 0.0]), 400, "whole numbers"),
        ("?study=one", json!({ "clicks": [], "threshold": 0.5 }), 400, "no click"),
        ("?study=one", json!({ "clicks": many, "threshold": 0.5 }), 400, "at most 100"),
        ("?study=one", negative, 400, "negative clicks need weights"),
        ("?study=one", json!({ "clicks": [{ "ijk": [1, 2, 3] }], "threshold": 1.0 }), 400, "between 0 and 1"),
        ("?study=one", json!({ "clicks": "all" }), 422, "clicks"),
        ("?study=three", click([1.0; 3]), 404, "three"),
        ("?study=../studies/one", click([1.0; 3]), 404, "no study"),
        ("?study=one.nii.gz", click([1.0; 3]), 404, "no study"),
        ("?upload=00", click([1.0; 3]), 404, "session"),
        ("?study=one&upload=00", click([1.0; 3]), 400, "one of study and upload"),
        ("?study=one&series=1.2", click([1.0; 3]), 400, "one of study and upload"),
        ("?upload=00&series=../x", click([1.0; 3]), 400, "unique identifier"),
        ("", click([1.0; 3]), 400, "one of study and upload"),
        ("?image=one", click([1.0; 3]), 400, "image"),
    ] {
        let reply = served.post(&format!("/api/mask{path}"), &body);
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.text());
        assert!(reply.detail().contains(words), "{path} {body}: {}", reply.text());
    }
}

/// Weights that know labelled points take clicks outside the target, in every form.
#[test]
fn labelled_points_are_taken_where_the_weights_know_them() {
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().point_labels = true;
    let served = Served::of(config, 1 << 30, |_| {});
    assert_eq!(served.get("/api/state").json()["negative_clicks"], true);
    let outside = BALLS[0].map(|index| index + 5);
    let mut clicks = request(&[BALLS[0], outside]);
    clicks["clicks"][1]["label"] = "negative".into();
    assert_eq!(served.post("/api/mask?study=one", &clicks).last_line()["stage"], "done");
    let params = json!({ "foreground": [BALLS[0]], "background": [outside] }).to_string();
    let form = [("params", None, params.as_bytes())];
    assert_eq!(served.form("POST", "/infer/sam3d?image=one", &form).status, 200);
    clicks["clicks"].as_array_mut().unwrap().remove(0);
    let alone = served.post("/api/mask?study=one", &clicks);
    assert!(alone.status == 400 && alone.detail().contains("no click inside"), "{}", alone.text());
}

/// Every file the page names is there, nothing comes from elsewhere, and the bundle is the one its checksums speak of.
#[test]
fn the_page_is_whole() {
    let served = Served::start();
    let index = served.get("/");
    assert!(index.kind.starts_with("text/html"), "{}", index.kind);
    let mut waiting = vec![index.text()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(text) = waiting.pop() {
        assert!(!text.contains("http://localhost") && !text.contains("cdn"), "{text}");
        // Every address is relative, so that the page works below any path.
        assert!(
            !text.contains("'/page/") && !text.contains("\"/page/") && !text.contains("'/api/"),
            "{text}"
        );
        let parts = text.split(['"', '\'']);
        for name in parts.filter_map(|part| part.strip_prefix("page/").or_else(|| part.strip_prefix("./"))) {
            if seen.insert(name.to_owned()) {
                let reply = served.get(&format!("/page/{name}"));
                assert_eq!(reply.status, 200, "{name}");
                if !name.starts_with("vendor/") {
                    waiting.push(reply.text());
                }
            }
        }
    }
    let files: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(files.len(), 24, "{files:?}");
    assert_eq!(served.get("/page/../Cargo.toml").status, 404);
    assert_eq!(served.get("/page/none.js").status, 404);
}
