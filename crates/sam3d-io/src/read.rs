use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{Format, Grid, IoError, ReadLimits, ValueType, Volume, dicom, meta_image, nifti, nrrd};

/// Reads a volume in any of the formats, which is recognised by content.
///
/// | format | files |
/// |---|---|
/// | NIfTI-1, NIfTI-2 | `.nii`, `.hdr` or `.img` with the other half beside it; each gzipped or not |
/// | NRRD | `.nrrd`, `.seg.nrrd`, `.nhdr` with its data file beside it |
/// | MetaImage | `.mha`, `.mhd` with its data file beside it |
/// | DICOM | a directory with the slices of one volume, or one of its slices; [`dicom::read`] chooses among several |
/// | DICOM SEG | a segmentation, as [`dicom::read_segmentation`] reads it |
///
/// Memory is taken only after the claimed size was checked against `limits` and the file's length.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is of no known format, is truncated or damaged, is larger than
/// `limits`, holds several frames or voxels that are not single numbers, or has an invalid geometry.
pub fn read(path: &Path, limits: ReadLimits) -> Result<Volume, IoError> {
    match Format::recognise(path)? {
        Format::Nifti => nifti::read(path, limits),
        Format::Nrrd => nrrd::read(path, limits),
        Format::MetaImage => meta_image::read(path, limits),
        Format::Dicom if dicom::Segmentation::is_at(path)? => dicom::read_segmentation(path, limits),
        Format::Dicom => dicom::read(path, None, limits),
    }
}

/// The files that decide what [`read()`] makes of `path`: as its readers find them, which follow content and not endings.
///
/// The file itself comes first, or the header of a pair; then the file with its voxels, or the files beside a DICOM slice.
/// Of a directory all files are given, sorted. No file is named twice.
///
/// # Errors
/// As [`read()`], as far as headers are concerned.
pub fn files_of_volume(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    let mut files = match Format::recognise(path)? {
        Format::Nifti => nifti::files(path)?,
        Format::Nrrd => nrrd::files(path)?,
        Format::MetaImage => meta_image::files(path)?,
        Format::Dicom => dicom::files(path)?,
    };
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// How a mask, label map or ground truth is read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LabelOptions {
    /// Make a mask of the values: 1 where they are above this one, 0 elsewhere.
    pub threshold: Option<f32>,
    /// How the contours of a structure set become a mask.
    pub contours: dicom::MaskOptions,
}

/// Reads a label map: a volume of whole numbers as [`read()`]; or, on `grid`, that of the image they belong to, the only
/// structure of an RT structure set as 0 and 1, or the segments of a DICOM segmentation by their numbers.
///
/// # Errors
/// As [`read()`] and [`dicom::read_mask`], and [`IoError::NotWholeNumbers`] for a probability map or an image.
pub fn read_label(path: &Path, grid: &Grid, limits: ReadLimits) -> Result<Volume, IoError> {
    read_label_with(path, grid, limits, LabelOptions::default())
}

/// As [`read_label`], with `options`.
///
/// # Errors
/// As [`read_label`].
pub fn read_label_with(
    path: &Path,
    grid: &Grid,
    limits: ReadLimits,
    options: LabelOptions,
) -> Result<Volume, IoError> {
    if dicom::Segmentation::is_at(path)? {
        return dicom::segmentation_labels(path, grid, limits, options.threshold);
    }
    if !dicom::StructureSet::is_at(path)? {
        return read(path, limits)?.into_labels(path, options.threshold);
    }
    limits.check(path, grid.shape_ijk())?;
    let data = dicom::read_mask(path, None, grid, options.contours)?.mask.mapv(f32::from);
    Ok(Volume { data, grid: grid.clone(), nan_voxels: 0, value_type: ValueType::Uint8, rescale: None })
}
