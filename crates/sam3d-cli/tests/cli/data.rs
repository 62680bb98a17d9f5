//! `prepare-data`, `dataset-stats` and `fetch-weights`, which run what `cargo xtask` runs.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_data::{dataset::PreparedDataset, splits::Part};
use sam3d_io::{atomic::Overwrite, nifti};

use crate::support::{failure_of, grid, sam3d, stdout_of, write_box};

/// A case of the layout of `sts-ct`, whose label has a box of target.
fn write_case(directory: &Path, case: &str) {
    let directory = directory.join(case);
    fs::create_dir_all(&directory).unwrap();
    let grid = grid();
    let image = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| (10 * k + j + i) as i16);
    nifti::write(&directory.join("CT_image.nii.gz"), image.view(), &grid, Overwrite::Refuse).unwrap();
    write_box(&directory, "CT_mask.nii.gz", &grid, ([1, 1, 1], [4, 5, 6]), 1);
}

#[test]
fn a_directory_of_cases_becomes_a_prepared_dataset() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    for case in ["STS_1", "STS_2", "STS_3", "STS_4", "STS_5"] {
        write_case(&place.join("source"), case);
    }
    fs::remove_file(place.join("source/STS_5/CT_mask.nii.gz")).unwrap();
    let prepare = |more: &[&str]| {
        let mut command = sam3d(place);
        command.args(["prepare-data", "--dataset", "sts-ct", "--source", "source", "--seed", "3"]).args(more);
        command
    };
    let report: serde_json::Value = serde_json::from_str(&stdout_of(&mut prepare(&["--json"]))).unwrap();
    assert_eq!((&report["found"], &report["checked"]), (&5.into(), &5.into()));
    assert_eq!(report["dropped"][0]["case"], "STS_5");
    assert_eq!(report["folds"][0]["train"], 2);
    let prepared = PreparedDataset::open(&place.join("data/sts-ct")).unwrap();
    assert_eq!((prepared.splits.seed, prepared.cases.len()), (3, 4));
    assert_eq!(prepared.part(0, Part::Train).unwrap().len(), 2);

    // Two jobs, and their results put together: the same.
    for shard in ["2/2", "1/2"] {
        assert!(stdout_of(&mut prepare(&["--out", "jobs", "--shard", shard])).contains("--merge 2"));
    }
    let merge = ["prepare-data", "--dataset", "sts-ct", "--out", "jobs", "--merge", "2", "--seed", "3"];
    assert!(stdout_of(sam3d(place).args(merge)).contains("5 cases found, 4 usable, 1 dropped"));
    let splits = |prepared: &str| fs::read(place.join(prepared).join("splits.json")).unwrap();
    assert_eq!(splits("jobs"), splits("data/sts-ct"));
    assert!(failure_of(&mut prepare(&["--shard", "0/2"]), 2).contains("I from 1 to N"));

    let stats = stdout_of(sam3d(place).args(["dataset-stats", "--data", "data/sts-ct"]));
    assert!(
        stats.contains("120 target voxels of 2 training cases") && stats.contains("clip_hu = ["),
        "{stats}"
    );
}

#[test]
fn what_is_missing_is_said_with_the_command_that_makes_it() {
    let directory = tempfile::tempdir().unwrap();
    let error = failure_of(sam3d(directory.path()).args(["dataset-stats", "--data", "none"]), 1);
    assert!(error.contains("dataset.toml") && error.contains("`sam3d prepare-data`"), "{error}");
    fs::create_dir(directory.path().join("empty")).unwrap();
    let prepare = ["prepare-data", "--dataset", "sts-ct", "--source", "empty"];
    let error = failure_of(sam3d(directory.path()).args(prepare), 1);
    assert!(error.contains("no case of sts-ct") && error.contains("name it with --source"), "{error}");
}

#[test]
fn weights_are_the_published_ones_or_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("copy.pth"), "no weights").unwrap();
    let fetch = ["fetch-weights", "sam_vit_b", "--source", "copy.pth"];
    let error = failure_of(sam3d(directory.path()).args(fetch), 1);
    assert!(error.contains("copy.pth") && error.contains("expected 01ec64"), "{error}");
    assert!(!directory.path().join("weights").exists());
}
