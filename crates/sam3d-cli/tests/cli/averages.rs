//! `--tta flips` and several `--weights`, in `segment` and `eval`.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_eval::scores::Scores;
use sam3d_io::{ReadLimits, nifti};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    eval::prepare,
    segment::workplace,
    support::{failure_of, sam3d, stdout_of},
};

fn segment(place: &Path, name: &str, more: &[&str]) -> (Array3<f32>, Value) {
    let [out, probability, log] = ["nii", "p.nii", "json"].map(|ending| format!("result/{name}.{ending}"));
    let mut command = sam3d(place);
    command.args(["segment", "--weights", "weights.safetensors", "--image", "ct.nii.gz", "--out", &out]);
    stdout_of(command.args(["--prob-out", &probability, "--log", &log]).args(more));
    let probability = nifti::read(&place.join(probability), ReadLimits::default()).unwrap().data;
    (probability, serde_json::from_str(&fs::read_to_string(place.join(log)).unwrap()).unwrap())
}

#[test]
fn segment_averages_weights_and_flips_and_logs_both() {
    let place = workplace();
    let click = ["--point", "7,12,8"];
    let (alone, log) = segment(place.path(), "alone", &click);
    let hash = log["weights_sha256"].as_str().unwrap().to_owned();
    let twice = [&click[..], &["--weights", "weights.safetensors"]].concat();
    let (both, log) = segment(place.path(), "both", &twice);
    assert_eq!(both, alone);
    assert_eq!(log["weights_sha256"], serde_json::json!([hash, hash]));

    let flips = [&click[..], &["--tta", "flips"]].concat();
    let (flipped, log) = segment(place.path(), "flipped", &flips);
    assert_ne!(flipped, alone);
    assert_eq!((&log["weights_sha256"], &log["test_time_augmentation"]), (&hash.into(), &"flips".into()));
    let replay = ["--session", "result/flipped.json"];
    let (again, _) = segment(place.path(), "again", &[&replay[..], &["--tta", "flips"]].concat());
    assert_eq!(again, flipped);
    let mut command = sam3d(place.path());
    command.args(["segment", "--weights", "weights.safetensors", "--image", "ct.nii.gz"]);
    let message = failure_of(command.args(["--out", "result/no.nii"]).args(replay), 1);
    assert!(message.contains("augmentation flips, not none") && message.contains("--tta"), "{message}");
    let (forced, _) = segment(place.path(), "forced", &[&replay[..], &["--force-session"]].concat());
    assert_eq!(forced, alone);

    let mut command = sam3d(place.path());
    command.args(["segment", "--weights", "weights.safetensors", "--image", "ct.nii.gz"]);
    command.args(["--weights", "none.safetensors", "--out", "result/no.nii"]).args(click);
    assert!(failure_of(&mut command, 1).contains("none.safetensors"));
}

#[test]
fn eval_averages_weights_and_flips_and_says_so() {
    let place = tempdir().unwrap();
    let place = place.path();
    prepare(place, 1);
    let evaluate = |out: &str, more: &[&str]| {
        let mut command = sam3d(place);
        command.args(["eval", "--weights", "w.safetensors", "--dataset", "demo", "--data", "data"]);
        command.args(["--points", "1", "--masks", "none", "--out", out]).args(more);
        command
    };
    let scores = |out: &str, more: &[&str]| {
        let table = stdout_of(&mut evaluate(out, more));
        (Scores::read(&place.join(out)).unwrap(), table)
    };
    let (one, _) = scores("one", &[]);
    let (two, table) = scores("two", &["--weights", "w.safetensors"]);
    assert!(
        table.contains("mean of 2 networks") && table.contains("w.safetensors and w.safetensors"),
        "{table}"
    );
    assert_eq!(one.cases[0].scores, two.cases[0].scores);
    let hash = &one.identity.weights_sha256;
    assert_eq!(two.identity.weights_sha256, format!("{hash} and {hash}"));
    assert_eq!(two.tuned_parameters, one.tuned_parameters.map(|count| 2 * count));
    let (flipped, _) = scores("flipped", &["--tta", "flips"]);
    assert_eq!(flipped.identity.details.as_deref(), Some("mean over 8 flips"));
    assert_ne!(one.cases[0].scores, flipped.cases[0].scores);
    // Records of another average are not mixed in.
    let refused = failure_of(&mut evaluate("one", &["--tta", "flips", "--resume"]), 1);
    assert!(refused.contains("details"), "{refused}");
    let refused = failure_of(&mut evaluate("no", &["--method", "nnunet", "--tta", "flips"]), 1);
    assert!(refused.contains("--tta flips: only this project's own networks"), "{refused}");
}
