//! Trilinear resampling, and [slice by slice](image_slices_apart) for volumes whose slices are far from each other.
//!
//! Both ways of stating it, a [spacing](to_spacing) or a [shape](to_shape), come down to the source position of each
//! output voxel along each axis; edges are clamped. Storage is `f32`, positions are computed in `f64`.
//!
//! Trilinear interpolation is separable, so a volume is treated plane by plane: two source planes are blended, then rows
//! of the result, then voxels of a row. For volumes with very unequal spacing (ratio above 8) the published preprocessing
//! interpolates in the plane first and along the depth after; with linear interpolation at the same positions that is
//! the same sum in another order, and differs by rounding only.

mod slices_apart;

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, s};
use rayon::prelude::*;
use sam3d_geom::{Extent, GeomError, Spacing};

use crate::{IoError, orient::contiguous};

pub use self::slices_apart::{image_slices_apart, label_slices_apart};

/// The most voxels a resampled volume may have: as many as a file may have by default.
const MAX_VOXELS: usize = 1 << 30;

/// The factors from `spacing` to `target`, `[D, H, W]`: above 1 where the result has more voxels.
pub fn factors(spacing: Spacing, target: Spacing) -> [f64; 3] {
    std::array::from_fn(|axis| spacing.mm()[axis] / target.mm()[axis])
}

/// Number of voxels after resampling `extent` by `factors`: `floor(n * factor)` on each axis, and at least 1.
///
/// # Errors
/// [`IoError::ResampledTooLarge`] beyond 2^30 voxels.
pub fn resampled_extent(extent: Extent, factors: [f64; 3]) -> Result<Extent, IoError> {
    let too_large = || IoError::ResampledTooLarge { from: extent, factors, limit: MAX_VOXELS };
    let sizes = extent.sizes();
    // A float beyond the range of usize becomes its largest number, which no product below survives.
    let sizes = std::array::from_fn(|axis| ((sizes[axis] as f64 * factors[axis]).floor() as usize).max(1));
    let resampled = Extent::new(sizes).map_err(|_: GeomError| too_large())?;
    if resampled.voxels() <= MAX_VOXELS { Ok(resampled) } else { Err(too_large()) }
}

/// Resamples `volume` (`[D, H, W]`) by `factors`: the output voxel `o` is taken at `(o + 0.5) / factor - 0.5`.
///
/// # Errors
/// [`IoError::Geometry`] if an axis has no voxel, [`IoError::ResampledTooLarge`].
pub fn to_spacing<S>(volume: ArrayView3<'_, S>, factors: [f64; 3]) -> Result<Array3<f32>, IoError>
where
    S: Copy + Into<f32> + Sync,
{
    let sizes: [usize; 3] = volume.dim().into();
    let resampled = resampled_extent(Extent::new(sizes)?, factors)?.sizes();
    let blends = std::array::from_fn(|axis| Blend::by_factor(sizes[axis], resampled[axis], factors[axis]));
    Ok(blend(volume, &blends))
}

/// The part of [`to_spacing`]'s result that begins at `start` and has `sizes` voxels, bit for bit, computed from the part of
/// `volume` that it depends on. The part lies inside the result.
///
/// # Errors
/// As [`to_spacing`]; [`IoError::ShapeMismatch`] if the part reaches beyond the result.
pub fn part_to_spacing<S>(
    volume: ArrayView3<'_, S>,
    factors: [f64; 3],
    start: [usize; 3],
    sizes: [usize; 3],
) -> Result<Array3<f32>, IoError>
where
    S: Copy + Default + Into<f32> + Send + Sync,
{
    let from: [usize; 3] = volume.dim().into();
    let resampled = resampled_extent(Extent::new(from)?, factors)?.sizes();
    let end: [usize; 3] = std::array::from_fn(|axis| start[axis].saturating_add(sizes[axis]));
    if end.iter().zip(resampled).any(|(end, size)| *end > size) {
        return Err(IoError::ShapeMismatch { expected: resampled, found: end });
    }
    let mut read = [(0, 0); 3];
    let blends = std::array::from_fn(|axis| {
        let all = Blend::by_factor(from[axis], resampled[axis], factors[axis]);
        let wanted = &all[start[axis]..end[axis]];
        // Positions only grow along an axis.
        let first = wanted.first().map_or(0, |blend| blend.low);
        read[axis] = (first, wanted.last().map_or(first, |blend| blend.high + 1));
        let shifted = |blend: &Blend| Blend { low: blend.low - first, high: blend.high - first, ..*blend };
        wanted.iter().map(shifted).collect()
    });
    let [d, h, w] = read;
    let needed = contiguous(volume.slice_move(s![d.0..d.1, h.0..h.1, w.0..w.1]));
    Ok(blend(needed.view(), &blends))
}

/// Resamples `volume` (`[D, H, W]`) to `extent`: the output voxel `o` is taken at
/// `(o + 0.5) * n_in / n_out - 0.5`, by the ratio of sizes and not of spacings.
///
/// # Errors
/// [`IoError::Geometry`] if an axis has no voxel.
pub fn to_shape<S>(volume: ArrayView3<'_, S>, extent: Extent) -> Result<Array3<f32>, IoError>
where
    S: Copy + Into<f32> + Sync,
{
    let sizes = Extent::new(volume.dim().into())?.sizes();
    let blends = std::array::from_fn(|axis| {
        let (n_in, n_out) = (sizes[axis] as f64, extent.sizes()[axis]);
        Blend::along(sizes[axis], n_out, |o| (o + 0.5) * n_in / n_out as f64 - 0.5)
    });
    Ok(blend(volume, &blends))
}

/// A box of a volume that is 0 elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct PartOfVolume {
    /// Its first voxel in the volume, `[D, H, W]`.
    pub start: [usize; 3],
    /// Its values, `[D, H, W]`.
    pub values: Array3<f32>,
}

impl PartOfVolume {
    /// The box's voxels in a volume that holds it.
    pub fn of<'a, T>(&self, volume: &'a mut Array3<T>) -> ArrayViewMut3<'a, T> {
        let ([d, h, w], (depth, height, width)) = (self.start, self.values.dim());
        volume.slice_mut(s![d..d + depth, h..h + height, w..w + width])
    }
}

