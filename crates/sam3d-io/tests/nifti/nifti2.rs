use std::{fs, io::Read};

use approx::assert_abs_diff_eq;
use flate2::read::GzDecoder;
use sam3d_io::{AffineSource, IoError, ValueType};
use sam3d_testkit::test_volume;

use super::read;

/// A file of 3 x 2 x 1 int16 voxels 0..6 with slope 2, intercept -1 and a sform that runs to left and posterior.
fn file(big_endian: bool) -> Vec<u8> {
    let mut bytes = vec![0; 556];
    let mut put = |at: usize, little_endian: &[u8]| {
        let field = &mut bytes[at..at + little_endian.len()];
        field.copy_from_slice(little_endian);
        if big_endian {
            field.reverse();
        }
    };
    put(0, &540i32.to_le_bytes());
    put(12, &4i16.to_le_bytes());
    for (axis, size) in [3i64, 3, 2, 1].into_iter().enumerate() {
        put(16 + 8 * axis, &size.to_le_bytes());
    }
    for (axis, spacing) in [1.0f64, 0.7, 0.8, 2.5].into_iter().enumerate() {
        put(104 + 8 * axis, &spacing.to_le_bytes());
    }
    put(168, &544i64.to_le_bytes());
    put(176, &2f64.to_le_bytes());
    put(184, &(-1f64).to_le_bytes());
    put(348, &1i32.to_le_bytes());
    for (row, (column, value)) in [(0, -0.7f64), (1, -0.8), (2, 2.5)].into_iter().enumerate() {
        put(400 + 32 * row + 8 * column, &value.to_le_bytes());
    }
    (0..6i16).for_each(|i| put(544 + 2 * i as usize, &i.to_le_bytes()));
    bytes[4..12].copy_from_slice(b"n+2\0\r\n\x1a\n");
    bytes
}

#[test]
fn both_byte_orders() {
    let directory = tempfile::tempdir().unwrap();
    for big_endian in [false, true] {
        let path = directory.path().join("a.nii");
        fs::write(&path, file(big_endian)).unwrap();
        let volume = read(&path).unwrap();
        assert_eq!(volume.value_type, ValueType::Int16);
        assert!(volume.data.iter().copied().eq((0..6u8).map(|i| 2.0 * f32::from(i) - 1.0)));
        assert_eq!(volume.grid.shape_ijk(), [3, 2, 1]);
        assert_eq!(volume.grid.source(), AffineSource::Sform);
        assert_eq!(volume.grid.spacing_ijk_mm(), [0.7, 0.8, 2.5]);
        assert_eq!(volume.grid.world_from_ijk().rows()[1], [0.0, -0.8, 0.0, 0.0]);
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn file_of_another_program() {
    let Some(path) = test_volume("nifti_zoo/example_nifti2.nii.gz") else { return };
    let error = read(&path).unwrap_err();
    assert!(matches!(error, IoError::FramesUnsupported { frames: 2, .. }), "{error}");

    // Its first frame alone.
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes[16] = 3;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.nii");
    fs::write(&path, bytes).unwrap();
    let grid = read(&path).unwrap().grid;
    assert_eq!(grid.shape_ijk(), [32, 20, 12]);
    // Known from the example's documentation, to two digits.
    let expected = [[-2.0, 0.0, 0.0, 117.86], [0.0, 1.97, -0.36, -35.72], [0.0, 0.32, 2.17, -7.25]];
    for (row, expected) in grid.world_from_ijk().rows().iter().zip(expected) {
        for (value, expected) in row.iter().zip(expected) {
            assert_abs_diff_eq!(*value, expected, epsilon = 0.006);
        }
    }
}
