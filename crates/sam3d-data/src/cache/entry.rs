//! One prepared case in a file: bricks, then a table of them, then where the table is.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use ndarray::{Array3, s};
use serde::{Deserialize, Serialize};

use super::bricks::{self, Brick, Voxel};
use crate::prepared::{PreparedCase, PreparedVoxels, Region, Summary, check_inside};
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};

/// First bytes of an entry; the last of them is the format's version.
const MAGIC: [u8; 8] = *b"sam3dvc\x01";
/// Last bytes of an entry: offset, length and CRC-32 of the table.
const TRAILER_BYTES: usize = 20;
/// The most bytes of a table: that of 2^30 voxels has some two millions.
const MAX_TABLE_BYTES: u64 = 64 << 20;

/// The table of an entry's file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    key: String,
    summary: Summary,
    image: Vec<Brick>,
    label: Vec<Brick>,
}

/// A prepared case whose voxels stay on the disk. The file is opened for every region that is read, so that any number of
/// cases can be at hand.
#[derive(Debug)]
pub(super) struct Entry {
    path: PathBuf,
    table: Table,
}

/// Writes `case` as the entry `key` at `path`, and returns how many bytes that took.
pub(super) fn write(path: &Path, key: &str, case: &PreparedCase) -> Result<(), IoError> {
    atomic::write(path, Overwrite::Replace, |file| {
        file.write_all(&MAGIC)?;
        let mut offset = MAGIC.len() as u64;
        let image = write_bricks(file, &mut offset, case.whole_image())?;
        let label = write_bricks(file, &mut offset, case.whole_label())?;
        let table = Table { key: key.to_owned(), summary: case.summary().clone(), image, label };
        let table = serde_json::to_vec(&table)?;
        file.write_all(&table)?;
        file.write_all(&offset.to_le_bytes())?;
        file.write_all(&(table.len() as u64).to_le_bytes())?;
        file.write_all(&crc32fast::hash(&table).to_le_bytes())
    })
}

fn write_bricks<T: Voxel>(
    file: &mut impl Write,
    offset: &mut u64,
    volume: &Array3<T>,
) -> io::Result<Vec<Brick>> {
    bricks::regions(volume.dim().into())
        .map(|region| {
            let brick = volume.slice(s![region.range(0), region.range(1), region.range(2)]);
            if let Some(value) = bricks::constant(brick) {
                return Ok(Brick::Constant(value.into()));
            }
            let bytes = bricks::to_bytes(brick);
            file.write_all(&bytes)?;
            let stored = Brick::Stored(*offset, crc32fast::hash(&bytes));
            *offset += bytes.len() as u64;
            Ok(stored)
        })
        .collect()
}

impl Entry {
    /// The entry `key` at `path`; only its table is read.
    ///
    /// # Errors
    /// [`IoError::Read`], [`IoError::CacheDamaged`].
    pub(super) fn open(path: &Path, key: &str) -> Result<Self, IoError> {
        let damaged =
            |reason: &str| IoError::CacheDamaged { path: path.to_owned(), reason: reason.to_owned() };
        let failed = |source| IoError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut magic = [0; MAGIC.len()];
        let trailer_at = length
            .checked_sub(TRAILER_BYTES as u64)
            .filter(|at| *at >= MAGIC.len() as u64)
            .ok_or_else(|| damaged("it is too short"))?;
        file.read_exact(&mut magic).map_err(failed)?;
        let mut trailer = [0; TRAILER_BYTES];
        file.seek(SeekFrom::Start(trailer_at)).map_err(failed)?;
        file.read_exact(&mut trailer).map_err(failed)?;
        let ([offset, table_length], crc) = numbers(&trailer);
        if magic != MAGIC
            || offset.checked_add(table_length) != Some(trailer_at)
            || table_length > MAX_TABLE_BYTES
        {
            return Err(damaged("its ends do not fit together"));
        }
        let mut bytes = vec![0; table_length as usize];
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        if crc32fast::hash(&bytes) != crc {
            return Err(damaged("the checksum of its table differs"));
        }
        let table: Table = serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        let bricks = bricks::count(table.summary.sizes);
        if table.key != key || table.image.len() != bricks || table.label.len() != bricks {
            return Err(damaged("its table is of another volume"));
        }
        Ok(Self { path: path.to_owned(), table })
    }

    fn region<T: Voxel>(&self, bricks: &[Brick], region: Region) -> Result<Array3<T>, IoError> {
        let sizes = self.table.summary.sizes;
        check_inside(region, sizes)?;
        let failed = |source| IoError::Read { path: self.path.clone(), source };
        let mut output = Array3::default(region.sizes);
        let mut file = None;
        let mut bytes = Vec::new();
        for (number, place) in bricks::touched(sizes, region) {
            match bricks[number] {
                Brick::Constant(value) => bricks::fill(T::of(value), place, region, &mut output),
                Brick::Stored(offset, crc) => {
                    let file = match &mut file {
                        Some(file) => file,
                        None => file.insert(File::open(&self.path).map_err(failed)?),
                    };
                    bytes.resize(place.voxels() * T::BYTES, 0);
                    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
                    file.read_exact(&mut bytes).map_err(failed)?;
                    if crc32fast::hash(&bytes) != crc {
                        let reason = format!("the checksum of brick {number} differs");
                        return Err(IoError::CacheDamaged { path: self.path.clone(), reason });
                    }
                    bricks::copy_rows(&bytes, place, region, &mut output);
                }
            }
        }
        Ok(output)
    }
}

impl PreparedVoxels for Entry {
    fn summary(&self) -> &Summary {
        &self.table.summary
    }

    fn image(&self, region: Region) -> Result<Array3<f32>, IoError> {
        self.region(&self.table.image, region)
    }

    fn label(&self, region: Region) -> Result<Array3<u8>, IoError> {
        self.region(&self.table.label, region)
    }
}

/// Offset and length of the table, and its checksum.
fn numbers(trailer: &[u8; TRAILER_BYTES]) -> ([u64; 2], u32) {
    let number = |at: usize| (0..8).fold(0, |sum, byte| sum | u64::from(trailer[at + byte]) << (8 * byte));
    let crc = (0..4).fold(0, |sum, byte| sum | u32::from(trailer[16 + byte]) << (8 * byte));
    ([number(0), number(8)], crc)
}
