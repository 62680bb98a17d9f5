//! NRRD and MetaImage: files of other programs, files that are wrong, and what is written.
//!
//! The files in `tests/fixtures` were written by SimpleITK 2.5 (`itk_*`), pynrrd 1.1 (`pynrrd_*`) and 3D Slicer's
//! `slicerio` 1.1 (`slicer*`), from the values of [`values`] unless a test says otherwise.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

mod hostile;
mod meta_image;
mod nrrd;
mod orientations;
mod write;

use std::path::{Path, PathBuf};

use approx::assert_abs_diff_eq;
use ndarray::Array3;
use sam3d_io::{IoError, ReadLimits, Volume};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(path: &Path) -> Result<Volume, IoError> {
    sam3d_io::read(path, ReadLimits::default())
}

/// The volume of a file `a.EXTENSION` with these parts.
fn read_bytes(extension: &str, parts: &[&[u8]]) -> Result<Volume, IoError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("a.{extension}"));
    std::fs::write(&path, parts.concat()).unwrap();
    read(&path)
}

/// Values that tell every voxel of 4 x 5 x 6 (i, j, k) from every other, `[k, j, i]`.
fn values() -> Array3<f32> {
    Array3::from_shape_fn([6, 5, 4], |(k, j, i)| (100 * k + 10 * j + i) as f32 - 300.0)
}

/// [`values`] as 16-bit integers.
fn stored(big_endian: bool) -> Vec<u8> {
    let bytes = |value: &f32| {
        let value = *value as i16;
        if big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    values().iter().flat_map(bytes).collect()
}

/// What SimpleITK says of the points of `itk_oblique.*`, turned into RAS.
const ITK_OBLIQUE_RAS: [[f64; 4]; 3] = [
    [-0.6687355423879, 0.2317035821004, -0.1467770042346, 12.5],
    [-0.2068641446629, -0.7490346908674, 0.4744901524467, -30.25],
    [0.0, 0.1589354646360, 2.4501664446031, 101.125],
];

fn assert_affine(volume: &Volume, expected: [[f64; 4]; 3]) {
    let rows = volume.grid.world_from_ijk().rows();
    for (found, expected) in rows.iter().flatten().zip(expected.iter().flatten()) {
        assert_abs_diff_eq!(found, expected, epsilon = 1e-9);
    }
}