/// The part of [`to_shape`]'s result that depends on a box of the source, computed from that box alone: the same values bit
/// for bit as if the rest of the source were 0.
///
/// `part` (`[D, H, W]`) stands at `start` of a source of `from` voxels; the result is a part of a volume of `to` voxels.
/// `None` if no output voxel depends on the box.
///
/// # Errors
/// [`IoError::ShapeMismatch`] if the box reaches beyond the source.
pub fn to_shape_of_part(
    part: ArrayView3<'_, f32>,
    start: [usize; 3],
    from: Extent,
    to: Extent,
) -> Result<Option<PartOfVolume>, IoError> {
    let sizes: [usize; 3] = part.dim().into();
    let end: [usize; 3] = std::array::from_fn(|axis| start[axis].saturating_add(sizes[axis]));
    if sizes.contains(&0) {
        return Ok(None);
    }
    if end.iter().zip(from.sizes()).any(|(end, n)| *end > n) {
        return Err(IoError::ShapeMismatch { expected: from.sizes(), found: end });
    }
    let Some((first, blends)) = blends_of_part(start, end, from, to) else { return Ok(None) };
    // With a border of zeros a blend of the box's outermost voxels finds the neighbour it has in the whole source.
    let mut padded = Array3::zeros(sizes.map(|n| n + 2));
    padded.slice_mut(s![1..=sizes[0], 1..=sizes[1], 1..=sizes[2]]).assign(&part);
    Ok(Some(PartOfVolume { start: first, values: blend(padded.view(), &blends) }))
}

/// The first voxel, and one past the last, of [`to_shape_of_part`]'s result for a box of the source from `start` up to `end`,
/// which lies inside.
pub fn box_to_shape(
    start: [usize; 3],
    end: [usize; 3],
    from: Extent,
    to: Extent,
) -> Option<([usize; 3], [usize; 3])> {
    let (first, blends) = blends_of_part(start, end, from, to)?;
    Some((first, std::array::from_fn(|axis| first[axis] + blends[axis].len())))
}

/// The first output voxel that depends on a box of the source, and the blends of those that do, from a box with one voxel of
/// padding on each side.
fn blends_of_part(
    start: [usize; 3],
    end: [usize; 3],
    from: Extent,
    to: Extent,
) -> Option<([usize; 3], [Vec<Blend>; 3])> {
    let mut first = [0; 3];
    let mut blends = [const { Vec::new() }; 3];
    for axis in 0..3 {
        let (n_in, n_out) = (from.sizes()[axis], to.sizes()[axis]);
        let ratio = |o: f64| (o + 0.5) * n_in as f64 / n_out as f64 - 0.5;
        let within = start[axis]..end[axis];
        let touches = |blend: &Blend| within.contains(&blend.low) || within.contains(&blend.high);
        let all = Blend::along(n_in, n_out, ratio);
        first[axis] = all.iter().position(touches)?;
        let to_padded = |index: usize| index + 1 - start[axis];
        blends[axis] = all[first[axis]..]
            .iter()
            .take_while(|blend| touches(blend))
            .map(|blend| Blend { low: to_padded(blend.low), high: to_padded(blend.high), ..*blend })
            .collect();
    }
    Some((first, blends))
}

/// Where one output position takes its value from along one axis: `(1 - weight) * [low] + weight * [high]`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Blend {
    low: usize,
    high: usize,
    weight: f32,
}

