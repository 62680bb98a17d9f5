//! `sam3d study` on small generated volumes: a table of three rows, one of which fails at first, and a study that is killed.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use assert_cmd::cargo::cargo_bin;
use ndarray::Array3;
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite, nifti};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    support::{failure_of, sam3d, split_in_three, stdout_of},
    train::resume::CONFIG,
};

/// Three small volumes with a ball in each: one to train on, one to validate, one to test.
fn prepare(directory: &Path) {
    let affine =
        Affine::new([[-1.5, 0.0, 0.0, 30.0], [0.0, -1.5, 0.0, 30.0], [0.0, 0.0, 2.0, -30.0]]).unwrap();
    let grid = Grid::from_affine([40, 36, 32], affine).unwrap();
    for case in 0..3 {
        let place = directory.join(format!("case_{case}"));
        fs::create_dir_all(&place).unwrap();
        let is_inside = |(k, j, i): (usize, usize, usize)| {
            let [x, y, z] =
                [i as f64 - 20.0, j as f64 - 16.0 - f64::from(case), (k as f64 - 16.0) * 4.0 / 3.0];
            x * x + y * y + z * z < 64.0
        };
        let label = Array3::from_shape_fn(grid.shape_kji(), |at| u8::from(is_inside(at)));
        let image = label.mapv(|label| 60 + 30 * i16::from(label));
        nifti::write(&place.join("image.nii.gz"), image.view(), &grid, Overwrite::Replace).unwrap();
        nifti::write(&place.join("label.nii.gz"), label.view(), &grid, Overwrite::Replace).unwrap();
    }
    split_in_three(directory);
}

const STUDY: [&str; 15] = [
    "study",
    "--config",
    "base.toml",
    "--dataset",
    "demo",
    "--rows",
    "ours,nnformer,ours-auto",
    "--steps-per-row",
    "2",
    "--clicks",
    "1",
    "--threads",
    "1",
    "--set",
    "train.save_every_steps=1",
];

/// The lines of `study.json` without what depends on the time.
fn lines(out: &Path) -> Vec<Value> {
    let study: Value = serde_json::from_slice(&fs::read(out.join("study.json")).unwrap()).unwrap();
    let mut lines = study["lines"].as_array().unwrap().clone();
    for training in lines.iter_mut().filter_map(|line| line["training"].as_object_mut()) {
        let (minutes, peak) =
            (training.remove("minutes").unwrap(), training.remove("peak_memory_bytes").unwrap());
        assert!(minutes.as_f64().unwrap() > 0.0 && (peak.is_null() || peak.as_u64().unwrap() > 1 << 20));
    }
    lines
}

/// Starts the study, kills it in the middle of the first training, and gives how many steps were taken by then.
fn kill_within_the_first_training(place: &Path, out: &str) {
    let mut command = Command::new(cargo_bin("sam3d"));
    command.current_dir(place).args(STUDY).args(["--out", out]);
    let mut study = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let state = place.join(out).join("units/ours/fold0-seed0/run/state.safetensors");
    let begun = Instant::now();
    while !state.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was saved");
        assert_eq!(study.try_wait().unwrap(), None, "the study ended before it was killed");
        thread::sleep(Duration::from_millis(5));
    }
    study.kill().unwrap();
    study.wait().unwrap();
    assert!(!place.join(out).join("units/ours/fold0-seed0/training.json").exists(), "killed too late");
}

#[test]
fn a_failed_row_is_reported_and_tried_again_and_a_killed_study_goes_on_to_the_same_table() {
    let place = tempdir().unwrap();
    prepare(&place.path().join("data/demo"));
    // Two steps, each saved.
    let config = CONFIG
        .replace("crops_per_case = 12", "crops_per_case = 2")
        .replace("accumulate = 2", "accumulate = 1");
    fs::write(place.path().join("base.toml"), config).unwrap();
    let study = |out: &str| {
        let mut command = sam3d(place.path());
        command.args(STUDY).args(["--out", out]);
        command
    };

    // A damaged state, from which no training can go on.
    let straight = place.path().join("straight");
    let blocked = straight.join("units/nnformer/fold0-seed0/run");
    fs::create_dir_all(&blocked).unwrap();
    fs::write(blocked.join("state.safetensors"), "in the way").unwrap();
    let output = study("straight").assert().code(1).get_output().clone();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("1 of 3 units failed") && said.contains("nnformer, fold 0, seed 0: training"),
        "{said}"
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("no scores"));
    let table = fs::read_to_string(straight.join("study.md")).unwrap();
    assert!(
        table.contains("| failed |") && table.contains("- nnformer, fold 0, seed 0: training:"),
        "{table}"
    );
    assert_eq!(lines(&straight)[4]["dice"], Value::Null);

    fs::remove_dir_all(&blocked).unwrap();
    let printed = stdout_of(&mut study("straight"));
    assert!(printed.contains("1 click, 5 corrections") && !printed.contains("no scores"), "{printed}");
    let report = fs::read_to_string(straight.join("report.html")).unwrap();
    assert!(report.contains("nnFormer"), "{report}");
    let finished = lines(&straight);
    let prompts: Vec<&str> = finished.iter().map(|line| line["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["1 click", "3 clicks", "10 clicks", "1 click, 5 corrections", "none", "none"]);
    for line in &finished {
        assert_eq!((&line["training"]["steps"], &line["units"]), (&2.0.into(), &serde_json::json!([1, 1])));
        assert!(line["dice"]["cases"]["count"] == 1 && line["nsd"]["cases"]["mean"].is_f64(), "{line}");
    }

    kill_within_the_first_training(place.path(), "killed");
    stdout_of(&mut study("killed"));
    assert_eq!(lines(&place.path().join("killed")), finished);

    // The same directory is not for another study.
    let said = failure_of(study("straight").args(["--set", "optimiser.learning_rate=1e-3"]), 1);
    assert!(said.contains("ours, fold 0, seed 0 was begun with another configuration"), "{said}");
}

#[test]
fn rows_are_listed_and_unknown_ones_refused() {
    let place = tempdir().unwrap();
    let list = stdout_of(sam3d(place.path()).args(["study", "--list"]));
    for word in ["ours-published", "variant.tuning=st_adapter", "swin_unetr", "the weights of ours-published"]
    {
        assert!(list.contains(word), "{word}: {list}");
    }
    let said = failure_of(
        sam3d(place.path()).args(["study", "--out", "o", "--rows", "unet", "--steps-per-row", "1"]),
        1,
    );
    assert!(said.contains("rows is unet"), "{said}");
    let said = failure_of(sam3d(place.path()).args(["study", "--out", "o", "--rows", "ours"]), 1);
    assert!(said.contains("--minutes-per-row"), "{said}");
}
