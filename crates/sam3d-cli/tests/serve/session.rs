use ndarray::Array3;
use serde_json::{Value, json};

use crate::{
    bright::{BALLS, THRESHOLD},
    support::{Place, Program},
};

/// What the page is told of the mask for `clicks`: the last line of the answer.
fn asked(program: &Program, clicks: &[[usize; 3]]) -> Value {
    let clicks: Vec<Value> = clicks.iter().map(|ijk| json!({ "ijk": ijk, "label": "positive" })).collect();
    let body = json!({ "clicks": clicks, "threshold": THRESHOLD }).to_string();
    let url = format!("{}api/mask?study=one", program.address);
    let mut reply = ureq::post(url).header("content-type", "application/json").send(body).unwrap();
    let text = reply.body_mut().read_to_string().unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn mask_of(answer: &Value) -> Array3<f32> {
    let mut mask = Array3::zeros(crate::bright::grid().shape_kji());
    let voxels = mask.as_slice_mut().unwrap();
    let runs: Vec<usize> = serde_json::from_value(answer["runs"].clone()).unwrap();
    runs.chunks(2).for_each(|run| voxels[run[0]..run[0] + run[1]].fill(1.0));
    mask
}

/// Five prompts one after another, through both objects of the image, and their log through the command line: the same
/// voxels. One click: those of `--point`.
#[test]
fn the_log_of_an_answer_replays_to_its_mask() {
    let place = Place::new();
    let program = place.serve(&[]);
    let [first, second] = BALLS;
    let beside = |[i, j, k]: [usize; 3], by: usize| [i + by, j, k + by];
    let clicks = [first, beside(first, 2), second, beside(second, 1), beside(first, 1)];
    let mut masks = Vec::new();
    for count in 1..=clicks.len() {
        let answer = asked(&program, &clicks[..count]);
        assert_eq!(answer["stage"], "done", "{answer}");
        assert_eq!(answer["log"]["steps"].as_array().unwrap().len(), count);
        std::fs::write(place.path("session.json"), answer["log"].to_string()).unwrap();
        let mask = mask_of(&answer);
        assert_eq!(mask, place.replay("one", "session.json", THRESHOLD), "{count} clicks");
        masks.push(mask);
    }
    assert_eq!(masks[0], place.segment("one", first, THRESHOLD));
    assert!(
        masks.windows(2).any(|pair| pair[0] != pair[1]),
        "clicks that change nothing would hide a mix-up"
    );
    assert!(masks.iter().all(|mask| mask.sum() > 0.0));
}
