use std::path::Path;

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use super::{
    Census, DicomError, MaskOptions, RoiMask, SeriesSummary, StructureSet,
    file::DicomFile,
    folder::Folder,
    geometry::Stack,
    pixels::{self, PixelFormat},
};
use crate::{Grid, IoError, ReadLimits, Volume};

/// Reads the slices of one series as a volume: `path` is their directory, or one of them.
///
/// A directory is read with those below it, its files in any order and of any name. Without `series`, a Series Instance
/// UID, it must hold one volume; a series of a single slice does not count beside others. Localizers, pictures without a
/// place in the patient and files of other kinds are passed over. Uncompressed, deflated, RLE, JPEG (baseline and
/// lossless) and JPEG 2000; signed and unsigned, with the scaling of each slice.
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
    let failed = |error: DicomError| error.at(&first.path);
    pixels::check_codec(&DicomFile::open(&first.path)?.transfer_syntax).map_err(failed)?;
    let rescales =
        slices.iter().map(|slice| slice.rescale()).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let count = limits.check(path, grid.shape_ijk())?;
    grid.warn_of_oddities(path);

    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| IoError::OutOfMemory { voxels: count })?;
    values.resize(count, 0.0);
    let mut data = Array3::from_shape_vec(grid.shape_kji(), values)
        .map_err(|_| IoError::ShapeMismatch { expected: grid.shape_kji(), found: [count, 1, 1] })?;
    data.axis_iter_mut(Axis(0)).into_par_iter().zip(&slices).try_for_each(|(mut plane, slice)| {
        let plane = plane.as_slice_mut().unwrap_or_default();
        pixels::read_plane(slice, plane)
    })?;
    let same = rescales.iter().all(|rescale| *rescale == rescales[0]);
    let rescale =
        Some(rescales[0]).filter(|rescale| same && (rescale.slope, rescale.intercept) != (1.0, 0.0));
    Ok(Volume { data, grid, nan_voxels: 0, value_type: formats[0].value_type(), rescale })
}

/// The series in a directory, and what it holds beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Series with a place in the patient, by UID.
    pub series: Vec<SeriesSummary>,
    /// Everything else.
    pub passed_over: Census,
}

/// The series in the directory `path` and those below it, or the series of the slice `path`.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, or is damaged, or is no slice.
pub fn survey(path: &Path) -> Result<Survey, IoError> {
    let folder = if path.is_dir() { Folder::scan(path)? } else { Folder::around(path)? };
    Ok(folder.survey())
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
