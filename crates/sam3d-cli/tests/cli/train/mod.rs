//! `sam3d train`, `eval` and `convert` on a small prepared dataset.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

mod distributed;
pub(crate) mod resume;
mod variants;

use std::{fs, path::Path};

use sam3d_testkit::golden_path;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, prepare_demo, sam3d, stdout_of};

/// Settings under which an epoch takes seconds.
const QUICK: [&str; 4] = [
    "--set",
    "train.epochs=4",
    "--set",
    "augmentation={shift_hu=0.0,shift_probability=0.0,resampling=\"none\",first_crop_factor=1.2,target_probability=1.0,flip_probability=0.0,quarter_turn_probability=0.0}",
];

fn losses(run: &Path) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let loss = |line: &str| serde_json::from_str::<Value>(line).unwrap()["train_loss"].as_f64().unwrap();
    text.lines().map(loss).collect()
}

#[test]
fn a_run_is_resumed_as_if_nothing_had_happened_and_evaluated() {
    let place = tempdir().unwrap();
    prepare_demo(&place.path().join("data/demo"));
    let train = |out: &str, extra: &[&str]| {
        let mut command = sam3d(place.path());
        command.args(["train", "--json", "--seed", "5", "--out", out]).args(QUICK).args(extra);
        serde_json::from_str::<Value>(&stdout_of(&mut command)).unwrap()
    };
    let straight = train("straight", &[]);
    assert_eq!(straight["progress"]["epochs"], 4);
    let losses_straight = losses(&place.path().join("straight"));
    assert!(losses_straight[3] < losses_straight[0], "{losses_straight:?}");

    // The limit ends the second run before its first epoch's end is followed by another.
    let cut = train("cut", &["--set", "train.max_minutes=1e-6", "--set", "train.validate_every=1"]);
    assert_eq!((&cut["progress"]["epochs"], &cut["ended"]), (&0.into(), &"out_of_time".into()));
    let message = failure_of(sam3d(place.path()).args(["train", "--out", "cut"]).args(QUICK), 1);
    assert!(message.contains("--resume"), "{message}");
    // A run that saved nothing is in nobody's way, but there is nothing to go on from.
    fs::remove_file(place.path().join("cut/state.safetensors")).unwrap();
    let message = failure_of(sam3d(place.path()).args(["train", "--out", "cut", "--resume"]), 1);
    assert!(message.contains("state.safetensors") && message.contains("without --resume"), "{message}");
    train("cut", &["--set", "train.stop_after=1"]);
    assert_eq!(losses(&place.path().join("cut")), losses_straight[..1]);

    let weights = |run: &str| fs::read(place.path().join(run).join("last.safetensors")).unwrap();
    train("halves", &["--set", "train.stop_after=2"]);
    assert_eq!(losses(&place.path().join("halves")).len(), 2);
    let mut resume = sam3d(place.path());
    resume.args(["train", "--out", "halves", "--resume", "--set", "train.stop_after=4"]);
    stdout_of(&mut resume);
    assert_eq!(losses(&place.path().join("halves")), losses_straight);
    assert!(weights("straight") == weights("halves"), "weights differ after resuming");

    let mut eval = sam3d(place.path());
    eval.args(["eval", "--run", "straight", "--points", "1,3", "--clicks", "2", "--ball", "--out", "scores"]);
    let table = stdout_of(&mut eval);
    assert!(
        table.contains("1 click ") && table.contains("3 clicks") && table.contains("best ball"),
        "{table}"
    );
    let csv = fs::read_to_string(place.path().join("scores/cases.csv")).unwrap();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert_eq!(fs::read_dir(place.path().join("scores/masks")).unwrap().count(), 2);
}

#[test]
fn a_dry_run_says_what_a_run_would_take_and_leaves_nothing() {
    let place = tempdir().unwrap();
    prepare_demo(&place.path().join("data/demo"));
    let dry =
        |extra: &[&str]| stdout_of(sam3d(place.path()).args(["train", "--dry-run"]).args(QUICK).args(extra));
    let text = dry(&[]);
    for word in ["learning_rate = 0.0004", "0.30 M trained", "1 per epoch", "steps taken", "s per epoch"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // No machine holds this batch, so no step is tried.
    let text = dry(&["--set", "train.batch_size=1000000"]);
    assert!(text.contains("fits in memory    no") && !text.contains("steps taken"), "{text}");
    assert!(!place.path().join("runs").exists());
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let place = tempdir().unwrap();
    let fails = |extra: &[&str]| {
        let message = failure_of(sam3d(place.path()).arg("train").args(extra), 1);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(!place.path().join("runs").exists());
        message
    };
    assert!(fails(&[]).contains("`sam3d prepare-data`"));
    assert!(fails(&["--set", "optimiser.rate=1"]).contains("rate"));
    assert!(fails(&["--set", "train.epochs=0"]).contains("train.epochs"));
    assert!(fails(&["--config", "none.toml"]).contains("none.toml"));
    assert!(fails(&["--dataset", "kits19"]).contains("kits21"));
}

#[test]
fn checkpoints_convert_and_hostile_ones_do_not() {
    let place = tempdir().unwrap();
    let convert = |input: &str, out: &str| {
        let mut command = sam3d(place.path());
        command.args(["convert", "--out", out]).arg("--in").arg(golden_path(input));
        command
    };
    let text = stdout_of(&mut convert("tiny_adapter.pth.tar", "adapter.safetensors"));
    assert!(text.contains("12 blocks of 48 channels") && text.contains("--dataset"), "{text}");
    let text = stdout_of(&mut convert("tiny_sam_2d.pth", "sam.safetensors"));
    assert!(text.contains("(SAM)"), "{text}");
    for name in ["hostile_code.pth", "hostile_truncated.pth"] {
        let message = failure_of(&mut convert(name, "out.safetensors"), 1);
        assert!(message.lines().count() == 1 && message.contains(name), "{message}");
    }
    let mut names: Vec<String> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["adapter.safetensors", "sam.safetensors"]);
}
