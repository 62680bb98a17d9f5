//! `sam3d metrics` on files.

use sam3d_geom::Affine;
use sam3d_io::Grid;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, grid, sam3d, stdout_of, write_box};

/// Boxes of 2 x 3 x 4 voxels (`[k, j, i]`), one step apart along i.
const TRUTH: ([usize; 3], [usize; 3]) = ([2, 2, 2], [4, 5, 6]);
const PREDICTION: ([usize; 3], [usize; 3]) = ([2, 2, 3], [4, 5, 7]);

#[test]
fn table_and_json_of_two_boxes() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "truth.nii.gz", &grid(), TRUTH, 1);
    write_box(directory.path(), "mask.nii", &grid(), PREDICTION, 1);
    let compare = ["metrics", "--truth", "truth.nii.gz", "--pred", "mask.nii", "--tolerance", "0.5,1"];
    insta::assert_snapshot!(stdout_of(sam3d(directory.path()).args(compare)));

    let json: Value =
        serde_json::from_str(&stdout_of(sam3d(directory.path()).args(compare).arg("--json"))).unwrap();
    assert_eq!(json["dice"], 0.75);
    assert_eq!(json["truth"]["voxels"], 24);
    assert_eq!(json["truth"]["volume_mm3"], 60.0);
    assert_eq!(json["hausdorff_mm"], 1.0);
    assert_eq!(json["surface_dice"][1]["value"], 1.0);
    assert_eq!(json["spacing_ijk_mm"][2], 2.5);
}

#[test]
fn spacing_goes_with_its_axis() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "truth.nii", &grid(), TRUTH, 1);
    // One step along k, where voxels are 2.5 mm apart.
    write_box(directory.path(), "mask.nii", &grid(), ([3, 2, 2], [5, 5, 6]), 1);
    let json = stdout_of(sam3d(directory.path()).args([
        "metrics",
        "--truth",
        "truth.nii",
        "--pred",
        "mask.nii",
        "--json",
    ]));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["hausdorff_mm"], 2.5);
}

#[test]
fn labels_choose_voxels() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "truth.nii", &grid(), TRUTH, 2);
    write_box(directory.path(), "mask.nii", &grid(), TRUTH, 3);
    let dice = |extra: &[&str]| {
        let json = stdout_of(
            sam3d(directory.path())
                .args(["metrics", "--truth", "truth.nii", "--pred", "mask.nii", "--json"])
                .args(extra),
        );
        serde_json::from_str::<Value>(&json).unwrap()["dice"].clone()
    };
    assert_eq!(dice(&[]), 1.0);
    assert_eq!(dice(&["--label", "2"]), 0.0);
    assert_eq!(dice(&["--label", "9"]), Value::Null);
}

#[test]
fn an_empty_mask_is_infinitely_far_and_worth_a_warning() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "truth.nii", &grid(), TRUTH, 1);
    write_box(directory.path(), "empty.nii", &grid(), TRUTH, 0);
    let assert = sam3d(directory.path())
        .args(["metrics", "--truth", "truth.nii", "--pred", "empty.nii", "--json"])
        .assert()
        .success();
    let json: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(json["hausdorff_95_mm"], "inf");
    assert_eq!(json["average_distance_prediction_to_truth_mm"], Value::Null);
    assert_eq!(json["dice"], 0.0);
    assert!(String::from_utf8_lossy(&assert.get_output().stderr).contains("empty.nii: the mask is empty"));
}

#[test]
fn two_grids_are_an_error_that_says_how_they_differ() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "truth.nii", &grid(), TRUTH, 1);
    let moved =
        Affine::new([[-1.0, 0.0, 0.0, 100.0], [0.0, -1.0, 0.0, 50.0], [0.0, 0.0, 2.5, -27.5]]).unwrap();
    let moved = Grid::from_affine([8, 7, 6], moved).unwrap();
    let short = Grid::from_affine([8, 7, 5], *grid().world_from_ijk()).unwrap();
    write_box(directory.path(), "moved.nii", &moved, TRUTH, 1);
    write_box(directory.path(), "short.nii", &short, TRUTH, 1);
    let error = |prediction: &str| {
        failure_of(sam3d(directory.path()).args(["metrics", "--truth", "truth.nii", "--pred", prediction]), 1)
    };
    insta::assert_snapshot!(error("moved.nii") + &error("short.nii"));
}

#[test]
fn a_prediction_on_another_grid_is_resampled_if_asked() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "truth.nii", &grid(), TRUTH, 1);
    // The same place in the world, with slices in reverse order.
    let turned =
        Affine::new([[-1.0, 0.0, 0.0, 100.0], [0.0, -1.0, 0.0, 50.0], [0.0, 0.0, -2.5, -17.5]]).unwrap();
    let turned = Grid::from_affine([8, 7, 6], turned).unwrap();
    write_box(directory.path(), "turned.nii", &turned, ([2, 2, 2], [4, 5, 6]), 1);
    let compare = ["metrics", "--truth", "truth.nii", "--pred", "turned.nii", "--json"];
    assert!(failure_of(sam3d(directory.path()).args(compare), 1).contains("--resample-pred"));
    let json = stdout_of(sam3d(directory.path()).args(compare).arg("--resample-pred"));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["dice"], 1.0);
}

#[test]
fn directories_and_several_labels() {
    let directory = tempdir().unwrap();
    for name in ["truth", "pred"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    for case in ["a", "b"] {
        write_box(directory.path(), &format!("truth/{case}.nii.gz"), &grid(), TRUTH, 1);
    }
    write_box(directory.path(), "pred/a.nii", &grid(), TRUTH, 1);
    write_box(directory.path(), "pred/b.nii", &grid(), PREDICTION, 1);
    let run = |more: &[&str]| {
        let mut command = sam3d(directory.path());
        command.args(["metrics", "--truth", "truth", "--pred", "pred", "--label", "1,2"]).args(more);
        command
    };
    let json: Value = serde_json::from_str(&stdout_of(&mut run(&["--json"]))).unwrap();
    assert_eq!(json["results"].as_array().unwrap().len(), 4);
    assert_eq!(json["means"][0]["dice"], serde_json::json!({"mean": 0.875, "count": 2}));
    // Nobody has label 2, so nothing is defined and nothing enters the mean.
    assert_eq!(json["means"][1]["dice"], serde_json::json!({"mean": null, "count": 0}));
    insta::assert_snapshot!(stdout_of(&mut run(&[])) + "---\n" + &stdout_of(&mut run(&["--csv"])));

    write_box(directory.path(), "truth/only.nii", &grid(), TRUTH, 1);
    let assert = run(&[]).assert().code(1);
    let message = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(message.contains("1 of 3 pairs") && message.contains("only: no prediction"), "{message}");
    assert!(String::from_utf8_lossy(&assert.get_output().stdout).contains("failed: only"));
}
