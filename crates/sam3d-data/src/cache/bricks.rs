//! A volume cut into cubes, so that a crop reads only the cubes it touches.

use std::array::from_fn;

use ndarray::{Array3, ArrayView3, ArrayViewMut3, s};
use serde::{Deserialize, Serialize};

use crate::prepared::Region;

/// Side of a brick in voxels: 128 KiB of `f32`, large enough for a disk, small enough for a crop.
const SIDE: usize = 32;

/// A number as a cache file holds it, little endian.
pub(super) trait Voxel: Copy + Default + PartialEq + Into<f64> {
    const BYTES: usize;

    fn put(values: &[Self], bytes: &mut [u8]);
    fn take(bytes: &[u8], values: &mut [Self]);
    fn of(constant: f64) -> Self;
}

impl Voxel for f32 {
    const BYTES: usize = 4;

    fn put(values: &[Self], bytes: &mut [u8]) {
        for (value, bytes) in values.iter().zip(bytes.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    }

    fn take(bytes: &[u8], values: &mut [Self]) {
        for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = Self::from_le_bytes(*bytes);
        }
    }

    fn of(constant: f64) -> Self {
        constant as Self
    }
}

impl Voxel for u8 {
    const BYTES: usize = 1;

    fn put(values: &[Self], bytes: &mut [u8]) {
        bytes.copy_from_slice(values);
    }

    fn take(bytes: &[u8], values: &mut [Self]) {
        values.copy_from_slice(bytes);
    }

    fn of(constant: f64) -> Self {
        constant as Self
    }
}

/// Where a brick is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Brick {
    /// All voxels have this value: as in clipped air, and in most of a label.
    Constant(f64),
    /// Its first byte in the file, and the CRC-32 of its bytes.
    Stored(u64, u32),
}

/// The bricks of a volume of `sizes` voxels in the order of their first voxels.
pub(super) fn regions(sizes: [usize; 3]) -> impl Iterator<Item = Region> {
    touched(sizes, Region::whole(sizes)).map(|(_, region)| region)
}

/// Number of bricks of a volume.
pub(super) fn count(sizes: [usize; 3]) -> usize {
    sizes.iter().map(|size| size.div_ceil(SIDE)).product()
}

/// The bricks of a volume of `sizes` voxels that `region` touches, each with its number.
pub(super) fn touched(sizes: [usize; 3], region: Region) -> impl Iterator<Item = (usize, Region)> {
    let bricks = sizes.map(|size| size.div_ceil(SIDE));
    let [depth, height, width]: [_; 3] =
        from_fn(|axis| region.start[axis] / SIDE..region.end()[axis].div_ceil(SIDE));
    depth.flat_map(move |d| {
        let width = width.clone();
        height.clone().flat_map(move |h| {
            width.clone().map(move |w| {
                let start = [d * SIDE, h * SIDE, w * SIDE];
                let end = from_fn(|axis| (start[axis] + SIDE).min(sizes[axis]));
                ((d * bricks[1] + h) * bricks[2] + w, Region::between(start, end))
            })
        })
    })
}

/// The value of all voxels of `brick`, if they have one.
pub(super) fn constant<T: Voxel>(brick: ArrayView3<'_, T>) -> Option<T> {
    let first = brick.iter().next().copied()?;
    brick.iter().all(|value| *value == first).then_some(first)
}

/// The bytes of a brick, row by row.
pub(super) fn to_bytes<T: Voxel>(brick: ArrayView3<'_, T>) -> Vec<u8> {
    let values: Vec<T> = brick.iter().copied().collect();
    let mut bytes = vec![0; values.len() * T::BYTES];
    T::put(&values, &mut bytes);
    bytes
}

/// Copies the voxels of the brick at `place` that lie in `region` into `output`, the array of `region`.
pub(super) fn copy_rows<T: Voxel>(bytes: &[u8], place: Region, region: Region, output: &mut Array3<T>) {
    let shared = place.intersection(region);
    let [in_brick, in_output] = [place.start, region.start].map(|origin| shared.relative_to(origin));
    let row_bytes = place.sizes[2] * T::BYTES;
    let columns = in_brick.start[2] * T::BYTES..in_brick.end()[2] * T::BYTES;
    let mut output = slice_mut(output, in_output);
    for (mut plane, d) in output.outer_iter_mut().zip(in_brick.range(0)) {
        for (mut row, h) in plane.outer_iter_mut().zip(in_brick.range(1)) {
            let bytes = &bytes[(d * place.sizes[1] + h) * row_bytes..][columns.clone()];
            if let Some(row) = row.as_slice_mut() {
                T::take(bytes, row);
            }
        }
    }
}

/// Fills the voxels of the brick at `place` that lie in `region` with `value`.
pub(super) fn fill<T: Voxel>(value: T, place: Region, region: Region, output: &mut Array3<T>) {
    slice_mut(output, place.intersection(region).relative_to(region.start)).fill(value);
}

fn slice_mut<T>(array: &mut Array3<T>, region: Region) -> ArrayViewMut3<'_, T> {
    array.slice_mut(s![region.range(0), region.range(1), region.range(2)])
}
