use std::{
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    Segment, axes,
    fields::Fields,
    header::{Header, VoxelData},
    segment,
};
use crate::{
    IoError, ReadLimits, Volume,
    data_file::start_of_last,
    source::{UnpackedFile, open_file, read_failed},
    values::{Encoding, read_volume},
};

/// Reads an NRRD volume: header and voxels in one file, or a header that names its data file.
///
/// Raw and gzip, both byte orders, all integer types and 32- and 64-bit floats; three axes in space (RAS, LAS or LPS, by
/// their directions or by spacings alone). A fourth axis may have one entry. Values are as stored: the format has no
/// scaling.
///
/// # Errors
/// An [`IoError`] that names the file: it cannot be read, is not NRRD, is truncated or damaged, is larger than `limits`,
/// is encoded in another way, holds several frames, layers or numbers for each voxel, names a data file outside its own
/// directory, or has an invalid geometry.
pub fn read(path: &Path, limits: ReadLimits) -> Result<Volume, IoError> {
    let fields = Fields::read(path)?;
    let Header { grid, value_type, big_endian, packing, data } = Header::new(&fields, axes::grid(&fields)?)?;
    let count = limits.check(path, grid.shape_ijk())?;
    let data_bytes = (count as u64).saturating_mul(value_type.bytes() as u64);
    let (file_offset, offset) = offsets(&data, data_bytes)?;
    grid.warn_of_oddities(path);
    let mut source = UnpackedFile::open_at(&data.path, file_offset, packing)?;
    read_volume(&mut source, offset, Encoding { value_type, big_endian, rescale: None }, grid, limits)
}

/// The files that [`read`] opens for the volume at `path`.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    let fields = Fields::read(path)?;
    let header = Header::new(&fields, axes::grid(&fields)?)?;
    Ok(vec![path.to_owned(), header.data.path])
}

/// The segments a `.seg.nrrd` names, in the file's order; none in a plain NRRD file.
///
/// # Errors
/// [`IoError`] if the header cannot be read.
pub fn segments(path: &Path) -> Result<Vec<Segment>, IoError> {
    Ok(segment::read(&Fields::read(path)?.keys).into_iter().map(|(_, segment)| segment).collect())
}

/// Where the voxels' bytes begin in their file, and how many bytes to pass over once they are unpacked.
pub(super) fn offsets(data: &VoxelData, data_bytes: u64) -> Result<(u64, u64), IoError> {
    let failed = |source| read_failed(&data.path, source);
    let Some(bytes) = data.bytes else {
        return Ok((start_of_last(&data.path, data_bytes, data.offset)?, 0));
    };
    if data.lines == 0 {
        return Ok((data.offset, bytes));
    }
    let mut file = open_file(&data.path)?;
    file.seek(SeekFrom::Start(data.offset)).map_err(failed)?;
    let mut reader = BufReader::new(file);
    let mut offset = data.offset;
    for _ in 0..data.lines {
        let passed = reader.skip_until(b'\n').map_err(failed)?;
        if passed == 0 {
            return Err(IoError::Truncated { path: data.path.clone(), expected: data_bytes, found: 0 });
        }
        offset += passed as u64;
    }
    Ok((offset, bytes))
}
