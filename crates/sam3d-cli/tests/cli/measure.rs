//! `sam3d measure`: a mask's size in text, JSON and CSV.

use ndarray::Array3;
use sam3d_io::{atomic::Overwrite, nifti};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, grid, sam3d, stdout_of, write_box};

#[test]
fn text_json_and_csv_of_a_box() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "mask.nii.gz", &grid(), ([1, 2, 2], [4, 6, 5]), 3);
    let image = Array3::from_shape_fn(grid().shape_kji(), |(k, j, i)| (100 * k + 10 * j + i) as i16);
    nifti::write(&directory.path().join("ct.nii.gz"), image.view(), &grid(), Overwrite::Refuse).unwrap();
    let run = |arguments: &[&str]| {
        stdout_of(sam3d(directory.path()).args(["measure", "mask.nii.gz"]).args(arguments))
    };
    insta::assert_snapshot!(run(&["--image", "ct.nii.gz"]));
    insta::assert_snapshot!(run(&["--label", "3", "--csv"]));
    let json: Value = serde_json::from_str(&run(&["--json", "--image", "ct.nii.gz"])).unwrap();
    // 3 x 4 voxels of 1 mm in a slice, from the middle of an outer edge to that of the opposite one.
    let longest = json["longest_axial_diameter"]["length_mm"].as_f64().unwrap();
    assert!((longest - (4.0f64 * 4.0 + 2.0 * 2.0).sqrt()).abs() < 1e-5, "{longest}");
    assert_eq!(json["axial_slice"], serde_json::json!({"axis": "k", "index": 1}));
    assert_eq!(json["bounding_box"]["start_ijk"], serde_json::json!([2, 2, 1]));
    assert_eq!(json["bounding_box"]["end_ijk"], serde_json::json!([5, 6, 4]));
    // Rows 2 to 5, columns 2 to 4, slices 1 to 3.
    assert_eq!(json["intensity_hu"]["median"], 238.0);
    assert_eq!(
        (json["intensity_hu"]["minimum"].as_f64(), json["components"].as_u64()),
        (Some(122.0), Some(1))
    );
}

#[test]
fn nothing_to_measure_is_an_error() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "mask.nii.gz", &grid(), ([1, 2, 2], [4, 6, 5]), 3);
    let error = failure_of(sam3d(directory.path()).args(["measure", "mask.nii.gz", "--label", "1"]), 1);
    assert!(error.contains("no voxel has label 1"), "{error}");
    write_box(directory.path(), "none.nii.gz", &grid(), ([0, 0, 0], [0, 0, 0]), 1);
    let error = failure_of(sam3d(directory.path()).args(["measure", "none.nii.gz"]), 1);
    assert!(error.contains("empty"), "{error}");
}
