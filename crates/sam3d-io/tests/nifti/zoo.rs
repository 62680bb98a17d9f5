//! Files of other programs. They are not part of the project; without them these tests say that they are skipped.

use std::io::Read;

use approx::assert_abs_diff_eq;
use flate2::read::GzDecoder;
use sam3d_io::{AffineSource, IoError, ValueType, nifti::ReadLimits};
use sam3d_testkit::test_volume;

use super::read;

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn every_scalar_type() {
    let types = [
        ("uint8", ValueType::Uint8),
        ("int8", ValueType::Int8),
        ("uint16", ValueType::Uint16),
        ("int16", ValueType::Int16),
        ("uint32", ValueType::Uint32),
        ("int32", ValueType::Int32),
        ("uint64", ValueType::Uint64),
        ("int64", ValueType::Int64),
        ("float32", ValueType::Float32),
        ("float64", ValueType::Float64),
    ];
    for (name, value_type) in types {
        let Some(path) = test_volume(&format!("nifti_zoo/dtypes_27/{name}.nii")) else { return };
        let volume = read(&path).unwrap();
        assert_eq!(volume.value_type, value_type);
        assert_eq!(value_type.to_string(), name);
        // Counted up along k first.
        let counted = volume.data.view().reversed_axes();
        assert!(counted.iter().copied().eq((0..27u8).map(f32::from)), "{name}: {counted}");
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn pairs_and_single_files_in_big_endian_without_an_affine() {
    let Some(path) = test_volume("nifti_zoo/minimal.nii") else { return };
    let single = read(&path).unwrap();
    assert_eq!(single.grid.shape_ijk(), [64, 64, 10]);
    assert_eq!(single.grid.source(), AffineSource::Pixdim);
    assert_eq!(single.grid.spacing_ijk_mm(), [3.0; 3]);
    for other in ["minimal.hdr", "minimal.img", "minimal2.hdr", "minimal2.img.gz"] {
        let other = read(&path.with_file_name(other)).unwrap();
        assert_eq!((&other.data, &other.grid), (&single.data, &single.grid));
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn slope_and_intercept_of_a_sheared_volume() {
    let Some(path) = test_volume("nifti_zoo/shear.nii.gz") else { return };
    let volume = read(&path).unwrap();
    // Both codes are 2, so that the qform decides, which cannot be sheared.
    assert_eq!((volume.grid.source(), volume.grid.is_sheared()), (AffineSource::Qform, false));
    // Without its qform the sheared sform is all there is.
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes[252..254].fill(0);
    let directory = tempfile::tempdir().unwrap();
    let sheared = directory.path().join("sheared.nii");
    std::fs::write(&sheared, bytes).unwrap();
    let sheared = read(&sheared).unwrap().grid;
    assert!(sheared.is_sheared());
    assert_eq!(sheared.spacing_ijk_mm(), sheared.world_from_ijk().column_lengths_mm());
    let rescale = volume.rescale.unwrap();
    assert_abs_diff_eq!(rescale.slope, 7.109804153442383);
    assert_abs_diff_eq!(rescale.intercept, -1024.0);
    // Stored as uint8: 0 is the intercept, and every value is a whole number of slopes above it.
    let lowest = volume.data.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(lowest, -1024.0);
    for value in volume.data.iter().step_by(997) {
        let steps = (f64::from(*value) - rescale.intercept) / rescale.slope;
        assert_abs_diff_eq!(steps, steps.round(), epsilon = 1e-4);
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn nan_voxels_are_counted_and_zero() {
    let Some(path) = test_volume("nifti_zoo/resampled_anat_moved.nii") else { return };
    let volume = read(&path).unwrap();
    let stored = std::fs::read(path).unwrap();
    let (stored, _) = stored[352..].as_chunks::<4>();
    let stored: Vec<f32> = stored.iter().map(|bytes| f32::from_be_bytes(*bytes)).collect();
    let nan = stored.iter().filter(|value| value.is_nan()).count();
    assert_eq!(volume.nan_voxels, nan);
    assert!(nan > 0, "this file is here for its NaN voxels");
    let zeroed = stored.iter().map(|value| if value.is_nan() { 0.0 } else { *value });
    assert!(volume.data.iter().copied().eq(zeroed));
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn header_extensions_and_two_dimensions() {
    let Some(path) = test_volume("nifti_zoo/minimal_extended_hdr.nii") else { return };
    assert_eq!(read(&path).unwrap().grid.shape_ijk(), [8, 8, 1]);
    let Some(path) = test_volume("abdomen_ct/example_seg.nii.gz") else { return };
    assert_eq!(read(&path).unwrap().grid.shape_ijk(), [122, 101, 30]);
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn big_endian_int16_and_qform() {
    let Some(path) = test_volume("nifti_zoo/anatomical.nii") else { return };
    let volume = read(&path).unwrap();
    assert_eq!((volume.value_type, volume.grid.shape_ijk()), (ValueType::Int16, [33, 41, 25]));
    let stored = std::fs::read(path).unwrap();
    let (stored, _) = stored[352..].as_chunks::<2>();
    assert!(volume.data.iter().copied().eq(stored.iter().map(|bytes| f32::from(i16::from_be_bytes(*bytes)))));

    let Some(path) = test_volume("nifti_zoo/zstat1.nii.gz") else { return };
    let volume = read(&path).unwrap();
    assert_eq!(volume.grid.source(), AffineSource::Qform);
    assert_eq!(volume.grid.spacing_ijk_mm(), [4.0, 4.0, 6.0]);
}

/// A file whose two affines are meant to be the same, with a mirrored third axis: without the qform the sform says it.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn qform_and_sform_of_one_file_agree() {
    let Some(path) = test_volume("nifti_zoo/anatomical.nii") else { return };
    // Both codes are 2.
    let by_qform = read(&path).unwrap().grid;
    assert_eq!(by_qform.source(), AffineSource::Qform);
    let mut bytes = std::fs::read(path).unwrap();
    // The file is big endian: a qform code of 0.
    bytes[252..254].fill(0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.nii");
    std::fs::write(&path, bytes).unwrap();
    let by_sform = read(&path).unwrap().grid;
    assert_eq!(by_sform.source(), AffineSource::Sform);
    let rows = by_sform.world_from_ijk().rows();
    for (sform, qform) in rows.iter().flatten().zip(by_qform.world_from_ijk().rows().iter().flatten()) {
        assert_abs_diff_eq!(sform, qform, epsilon = 1e-4);
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn what_is_no_scalar_volume_is_refused() {
    let refused = |name: &str| Some(read(&test_volume(&format!("nifti_zoo/{name}"))?).unwrap_err());
    let Some(error) = refused("complex.nii.gz") else { return };
    assert!(error.to_string().contains("found complex numbers"), "{error}");
    let error = refused("functional.nii").unwrap();
    assert!(matches!(error, IoError::FramesUnsupported { frames: 20, .. }), "{error}");
    let error = refused("rgb/3D.nii").unwrap();
    assert!(error.to_string().contains("found RGB colours"), "{error}");
    let error = refused("nifti1.hdr").unwrap();
    assert!(matches!(error, IoError::PairIncomplete { .. }), "{error}");
    for name in ["analyze.hdr", "FLAIR.nrrd", "LICENSE.nibabel"] {
        let error = refused(name).unwrap();
        assert!(matches!(error, IoError::NotOfFormat { .. }), "{name}: {error}");
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn files_that_crashed_other_readers_are_refused() {
    let Some(directory) = test_volume("nifti_zoo/fuzz_artifacts") else { return };
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let error = sam3d_io::nifti::read(&path, ReadLimits::default()).unwrap_err();
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
