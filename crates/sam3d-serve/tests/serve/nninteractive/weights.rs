use ndarray::Array3;
use sam3d_geom::PointLabel::Positive;
use sam3d_infer::{Prompt, SessionLog};
use sam3d_nnia::{ElementType, pack};
use serde_json::{Value, json};

use super::viewer::{BRIGHT_SPACING, Viewer, bright_image, volume};
use crate::{
    bright::{self, BALLS},
    support::{Served, segmenter},
};

#[test]
fn capabilities_are_what_the_weights_accept() {
    let supported = |served: &Served| served.get("/capabilities").json()["supported_interactions"].clone();
    let all = |shapes: bool| json!({ "points": true, "scribble": shapes, "lasso": shapes, "bbox2d": shapes, "bbox3d": shapes });
    assert_eq!(supported(&Served::start()), all(false));
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    assert_eq!(supported(&Served::of(config, 1 << 30, |_| {})), all(true));
}

/// Weights that take clicks inside the target alone.
#[test]
fn a_mask_that_the_weights_do_not_see_counts_outside_of_the_answer() {
    let served = Served::start();
    let mut viewer = Viewer::with_image(&served, &bright_image(), BRIGHT_SPACING);
    let shape = [30, 56, 64];
    // A column through the whole volume beside the first ball, far beyond the crop.
    let begun = Array3::from_shape_fn(shape, |(_, j, i)| u8::from(j.abs_diff(20) < 2 && i < 60));
    let body = pack(ElementType::Bool, shape, begun.iter().map(|value| *value != 0));
    let told = viewer.send("/add_initial_seg_interaction", Some(&json!({ "run_prediction": false })), &body);
    viewer.mask.assign(&begun);
    assert!(!viewer.paste(&told));
    assert_eq!(viewer.mask, begun);

    let [i, j, k] = BALLS[0];
    assert!(viewer.click([k, j, i], true));
    let network = segmenter(&bright::config(), 0);
    let mut session = network.session(volume(&bright_image(), BRIGHT_SPACING)).unwrap();
    session.add(Prompt::click(BALLS[0], Positive)).unwrap();
    let part = session.mask_part(0.5).unwrap();
    let mut expected = begun.clone();
    for ((dk, dj, di), value) in part.values.indexed_iter() {
        expected[[part.start[0] + dk, part.start[1] + dj, part.start[2] + di]] = *value;
    }
    assert_eq!(viewer.mask, expected);
    assert!(expected != begun && expected != session.mask(0.5).unwrap());
    let log = SessionLog::from_json(&viewer.get("/session_log").text()).unwrap();
    assert_eq!(log, session.log().unwrap());

    // Undone: the mask to begin from again; reset: nothing.
    let told = viewer.post("/undo", &json!({}));
    assert!(viewer.paste(&told));
    assert_eq!(viewer.mask, begun);
    let told = viewer.post("/undo", &json!({}));
    assert!(!viewer.paste(&told), "one level");
    assert_eq!(viewer.post("/reset_interactions", &json!({})).json(), json!({}));
    viewer.mask.fill(0);
    assert!(viewer.click([k, j, i], true));
    assert_eq!(viewer.mask, session.mask(0.5).unwrap());
    // A new buffer is zero: the next answer brings all of the mask.
    viewer.post("/set_target_buffer", &json!({ "shape": shape, "dtype": "uint8" }));
    viewer.mask.fill(0);
    assert!(viewer.click([k, j, i + 1], true));
    session.add(Prompt::click([i + 1, j, k], Positive)).unwrap();
    assert_eq!(viewer.mask, session.mask(0.5).unwrap());
}

#[test]
fn what_the_weights_do_not_understand_is_refused_by_name() {
    let served = Served::start();
    let viewer = Viewer::with_image(&served, &bright_image(), BRIGHT_SPACING);
    let negative = json!({ "coordinates": [1, 2, 3], "include_interaction": false });
    let region = json!({ "bbox_coords": [[1, 2], [0, 5], [0, 5]], "include_interaction": true,
        "override_capability_checks": true });
    for (path, body, words) in [
        ("/add_point_interaction", negative, "negative clicks need weights"),
        ("/add_bbox_interaction", region, "boxes, lassos, scribbles and masks need weights"),
    ] {
        let told = viewer.post(path, &body);
        assert!(told.status == 400 && told.detail().contains(words), "{}", told.text());
    }
}

/// A click outside the target alone waits for one inside; queued clicks are answered together.
#[test]
fn prompts_wait_for_one_inside_the_target() {
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    let served = Served::of(config.clone(), 1 << 30, |_| {});
    let mut viewer = Viewer::with_image(&served, &bright_image(), BRIGHT_SPACING);
    let [i, j, k] = BALLS[0];
    assert!(!viewer.click([k, j + 9, i], false));
    let body = json!({ "coordinates": [k, j, i + 1], "include_interaction": true, "run_prediction": false });
    let told = viewer.post("/add_point_interaction", &body);
    assert!(!viewer.paste(&told));
    assert_eq!(viewer.post("/set_do_autozoom", &json!({ "do_autozoom": true })).json(), json!({}));
    assert!(viewer.click([k, j, i], true));
    let log: Value = viewer.get("/session_log").json();
    let voxels: Vec<Value> = log["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["prompts"][0]["click"]["at"]["voxel"].clone())
        .collect();
    assert_eq!(voxels, [json!([i + 1, j, k]), json!([i, j + 9, k]), json!([i, j, k])]);
    // Zooming out is a matter of the steps that follow.
    let crops: Vec<&Value> =
        log["steps"].as_array().unwrap().iter().map(|step| &step["grow"]["crops"]).collect();
    assert_eq!(crops, [&Value::Null, &Value::Null, &json!(8)]);
    let told = viewer.post("/predict", &json!({ "force_full_refine": true }));
    assert!(!viewer.paste(&told), "nothing is queued");
}
