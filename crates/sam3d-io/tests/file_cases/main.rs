//! Files as people have them: small synthetic ones after public reports (`tests/fixtures/file_cases`), made with pydicom,
//! SimpleITK and nibabel, and variations of them that are made here.
//!
//! The fixtures show a bright ball in a small CT; the ball's contours enclose 899 voxels of the grid they were drawn on.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

mod dicom_folders;
mod structure_sets;

use std::path::{Path, PathBuf};

use ndarray::Array3;
use sam3d_io::{IoError, ReadLimits, Volume};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/file_cases").join(name)
}

fn read(path: &Path) -> Result<Volume, IoError> {
    sam3d_io::read(path, ReadLimits::default())
}

fn count(mask: &Array3<u8>) -> usize {
    mask.iter().filter(|value| **value != 0).count()
}

fn dice(a: &Array3<u8>, b: &Array3<u8>) -> f64 {
    let both = a.iter().zip(b).filter(|(a, b)| **a != 0 && **b != 0).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}
