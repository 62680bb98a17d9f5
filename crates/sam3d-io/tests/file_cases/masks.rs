//! Masks, labels and ground truth are whole numbers.

use sam3d_io::{
    IoError, LabelOptions, ReadLimits, ValueType, atomic::Overwrite, read_label, read_label_with,
};

use super::{fixture, read};

fn limits() -> ReadLimits {
    ReadLimits::default()
}

#[test]
fn a_probability_map_is_no_mask_without_a_threshold() {
    let (path, grid) = (fixture("n17_prob.nii.gz"), read(&fixture("base.nii.gz")).unwrap().grid);
    let error = read_label(&path, &grid, limits()).unwrap_err();
    assert!(matches!(error, IoError::NotWholeNumbers { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("n17_prob.nii.gz") && text.contains("threshold"), "{text}");
    let options = LabelOptions { threshold: Some(0.5), ..LabelOptions::default() };
    let mask = read_label_with(&path, &grid, limits(), options).unwrap();
    let expected = read(&fixture("base_mask.nii.gz")).unwrap();
    assert_eq!(mask.data, expected.data);
    assert_eq!(mask.value_type, ValueType::Uint8);
}

#[test]
fn images_and_scaled_volumes_are_checked_by_their_values() {
    let directory = tempfile::tempdir().unwrap();
    let mask = read(&fixture("base_mask.nii.gz")).unwrap();
    // One voxel in a corner, and values beside 0 that floats hold exactly.
    for (name, value) in
        [("half.nii.gz", 0.5), ("tiny.nrrd", 1e-30), ("near.nii", 0.999_999_94), ("minus.nii", -0.25)]
    {
        let mut data = mask.data.clone();
        data[[0, 0, 0]] = value;
        let path = directory.path().join(name);
        sam3d_io::write(&path, data.view(), &mask.grid, Overwrite::Refuse).unwrap();
        let error = read_label(&path, &mask.grid, limits()).unwrap_err();
        assert!(matches!(error, IoError::NotWholeNumbers { value: found, .. } if found == value), "{error}");
    }
    // Whole numbers are labels, whatever type holds them.
    let path = directory.path().join("float.nii.gz");
    let data = mask.data.mapv(|value| value * 3.0);
    sam3d_io::write(&path, data.view(), &mask.grid, Overwrite::Refuse).unwrap();
    assert_eq!(read_label(&path, &mask.grid, limits()).unwrap().data, data);
}
