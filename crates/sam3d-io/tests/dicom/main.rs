//! DICOM series: written here with dicom-object, by pydicom 3.0 and GDCM 3.0 (`tests/fixtures/dicom`), and of a scanner.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

mod codecs;
mod derived;
mod external;
mod hostile;
mod real;
mod series;
mod slices;
mod structure_set;

use std::path::{Path, PathBuf};

use sam3d_io::{IoError, ReadLimits, Volume};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dicom").join(name)
}

fn read(path: &Path) -> Result<Volume, IoError> {
    sam3d_io::read(path, ReadLimits::default())
}
