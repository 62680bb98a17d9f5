use std::array::from_fn;

use ndarray::{ArrayView3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Region;

/// Properties of a whole volume that drawing a crop needs, so that the volume itself is not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Number of voxels, `[D, H, W]`.
    pub sizes: [usize; 3],
    /// The largest value of every plane across D, across H and across W.
    pub maxima: PlaneMaxima,
    /// The smallest box around the target's voxels; `None` without target.
    pub target: Option<Region>,
}

impl Summary {
    /// The summary of an image and its label, both `[D, H, W]` and of one shape.
    pub fn of(image: ArrayView3<'_, f32>, label: ArrayView3<'_, u8>) -> Self {
        Self { sizes: image.dim().into(), maxima: PlaneMaxima::of(image), target: bounds(label) }
    }
}

/// The largest value of every plane of a volume, along each axis.
///
/// They are all it takes to find the smallest box around the voxels above a threshold, whatever the threshold: a plane
/// has such a voxel if its largest value is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlaneMaxima([Vec<f32>; 3]);

impl PlaneMaxima {
    /// The maxima of `image`, `[D, H, W]`.
    pub fn of(image: ArrayView3<'_, f32>) -> Self {
        let (depth, height, width) = image.dim();
        let none = || [vec![], vec![f32::NEG_INFINITY; height], vec![f32::NEG_INFINITY; width]];
        let planes: Vec<[Vec<f32>; 3]> = image
            .axis_iter(Axis(0))
            .into_par_iter()
            .map(|plane| {
                let [_, mut along_h, mut along_w] = none();
                for (row, largest) in plane.outer_iter().zip(&mut along_h) {
                    for (value, column) in row.iter().zip(&mut along_w) {
                        *column = column.max(*value);
                        *largest = largest.max(*value);
                    }
                }
                let of_plane = along_h.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                [vec![of_plane], along_h, along_w]
            })
            .collect();
        let mut maxima = none();
        maxima[0].reserve(depth);
        for [of_plane, along_h, along_w] in planes {
            maxima[0].extend(of_plane);
            for (all, plane) in maxima[1..].iter_mut().zip([along_h, along_w]) {
                all.iter_mut().zip(plane).for_each(|(largest, value)| *largest = largest.max(value));
            }
        }
        Self(maxima)
    }

    /// The smallest box around the voxels that exceed `threshold` once `shift` is added to them; `None` if none does.
    ///
    /// The sum is rounded to `f32`, as that of a voxel is.
    pub fn box_above(&self, threshold: f32, shift: f32) -> Option<Region> {
        let mut bounds = [(0, 0); 3];
        for (bounds, maxima) in bounds.iter_mut().zip(&self.0) {
            let above = |value: &f32| value + shift > threshold;
            *bounds = (maxima.iter().position(above)?, maxima.iter().rposition(above)? + 1);
        }
        Some(Region::between(bounds.map(|(start, _)| start), bounds.map(|(_, end)| end)))
    }
}

/// The smallest box around the voxels of `label` that are not 0.
fn bounds(label: ArrayView3<'_, u8>) -> Option<Region> {
    let mut found: Option<([usize; 3], [usize; 3])> = None;
    for (d, plane) in label.outer_iter().enumerate() {
        for (h, row) in plane.outer_iter().enumerate() {
            let Some(first) = row.iter().position(|value| *value != 0) else { continue };
            let last = row.iter().rposition(|value| *value != 0).unwrap_or(first);
            let (low, high) = found.get_or_insert(([d, h, first], [d, h, last]));
            *low = from_fn(|axis| low[axis].min([d, h, first][axis]));
            *high = from_fn(|axis| high[axis].max([d, h, last][axis]));
        }
    }
    found.map(|(low, high)| Region::between(low, high.map(|last| last + 1)))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The box by maxima is the box around the voxels themselves.
        #[test]
        fn boxes_are_those_of_the_voxels(
            sizes in proptest::array::uniform3(1usize..6), seed: u64, threshold in -3i8..8, shift in -2i8..3,
        ) {
            let mut state = seed;
            let image = Array3::from_shape_simple_fn(sizes, || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((state >> 60) % 8) as f32
            });
            let [threshold, shift] = [threshold, shift].map(f32::from);
            let above = image.mapv(|value| u8::from(value + shift > threshold));
            prop_assert_eq!(PlaneMaxima::of(image.view()).box_above(threshold, shift), bounds(above.view()));
            let marked: Vec<[usize; 3]> = above
                .indexed_iter()
                .filter(|(_, value)| **value == 1)
                .map(|((d, h, w), _)| [d, h, w])
                .collect();
            let expected = marked.first().map(|_| {
                let edge = |axis: usize, of: &dyn Fn(&mut dyn Iterator<Item = usize>) -> Option<usize>| {
                    of(&mut marked.iter().map(|index| index[axis])).unwrap()
                };
                Region::between(
                    from_fn(|axis| edge(axis, &|indices| indices.min())),
                    from_fn(|axis| edge(axis, &|indices| indices.max()) + 1),
                )
            });
            prop_assert_eq!(bounds(above.view()), expected);
        }
    }
}
