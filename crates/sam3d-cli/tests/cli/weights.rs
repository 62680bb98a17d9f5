//! Which weights a command uses.

use std::fs;

use ndarray::Array3;
use sam3d_io::{atomic::Overwrite, nifti};
use tempfile::tempdir;

use crate::support::{failure_of, grid, sam3d};

/// In a program with built-in weights and in one without.
#[test]
fn without_weights_the_built_in_ones_are_used() {
    let place = tempdir().unwrap();
    let ct = Array3::from_elem(grid().shape_kji(), 40i16);
    nifti::write(&place.path().join("ct.nii.gz"), ct.view(), &grid(), Overwrite::Refuse).unwrap();
    let mut segment = sam3d(place.path());
    segment.args(["segment", "--image", "ct.nii.gz", "--point", "4,3,2", "--out", "mask.nii.gz"]);
    let Some(default) = sam3d_infer::BUILT_IN.first() else {
        let message = failure_of(&mut segment, 1);
        assert!(message.contains("without weights") && message.contains("--weights FILE"), "{message}");
        return;
    };
    let stderr = String::from_utf8(segment.assert().success().get_output().stderr.clone()).unwrap();
    let said: Vec<&str> = stderr.lines().filter(|line| line.contains("built-in weights")).collect();
    assert!(said.len() == 1 && said[0].contains(default.name), "{stderr}");
    let default_mask = fs::read(place.path().join("mask.nii.gz")).unwrap();

    let stderr = segment.args(["--force", "--weights", default.name]).assert().success();
    let stderr = String::from_utf8(stderr.get_output().stderr.clone()).unwrap();
    assert!(!stderr.contains("built-in weights"), "{stderr}");
    assert_eq!(fs::read(place.path().join("mask.nii.gz")).unwrap(), default_mask);
}
