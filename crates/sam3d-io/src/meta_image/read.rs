use std::path::{Path, PathBuf};

use super::header::Header;
use crate::{
    IoError, ReadLimits, Volume,
    data_file::start_of_last,
    source::UnpackedFile,
    values::{Encoding, read_volume},
};

/// Reads a MetaImage volume: header and voxels in one file, or a header that names its data file.
///
/// Plain and zlib-compressed, both byte orders, all integer types and 32- and 64-bit floats. A fourth axis may have one
/// entry.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is not MetaImage, is truncated or damaged, is larger than
/// `limits`, holds text, several frames or several numbers for each voxel, names a data file outside its own directory,
/// or has an invalid geometry.
pub fn read(path: &Path, limits: ReadLimits) -> Result<Volume, IoError> {
    let Header { grid, value_type, big_endian, rescale, packing, data_path, data_offset } =
        Header::read(path)?;
    let count = limits.check(path, grid.shape_ijk())?;
    let offset = match data_offset {
        Some(offset) => offset,
        None => start_of_last(&data_path, (count as u64).saturating_mul(value_type.bytes() as u64), 0)?,
    };
    grid.warn_of_oddities(path);
    let mut source = UnpackedFile::open_at(&data_path, offset, packing)?;
    read_volume(&mut source, 0, Encoding { value_type, big_endian, rescale }, grid, limits)
}

/// The files that [`read`] opens for the volume at `path`.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    Ok(vec![path.to_owned(), Header::read(path)?.data_path])
}
