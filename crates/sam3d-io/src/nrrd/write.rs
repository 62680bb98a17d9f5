use std::{
    io::{self, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use ndarray::ArrayView3;

use super::{Segment, segment};
use crate::{
    Grid, IoError, ValueType,
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
    let segments: Option<Vec<_>> =
        segments.map(|segments| segments.iter().map(|segment| (0, segment)).collect());
    writer.write_all(header(T::TYPE, grid, 1, segments.as_deref()).as_bytes())?;
    // Masks and probability maps compress well at any level; the fastest keeps writing short.
    let mut encoder = GzEncoder::new(writer, Compression::fast());
    write_values(&mut encoder, values)?;
    encoder.finish().map(drop)
}

/// The header of values of `value_type` on `grid`, or of several `layers` of them, whose axis is then the fastest; with `segments`,
/// each with its layer, that of a segmentation.
pub(super) fn header(
    value_type: ValueType,
    grid: &Grid,
    layers: usize,
    segments: Option<&[(usize, &Segment)]>,
) -> String {
    let [i, j, k] = grid.shape_ijk();
    let rows = grid.world_from_ijk().rows();
    // From RAS to LPS; adding zero turns a negative zero into a plain one. Shortest decimals, which are read back exactly.
    let column = |axis: usize| {
        let [x, y, z] = [(0, -1.0), (1, -1.0), (2, 1.0)].map(|(row, sign)| rows[row][axis] * sign + 0.0);
        format!("({x},{y},{z})")
    };
    let [a, b, c, origin] = [0, 1, 2, 3].map(column);
    let (dimension, layer_size, layer_direction, layer_kind) = match layers {
        1 => (3, String::new(), "", ""),
        _ => (4, format!("{layers} "), "none ", "list "),
    };
    let mut header = format!(
        "NRRD0004\n\
         type: {value_type}\n\
         dimension: {dimension}\n\
         space: left-posterior-superior\n\
         sizes: {layer_size}{i} {j} {k}\n\
         space directions: {layer_direction}{a} {b} {c}\n\
         kinds: {layer_kind}domain domain domain\n\
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
