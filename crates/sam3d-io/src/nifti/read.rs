use std::path::{Path, PathBuf};

use ndarray::Array3;

use super::{
    decode::{Encoding, decode},
    header::Header,
    source::Source,
};
use crate::{Grid, IoError, Volume};

/// How much a file may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most voxels a volume may have.
    pub max_voxels: usize,
}

impl Default for ReadLimits {
    /// 2^30 voxels (1024 x 1024 x 1024, 4 GiB as `f32`): twice the largest whole-body CT in use (512 x 512 x 2000).
    fn default() -> Self {
        Self { max_voxels: 1 << 30 }
    }
}

/// Reads a NIfTI-1 or NIfTI-2 volume: `.nii`, `.hdr` or `.img` (the other half beside it), each gzipped or not.
///
/// Gzip is recognised by content. All integer types and 32- and 64-bit floats, both byte orders, with the file's
/// scaling applied. Memory is taken only after the claimed size was checked against `limits` and the file's length; what
/// follows the voxels in a compressed file is not read.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is not NIfTI, is truncated or damaged, is larger than `limits`,
/// holds several frames or voxels that are not single numbers, or has a geometry that is none.
pub fn read(path: &Path, limits: ReadLimits) -> Result<Volume, IoError> {
    let header_path = header_path(path)?;
    let mut source = Source::open(&header_path)?;
    let header = Header::read(&mut source)?;
    if header.separate_data {
        source = Source::open(&data_path(&header_path)?)?;
    }
    let grid = grid(&header, path)?;
    let voxels = header.shape_ijk.iter().map(|n| *n as u128).product::<u128>();
    let too_large = || IoError::TooLarge { path: path.to_owned(), voxels, limit: limits.max_voxels };
    let count = usize::try_from(voxels).ok().filter(|n| *n <= limits.max_voxels).ok_or_else(too_large)?;
    let data_bytes = count.checked_mul(header.value_type.bytes()).ok_or_else(too_large)?;
    let end = header.data_offset + data_bytes as u64;
    source.check_holds(end)?;

    source.skip_to(header.data_offset)?;
    let Header { value_type, big_endian, rescale, .. } = header;
    let (values, nan_voxels) = decode(&mut source, count, Encoding { value_type, big_endian, rescale }, end)?;
    source.check_end()?;
    if nan_voxels > 0 {
        tracing::warn!(path = %path.display(), nan_voxels, "NaN voxels are read as 0");
    }
    let found = [values.len(), 1, 1];
    let data = Array3::from_shape_vec(grid.shape_kji(), values)
        .map_err(|_| IoError::ShapeMismatch { expected: grid.shape_kji(), found })?;
    Ok(Volume { data, grid, nan_voxels, value_type, rescale })
}

fn grid(header: &Header, path: &Path) -> Result<Grid, IoError> {
    let grid = Grid::from_header(header.shape_ijk, header.geometry).map_err(|(origin, source)| {
        IoError::GeometryInvalid { path: path.to_owned(), origin, source: Box::new(source) }
    })?;
    let path = path.display();
    if grid.source() == crate::AffineSource::Pixdim {
        tracing::warn!(%path, "neither sform nor qform is set: axes are taken to run to right, anterior, superior");
    }
    if grid.is_sheared() {
        let spacing_mm = grid.spacing_ijk_mm();
        tracing::warn!(%path, ?spacing_mm, "the affine is sheared: the lengths of its columns are used as spacing");
    } else if grid.spacing_is_from_columns() {
        let spacing_mm = grid.spacing_ijk_mm();
        tracing::warn!(%path, ?spacing_mm, "pixdim disagrees with the affine, whose columns are used as spacing");
    }
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
