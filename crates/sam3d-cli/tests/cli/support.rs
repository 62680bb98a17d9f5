//! The program, and small volumes to give it.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use ndarray::Array3;
use sam3d_data::{
    dataset::{Dataset, PreparedDataset, Splits, find_cases},
    phantom,
    splits::Split,
};
use sam3d_geom::Affine;
use sam3d_io::{Grid, atomic::Overwrite, nifti};

/// The program in `directory`, without the variables that change what it prints.
pub(crate) fn sam3d(directory: &Path) -> Command {
    let mut command = Command::cargo_bin("sam3d").unwrap();
    command.current_dir(directory).env_remove("SAM3D_LOG");
    command
}

/// Standard output of a run that succeeds.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// Standard error of a run that fails with `code` and prints nothing else.
pub(crate) fn failure_of(command: &mut Command, code: i32) -> String {
    let assert = command.assert().code(code).stdout("");
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// A grid of 8 x 7 x 6 voxels (i, j, k) of 1 x 1 x 2.5 mm that runs to left, posterior and superior.
pub(crate) fn grid() -> Grid {
    let affine =
        Affine::new([[-1.0, 0.0, 0.0, 100.0], [0.0, -1.0, 0.0, 50.0], [0.0, 0.0, 2.5, -30.0]]).unwrap();
    Grid::from_affine([8, 7, 6], affine).unwrap()
}

/// Writes a mask of `grid` that holds `label` in the box from `start` up to `end` (`[k, j, i]`).
pub(crate) fn write_box(
    directory: &Path,
    name: &str,
    grid: &Grid,
    (start, end): ([usize; 3], [usize; 3]),
    label: u8,
) -> PathBuf {
    let mask = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| {
        let inside = [k, j, i].iter().zip(start.iter().zip(end)).all(|(n, (s, e))| s <= n && *n < e);
        if inside { label } else { 0 }
    });
    let path = directory.join(name);
    nifti::write(&path, mask.view(), grid, Overwrite::Replace).unwrap();
    path
}

/// Makes a prepared data set of the three demo cases in `directory`: one to train on, one to validate, one to test.
pub(crate) fn split_in_three(directory: &Path) {
    let dataset = Dataset::named("demo").unwrap();
    let cases = find_cases(&dataset, directory).unwrap();
    let id = |index: usize| vec![cases[index].id.clone()];
    let split = Split { train: id(0), validation: id(1), test: id(2) };
    let splits = Splits { seed: 0, folds: vec![split] };
    PreparedDataset { dataset, cases, splits }.write(directory).unwrap();
}

/// Three phantoms, prepared as by [`split_in_three`].
pub(crate) fn prepare_demo(directory: &Path) {
    phantom::write_demo(directory, 0, 3).unwrap();
    split_in_three(directory);
}