impl Blend {
    /// The blends of `n_out` output voxels on an axis of `n_in`, at clamped positions.
    fn along(n_in: usize, n_out: usize, position: impl Fn(f64) -> f64) -> Vec<Self> {
        let last = n_in - 1;
        (0..n_out)
            .map(|o| {
                let position = position(o as f64).clamp(0.0, last as f64);
                let low = position as usize;
                Self { low, high: (low + 1).min(last), weight: (position - low as f64) as f32 }
            })
            .collect()
    }

    /// The blends of `n_out` output voxels at `(o + 0.5) / factor - 0.5`.
    fn by_factor(n_in: usize, n_out: usize, factor: f64) -> Vec<Self> {
        Self::along(n_in, n_out, |o| (o + 0.5) / factor - 0.5)
    }

    fn of(self, low: f32, high: f32) -> f32 {
        low * (1.0 - self.weight) + high * self.weight
    }

    fn rows<'a, S: Copy + Into<f32> + 'a>(
        self,
        low: impl Iterator<Item = &'a S>,
        high: impl Iterator<Item = &'a S>,
        blended: &mut [f32],
    ) {
        for ((value, low), high) in blended.iter_mut().zip(low).zip(high) {
            *value = self.of((*low).into(), (*high).into());
        }
    }
}

fn blend<S>(volume: ArrayView3<'_, S>, [depth, height, width]: &[Vec<Blend>; 3]) -> Array3<f32>
where
    S: Copy + Into<f32> + Sync,
{
    let (_, rows, columns) = volume.dim();
    let mut resampled = Array3::zeros([depth.len(), height.len(), width.len()]);
    resampled.axis_iter_mut(Axis(0)).into_par_iter().zip(depth).for_each_init(
        || (vec![0.0f32; rows * columns], vec![0.0f32; columns]),
        |(plane, row), (mut output, along_depth)| {
            blend_planes(&volume, *along_depth, plane);
            for (mut output, along_height) in output.axis_iter_mut(Axis(0)).zip(height) {
                let low = &plane[along_height.low * columns..][..columns];
                let high = &plane[along_height.high * columns..][..columns];
                along_height.rows(low.iter(), high.iter(), row);
                for (value, along_width) in output.iter_mut().zip(width) {
                    *value = along_width.of(row[along_width.low], row[along_width.high]);
                }
            }
        },
    );
    resampled
}

/// Blends two source planes into `plane`, row by row.
fn blend_planes<S: Copy + Into<f32>>(volume: &ArrayView3<'_, S>, along_depth: Blend, plane: &mut [f32]) {
    let low = volume.index_axis(Axis(0), along_depth.low);
    let high = volume.index_axis(Axis(0), along_depth.high);
    let columns = low.ncols();
    for ((row, low), high) in plane.chunks_exact_mut(columns).zip(low.rows()).zip(high.rows()) {
        match (low.to_slice(), high.to_slice()) {
            // The usual case: neighbours in memory are blended several at a time.
            (Some(low), Some(high)) => along_depth.rows(low.iter(), high.iter(), row),
            _ => along_depth.rows(low.iter(), high.iter(), row),
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::{Array1, arr1};

    use super::*;

    /// The values along W of a volume that varies only there.
    fn line(values: &[f32]) -> Array3<f32> {
        Array1::from_vec(values.to_vec()).insert_axis(Axis(0)).insert_axis(Axis(0))
    }

    #[test]
    fn doubles_with_clamped_edges() {
        let doubled = to_spacing(line(&[0.0, 4.0, 8.0]).view(), [1.0, 1.0, 2.0]).unwrap();
        assert_eq!(doubled.into_flat(), arr1(&[0.0, 1.0, 3.0, 5.0, 7.0, 8.0]));
    }

    #[test]
    fn size_is_rounded_down_and_positions_follow_the_factor() {
        // floor(3 * 1.9) = 5: the last position is 4.5 / 1.9 - 0.5, not that of a ratio of sizes.
        let resampled = to_spacing(line(&[0.0, 1.0, 2.0]).view(), [1.0, 1.0, 1.9]).unwrap();
        assert_eq!(resampled.dim(), (1, 1, 5));
        assert_abs_diff_eq!(resampled[[0, 0, 4]], (4.5 / 1.9 - 0.5) as f32, epsilon = 1e-6);
        let resized = to_shape(line(&[0.0, 1.0, 2.0]).view(), Extent::new([1, 1, 5]).unwrap()).unwrap();
        assert_abs_diff_eq!(resized[[0, 0, 3]], 3.5 * 3.0 / 5.0 - 0.5, epsilon = 1e-6);
    }

    #[test]
    fn at_least_one_voxel_and_not_too_many() {
        let extent = Extent::new([1, 4, 4]).unwrap();
        assert_eq!(resampled_extent(extent, [0.5, 0.5, 1.0]).unwrap().sizes(), [1, 2, 4]);
        for factors in [[1e6; 3], [1e300, 1.0, 1.0], [f64::INFINITY; 3]] {
            assert!(matches!(resampled_extent(extent, factors), Err(IoError::ResampledTooLarge { .. })));
        }
    }
}
