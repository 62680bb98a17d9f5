//! Prompts of every kind, in the form of the session log.

use ndarray::Array3;
use sam3d_geom::PointLabel::{Negative, Positive};
use sam3d_infer::{LogStep, MaskRuns, Prompt, SessionLog};
use sam3d_io::ReadLimits;
use sam3d_model::ModelConfig;
use serde_json::{Value, json};

use crate::{
    bright::{self, BALLS, THRESHOLD},
    support::{Served, mask_of_runs, segmenter, volume_of},
};

fn dense_config() -> ModelConfig {
    let mut config = bright::config();
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    config
}

/// One of every kind around the first ball.
fn prompts() -> Vec<Prompt> {
    let [i, j, k] = BALLS[0];
    let rough = Array3::from_shape_fn(bright::grid().shape_kji(), |(z, y, x)| {
        u8::from(x.abs_diff(i) < 4 && y.abs_diff(j) < 3 && z.abs_diff(k) < 3)
    });
    let outline = [[i - 6, j - 6, k], [i + 6, j - 6, k], [i, j + 7, k]];
    vec![
        Prompt::Mask(MaskRuns::of(rough.view())),
        Prompt::Box { first: [i - 6, j - 6, k - 4], last: [i + 6, j + 6, k + 4], label: Positive },
        Prompt::click([i, j, k], Positive),
        Prompt::Scribble { path: vec![[i + 9, j, k], [i + 9, j + 8, k]], width: 3.0, label: Negative },
        Prompt::Lasso { outline: outline.map(|corner| corner.map(|n| n as f64)).to_vec(), label: Positive },
        Prompt::click([i + 8, j + 8, k], Negative),
    ]
}

fn request(prompts: &[Prompt]) -> Value {
    json!({ "prompts": prompts, "threshold": THRESHOLD })
}

#[test]
fn prompts_of_every_kind_give_the_mask_of_their_session() {
    let served = Served::of(dense_config(), 1 << 30, |_| {});
    let state = served.get("/api/state").json();
    assert_eq!((&state["shapes"], &state["negative_clicks"]), (&json!(true), &json!(true)));
    let volume = sam3d_io::read(&served.studies.join("one.nii.gz"), ReadLimits::default()).unwrap();
    let mut session = segmenter(&dense_config(), 0).session(volume).unwrap();
    let mut masks = Vec::new();
    for count in 1..=prompts().len() {
        session.add(prompts()[count - 1].clone()).unwrap();
        let line = served.post("/api/mask?study=one", &request(&prompts()[..count])).last_line();
        let mask = mask_of_runs(&line);
        assert_eq!(mask, session.mask(THRESHOLD).unwrap(), "{count} prompts");
        // What was sent is what the log has, and the log replays.
        let log = SessionLog::from_json(&line["log"].to_string()).unwrap();
        let sent: Vec<LogStep> =
            prompts()[..count].iter().map(|prompt| LogStep::of([prompt.clone()])).collect();
        assert_eq!((log.steps(), &log), (&sent[..], &session.log().unwrap()));
        masks.push(mask);
    }
    assert_ne!(masks[0], masks[1], "the initial mask is the answer until the box corrects it");
    let mut object = request(&prompts());
    object["name"] = "tumour".into();
    object["colour"] = json!([1.0, 0.0, 0.0]);
    let file = json!({ "format": ".nii.gz", "objects": [object] });
    let reply = served.post("/api/segmentation?study=one", &file);
    assert_eq!(volume_of(&reply.body, "mask.nii.gz").data, masks[5].mapv(f32::from));

    let clicks = json!({ "clicks": [{ "ijk": BALLS[1] }], "threshold": THRESHOLD });
    let both = [clicks, request(&[Prompt::click(BALLS[1], Positive)])]
        .map(|body| served.post("/api/mask?study=one", &body).last_line()["runs"].clone());
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_click_that_the_mask_contradicts_is_named_among_all_prompts() {
    let served = Served::of(dense_config(), 1 << 30, |_| {});
    let whole = Prompt::Box { first: [4, 8, 6], last: [24, 28, 14], label: Positive };
    let prompts = [whole, Prompt::click(BALLS[0], Positive), Prompt::click([2, 2, 2], Positive)];
    assert_eq!(served.post("/api/mask?study=one", &request(&prompts)).last_line()["missed"], json!([2]));
}

#[test]
fn prompts_that_cannot_be_taken_are_refused_before_the_network_runs() {
    let served = Served::of(dense_config(), 1 << 30, |_| {});
    let voxel = |at: usize| [at % 60, at / 60 % 50, 9];
    let click = Prompt::click([1, 2, 3], Positive);
    let stroke =
        |voxels: usize, label| Prompt::Scribble { path: (0..voxels).map(voxel).collect(), width: 3.0, label };
    let mask = |runs: Vec<[usize; 2]>| Prompt::Mask(MaskRuns { shape_ijk: [64, 56, 30], runs });
    let a_box = |last| Prompt::Box { first: [1, 1, 1], last, label: Positive };
    let bad = |prompts: &[Prompt]| request(prompts);
    let unknown = json!({ "prompts": [{ "circle": { "at": [1, 2, 3] } }], "threshold": 0.5 });
    for (body, status, words) in [
        (bad(&[]), 400, "no prompt inside"),
        (bad(&[stroke(1, Negative)]), 400, "no prompt inside"),
        (bad(&[stroke(1, Negative), click.clone()]), 400, "begin with one inside"),
        (bad(&vec![click.clone(); 101]), 400, "101 prompts, at most 100"),
        (bad(&[stroke(2500, Positive), stroke(2501, Positive)]), 400, "5001 corners"),
        (bad(&[mask((0..100_001).map(|at| [at, 1]).collect())]), 400, "100001 runs"),
        (bad(&[a_box([1, 56, 1])]), 400, "j from 0 to 55"),
        (bad(&[click.clone(), mask(vec![[0, 4], [3, 4]])]), 400, "ascending"),
        (bad(&[mask(vec![[107_519, 2]])]), 400, "outside the volume"),
        (bad(&[mask(vec![])]), 400, "empty"),
        (bad(&[stroke(200, Positive), stroke(0, Positive)]), 400, "at least one voxel"),
        (bad(&[Prompt::resampled_click(sam3d_geom::Point::positive([999, 0, 0]))]), 400, "999"),
        (unknown, 422, "circle"),
        (json!({ "threshold": 0.5 }), 400, "one of clicks and prompts"),
        (json!({ "clicks": [], "prompts": [], "threshold": 0.5 }), 400, "one of clicks and prompts"),
    ] {
        let reply = served.post("/api/mask?study=one", &body);
        let sent: String = body.to_string().chars().take(200).collect();
        assert_eq!(reply.status, status, "{sent}: {}", reply.text());
        assert!(reply.detail().contains(words), "{sent}: {}", reply.text());
    }

    let plain = Served::start();
    let state = plain.get("/api/state").json();
    assert_eq!(state["shapes"], false);
    let reply = plain.post("/api/mask?study=one", &bad(&[a_box([5, 5, 5])]));
    assert!(reply.status == 400 && reply.detail().contains("dense_prompts"), "{}", reply.text());
    assert_eq!(reply.detail(), state["shapes_refused"].as_str().unwrap());
}
