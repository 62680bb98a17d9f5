//! A mask as the bytes of a file.

use std::{fs, path::Path};

use bytes::Bytes;
use ndarray::ArrayView3;
use sam3d_io::{Grid, IoError, atomic::Overwrite, nrrd::Segment};
use serde::Deserialize;

use crate::refusal::Refusal;

/// The formats a mask is sent in, by the ending clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum MaskFormat {
    #[serde(rename = ".nii.gz")]
    NiftiGz,
    #[serde(rename = ".nii")]
    Nifti,
    #[serde(rename = ".nrrd")]
    Nrrd,
    #[serde(rename = ".seg.nrrd")]
    Segmentation,
}

impl MaskFormat {
    /// The format for files that end in `ending`.
    pub(crate) fn of_ending(ending: &str) -> Option<Self> {
        [Self::NiftiGz, Self::Nifti, Self::Nrrd, Self::Segmentation]
            .into_iter()
            .find(|format| format.ending() == ending)
    }

    /// The ending of its files.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::NiftiGz => ".nii.gz",
            Self::Nifti => ".nii",
            Self::Nrrd => ".nrrd",
            Self::Segmentation => ".seg.nrrd",
        }
    }
}

/// Type of a sent mask's voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MaskType {
    #[default]
    Uint8,
    Uint16,
    Int16,
    Float32,
}

/// The bytes of a file with `mask` (`[k, j, i]`), made in `directory` and removed from there.
pub(crate) fn encode(
    directory: &Path,
    mask: ArrayView3<'_, u8>,
    grid: &Grid,
    segments: &[Segment],
    (format, value_type): (MaskFormat, MaskType),
) -> Result<Bytes, Refusal> {
    made(directory, format, |path| write(path, mask, grid, segments, (format, value_type)))
}

/// The bytes of a file of `format` that `write` makes in `directory`, which is removed from there.
pub(crate) fn made(
    directory: &Path,
    format: MaskFormat,
    write: impl FnOnce(&Path) -> Result<(), IoError>,
) -> Result<Bytes, Refusal> {
    let failed = |error: &dyn std::error::Error| Refusal::internal("encode the mask", error);
    let place =
        tempfile::Builder::new().prefix("mask-").tempdir_in(directory).map_err(|error| failed(&error))?;
    let path = place.path().join("mask").with_extension(&format.ending()[1..]);
    write(&path).map_err(|error| failed(&error))?;
    fs::read(&path).map(Bytes::from).map_err(|error| failed(&error))
}

fn write(
    path: &Path,
    mask: ArrayView3<'_, u8>,
    grid: &Grid,
    segments: &[Segment],
    (format, value_type): (MaskFormat, MaskType),
) -> Result<(), IoError> {
    match value_type {
        // Segments are of one byte whatever was asked for: so 3D Slicer writes them.
        _ if format == MaskFormat::Segmentation => {
            sam3d_io::write_segmentation(path, mask, grid, segments, Overwrite::Refuse)
        }
        MaskType::Uint8 => sam3d_io::write_segmentation(path, mask, grid, segments, Overwrite::Refuse),
        MaskType::Uint16 => sam3d_io::write(path, mask.mapv(u16::from).view(), grid, Overwrite::Refuse),
        MaskType::Int16 => sam3d_io::write(path, mask.mapv(i16::from).view(), grid, Overwrite::Refuse),
        MaskType::Float32 => sam3d_io::write(path, mask.mapv(f32::from).view(), grid, Overwrite::Refuse),
    }
}
