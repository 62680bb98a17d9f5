use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayView3;

use super::{Segment, segment};
use crate::{
    Grid, IoError,
    atomic::{self, Overwrite},
    orient::check_shape,
    write::{Voxel, write_values},
};

/// Writes values, indexed `[k, j, i]`, with gzip and in LPS; with `segments`, as a segmentation.
pub(crate) fn write<T: Voxel>(
    path: &Path,
    values: ArrayView3<'_, T>,
    grid: &Grid,
    segments: Option<&[Segment]>,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    check_shape(grid.shape_kji(), values.dim().into())?;
    atomic::write(path, overwrite, |file| encode(file, values, grid, segments))
}

fn encode<T: Voxel>(
    writer: &mut impl Write,
    values: ArrayView3<'_, T>,
    grid: &Grid,
    segments: Option<&[Segment]>,
) -> io::Result<()> {
    writer.write_all(header::<T>(grid, segments).as_bytes())?;
    // Masks and probability maps compress well at any level; the fastest keeps writing short.
    let mut encoder = GzEncoder::new(writer, Compression::fast());
    write_values(&mut encoder, values)?;
    encoder.finish().map(drop)
}

fn header<T: Voxel>(grid: &Grid, segments: Option<&[Segment]>) -> String {
    let [i, j, k] = grid.shape_ijk();
    let rows = grid.world_from_ijk().rows();
    // From RAS to LPS; adding zero turns a negative zero into a plain one. Shortest decimals, which are read back exactly.
    let column = |axis: usize| {
        let [x, y, z] = [(0, -1.0), (1, -1.0), (2, 1.0)].map(|(row, sign)| rows[row][axis] * sign + 0.0);
        format!("({x},{y},{z})")
    };
    let [a, b, c, origin] = [0, 1, 2, 3].map(column);
    let value_type = T::TYPE;
    let mut header = format!(
        "NRRD0004\n\
         type: {value_type}\n\
         dimension: 3\n\
         space: left-posterior-superior\n\
         sizes: {i} {j} {k}\n\
         space directions: {a} {b} {c}\n\
         kinds: domain domain domain\n\
         endian: little\n\
         encoding: gzip\n\
         space origin: {origin}\n"
    );
    // The format's names for integers are NIfTI's; of floats it has these two.
    header = header.replace("type: float32", "type: float").replace("type: float64", "type: double");
    if let Some(segments) = segments {
        header.push_str(&segment::lines(segments, grid.shape_ijk()));
    }
    header.push('\n');
    header
}
