use std::path::{Path, PathBuf};

use super::header::Header;
use crate::{
    Grid, IoError, ReadLimits, Volume,
    source::UnpackedFile,
    values::{Encoding, read_volume},
};

/// Reads a NIfTI-1 or NIfTI-2 volume: `.nii`, `.hdr` or `.img` (the other half beside it), each gzipped or not.
///
/// Gzip is recognised by content. All integer types and 32- and 64-bit floats, both byte orders, with the file's
/// scaling applied. Memory is taken only after the claimed size was checked against `limits` and the file's length; what
/// follows the voxels in a compressed file is not read.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is not NIfTI, is truncated or damaged, is larger than `limits`,
/// holds several frames or voxels that are not single numbers, or has an invalid geometry.
pub fn read(path: &Path, limits: ReadLimits) -> Result<Volume, IoError> {
    let header_path = header_path(path)?;
    let mut source = UnpackedFile::open(&header_path)?;
    let header = Header::read(&mut source)?;
    if header.separate_data {
        source = UnpackedFile::open(&data_path(&header_path)?)?;
    }
    let grid = grid(&header, path)?;
    let Header { value_type, big_endian, rescale, .. } = header;
    let encoding = Encoding { value_type, big_endian, rescale };
    read_volume(&mut source, header.data_offset, encoding, grid, limits)
}

/// The files that [`read`] opens for the volume at `path`.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    let header_path = header_path(path)?;
    let header = Header::read(&mut UnpackedFile::open(&header_path)?)?;
    let data_path = if header.separate_data { Some(data_path(&header_path)?) } else { None };
    Ok(std::iter::once(header_path).chain(data_path).collect())
}

fn grid(header: &Header, path: &Path) -> Result<Grid, IoError> {
    let grid = Grid::from_header(header.shape_ijk, header.geometry).map_err(|(origin, source)| {
        IoError::GeometryInvalid { path: path.to_owned(), origin, source: Box::new(source) }
    })?;
    let ruled = header.geometry.candidates_mm().first().map(|(source, _)| *source);
    if let Some(unusable) = ruled.filter(|source| *source != grid.source()) {
        tracing::warn!(path = %path.display(), "the {unusable} is singular or not finite: the {} is used", grid.source());
    }
    grid.warn_of_oddities(path);
    Ok(grid)
}

/// The file with the header: `path` itself, unless it is the `.img` of a pair.
fn header_path(path: &Path) -> Result<PathBuf, IoError> {
    match half(path) {
        Some((stem, "img")) => other_half(path, &stem, "hdr"),
        _ => Ok(path.to_owned()),
    }
}

/// The file with the voxels of a header that says they are elsewhere.
fn data_path(header_path: &Path) -> Result<PathBuf, IoError> {
    let stem = half(header_path).map_or_else(|| header_path.with_extension(""), |(stem, _)| stem);
    other_half(header_path, &stem, "img")
}

fn other_half(path: &Path, stem: &Path, extension: &str) -> Result<PathBuf, IoError> {
    let plain = appended(stem, extension);
    [plain.clone(), appended(&plain, "gz")]
        .into_iter()
        .find(|candidate| candidate.exists())
        .ok_or(IoError::PairIncomplete { path: path.to_owned(), partner: plain })
}

/// The path without `.hdr`, `.img`, `.hdr.gz` or `.img.gz`, and which of the two halves it is.
fn half(path: &Path) -> Option<(PathBuf, &'static str)> {
    let plain = if has_extension(path, "gz") { path.with_extension("") } else { path.to_owned() };
    ["hdr", "img"]
        .into_iter()
        .find(|extension| has_extension(&plain, extension))
        .map(|extension| (plain.with_extension(""), extension))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// `with_extension` would replace what follows the last dot of the stem.
fn appended(stem: &Path, extension: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
