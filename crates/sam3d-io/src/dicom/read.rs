use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use super::{
    DicomError, DirectoryContent, MaskOptions, RoiMask, Segmentation, SeriesSummary, StructureSet,
    file::DicomFile,
    folder::{Folder, files_below, files_beside},
    geometry::Stack,
    instance::Instance,
    pixels::{self, PixelFormat},
};
use crate::{Grid, IoError, ReadLimits, ValueType, Volume};

/// Reads the slices of one series as a volume: `path` is their directory, or one of them.
///
/// A directory is read with those below it, its files in any order and of any name. Without `series`, a Series Instance
/// UID, it must hold one volume; a series of a single slice does not count beside others. Localizers, pictures without a
/// place in the patient, files of other kinds, unreadable files that do not belong to the series, and copies are passed
/// over; a damaged slice of the series is an error. The frames of an enhanced (multi-frame) image are slices by their
/// functional groups. Uncompressed, deflated, RLE, JPEG (baseline and lossless), JPEG-LS and JPEG 2000; signed and unsigned, with
/// the scaling of each slice.
///
/// The grid is that of the slices' positions, k along the normal of rows and columns; it is rounded to `f32` as a NIfTI
/// file of the same volume has it. Memory is taken only after the number of voxels was checked against `limits`, and for
/// one slice for each thread beside the volume.
///
/// # Errors
/// An [`IoError`] that names the file: it is damaged or not readable, slices are missing, repeated, unlike each other or
/// unevenly spaced, the gantry was tilted, the pixels are colours or compressed in another way; or
/// [`DicomError::SeveralSeries`], which lists them.
pub fn read(path: &Path, series: Option<&str>, limits: ReadLimits) -> Result<Volume, IoError> {
    let folder = if path.is_dir() { Folder::scan(path)? } else { Folder::around(path)? };
    let Stack { slices, grid } = Stack::new(folder.choose(series)?)?;
    let formats = slices.iter().map(PixelFormat::of).collect::<Result<Vec<_>, _>>()?;
    let first = &slices[0];
    let failed = |error: DicomError| error.at(&first.name());
    pixels::check_codec(&DicomFile::open(&first.path)?.transfer_syntax).map_err(failed)?;
    let rescales =
        slices.iter().map(|slice| slice.rescale()).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let count = limits.check(path, grid.shape_ijk())?;
    grid.warn_of_oddities(path);

    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| IoError::OutOfMemory { voxels: count }.of_file(path))?;
    values.resize(count, 0.0);
    let mut data = Array3::from_shape_vec(grid.shape_kji(), values)
        .map_err(|_| IoError::ShapeMismatch { expected: grid.shape_kji(), found: [count, 1, 1] })?;
    // Frames of one file are read together.
    let mut files: BTreeMap<&Path, Vec<(&Instance, &mut [f32])>> = BTreeMap::new();
    for (plane, slice) in data.axis_iter_mut(Axis(0)).zip(&slices) {
        let plane = plane.into_slice().unwrap_or_default();
        files.entry(&slice.path).or_default().push((slice, plane));
    }
    files.into_values().collect::<Vec<_>>().into_par_iter().try_for_each(pixels::read_planes)?;
    let same = rescales.iter().all(|rescale| *rescale == rescales[0]);
    let rescale =
        Some(rescales[0]).filter(|rescale| same && (rescale.slope, rescale.intercept) != (1.0, 0.0));
    Ok(Volume { data, grid, nan_voxels: 0, value_type: formats[0].value_type(), rescale })
}

/// The files among which [`read`] finds the volume at `path`: of a directory all, sorted; of a slice the slice first, then
/// those beside it; of a structure set or segmentation itself alone.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    if path.is_dir() {
        return files_below(path);
    }
    let mut files = vec![path.to_owned()];
    if !StructureSet::is_at(path)? && !Segmentation::is_at(path)? {
        files.extend(files_beside(path)?);
    }
    Ok(files)
}

/// The series in a directory, and its other files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Series with a place in the patient, by UID.
    pub series: Vec<SeriesSummary>,
    /// Everything else.
    pub passed_over: DirectoryContent,
}

/// The series in the directory `path` and those below it, or the series of the slice `path`.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is damaged, or is not a slice.
pub fn survey(path: &Path) -> Result<Survey, IoError> {
    let folder = if path.is_dir() { Folder::scan(path)? } else { Folder::around(path)? };
    folder.warn_of_unreadable();
    Ok(folder.survey())
}

/// The series that [`read`] takes of `path`.
///
/// # Errors
/// As [`read`], as far as the series' headers are concerned.
pub fn series_of(path: &Path, series: Option<&str>) -> Result<SeriesSummary, IoError> {
    let folder = if path.is_dir() { Folder::scan(path)? } else { Folder::around(path)? };
    let chosen = folder.chosen_series(series)?;
    let mut summaries = folder.survey().series;
    summaries.retain(|summary| summary.uid == chosen);
    summaries.pop().ok_or_else(|| DicomError::NoVolume { found: folder.survey().passed_over }.at(path))
}

/// The mask of a structure of the structure set at `path` on `grid`: that with the name or number `roi`, or the only one
/// ([`StructureSet::choose`], [`Roi::mask`](super::Roi::mask)). Its warnings are logged.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is not a structure set, has no such structure or several, or the
/// structure lies elsewhere.
pub fn read_mask(
    path: &Path,
    roi: Option<&str>,
    grid: &Grid,
    options: MaskOptions,
) -> Result<RoiMask, IoError> {
    let failed = |error: DicomError| error.at(path);
    let set = StructureSet::read(path)?;
    let roi = set.choose(roi).map_err(failed)?;
    let made = roi.mask(grid, options).map_err(failed)?;
    for warning in &made.warnings {
        tracing::warn!(path = %path.display(), structure = roi.label(), "{warning}");
    }
    Ok(made)
}

/// The segments of the segmentation at `path` by their numbers, on the smallest grid that holds its frames: evenly spaced slices
/// from the first to the last one with a frame. Of a fractional segmentation the voxels above half of its maximum.
///
/// # Errors
/// As [`Segmentation::read`], [`Segmentation::grid`] and [`Segmentation::labels`].
pub fn read_segmentation(path: &Path, limits: ReadLimits) -> Result<Volume, IoError> {
    let segmentation = Segmentation::read(path, limits)?;
    labels(&segmentation, path, &segmentation.own_grid(path, limits)?, None)
}

/// As [`read_segmentation`], on `grid`, that of the image it belongs to; of a fractional segmentation the voxels above
/// `threshold` of its maximum.
pub(crate) fn segmentation_labels(
    path: &Path,
    grid: &Grid,
    limits: ReadLimits,
    threshold: Option<f32>,
) -> Result<Volume, IoError> {
    limits.check(path, grid.shape_ijk())?;
    labels(&Segmentation::read(path, limits)?, path, grid, threshold)
}

fn labels(
    segmentation: &Segmentation,
    path: &Path,
    grid: &Grid,
    threshold: Option<f32>,
) -> Result<Volume, IoError> {
    let labels = segmentation.labels(grid, threshold).map_err(|error| error.at(path))?;
    let value_type = if labels.iter().all(|label| *label <= u8::MAX.into()) {
        ValueType::Uint8
    } else {
        ValueType::Uint16
    };
    let data = labels.mapv(f32::from);
    Ok(Volume { data, grid: grid.clone(), nan_voxels: 0, value_type, rescale: None })
}
