//! Variants of the network, from the data to their scores.

use std::fs;

use sam3d_testkit::golden_path;
use serde_json::Value;
use tempfile::tempdir;

use super::QUICK;
use crate::support::{prepare_demo, sam3d, stdout_of};

#[test]
fn a_prompt_free_network_with_another_tuning_is_trained_and_scored() {
    let place = tempdir().unwrap();
    prepare_demo(&place.path().join("data/demo"));
    let mut train = sam3d(place.path());
    train
        .args(["train", "--out", "run", "--model", "tiny", "--pretrained"])
        .arg(golden_path("tiny_sam_2d.pth"));
    train.args(QUICK).args(["--set", "train.epochs=1"]);
    train.args(["--set", "variant.auto=true", "--set", "variant.tuning=st_adapter"]);
    stdout_of(&mut train);
    let line: Value =
        serde_json::from_str(fs::read_to_string(place.path().join("run/metrics.jsonl")).unwrap().trim())
            .unwrap();
    let norms: Vec<f64> = serde_json::from_value(line["grad_norms"].clone()).unwrap();
    assert!(norms[0] > 0.0 && norms[1] == 0.0 && norms[2] > 0.0, "{norms:?}");
    let info = stdout_of(sam3d(place.path()).args(["info", "run/best.safetensors"]));
    assert!(info.contains("without prompts"), "{info}");

    let mut eval = sam3d(place.path());
    eval.args(["eval", "--method", "auto", "--run", "run", "--points", "1,3", "--json"]);
    let report: Value = serde_json::from_str(&stdout_of(&mut eval)).unwrap();
    let scores = report["cases"][0]["scores"].as_array().unwrap();
    // Once for the case, whatever the numbers of clicks.
    assert_eq!((scores.len(), &scores[0]["points"]), (1, &0.into()), "{report}");
}
