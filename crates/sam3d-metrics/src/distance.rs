//! Exact Euclidean distance transform, one axis after the other.
//!
//! After the pass along an axis each voxel holds the squared distance to the nearest seed reachable along the axes done
//! so far. A pass over one line is the lower envelope of parabolas, one for each voxel of the line (Felzenszwalb and
//! Huttenlocher 2012), here with the axis's spacing; lines are independent and run in parallel.

use ndarray::{Array3, ArrayView3, ArrayViewMut1, Axis, parallel::prelude::*};
use sam3d_geom::Spacing;

/// Distance in mm from each voxel's centre to the centre of the nearest voxel of `mask`, `[D, H, W]`.
///
/// 0 on the mask; [`f64::INFINITY`] everywhere if the mask is empty.
pub fn distance_transform_mm(mask: ArrayView3<u8>, spacing: Spacing) -> Array3<f64> {
    let mut squared = mask.map(|value| if *value != 0 { 0.0 } else { f64::INFINITY });
    squared_distances_mm2(&mut squared, spacing);
    squared.par_mapv_inplace(f64::sqrt);
    squared
}

/// Turns 0 at seeds and infinity elsewhere into squared distances in mm² to the nearest seed.
pub(crate) fn squared_distances_mm2(values: &mut Array3<f64>, spacing: Spacing) {
    let spacing_mm = spacing.mm();
    // Lines along the last axis are contiguous and many of them have no seed: that pass first.
    for (axis, slabs, axis_in_slab) in [(2, 0, 1), (1, 0, 0), (0, 1, 0)] {
        let step_mm = spacing_mm[axis];
        values.axis_iter_mut(Axis(slabs)).into_par_iter().for_each_init(
            Envelope::default,
            |envelope, mut slab| {
                for line in slab.lanes_mut(Axis(axis_in_slab)) {
                    envelope.transform(line, step_mm);
                }
            },
        );
    }
}

/// Scratch of one line's pass: the parabolas of the lower envelope from left to right.
#[derive(Default)]
struct Envelope {
    parabolas: Vec<Parabola>,
}

/// `height + (step * (x - at))²`, the lowest of all parabolas from `from` to the next one's `from`.
struct Parabola {
    at: f64,
    height: f64,
    from: f64,
}

impl Envelope {
    /// Replaces each value of `line` by the minimum over all voxels of value + squared distance.
    fn transform(&mut self, mut line: ArrayViewMut1<f64>, step_mm: f64) {
        self.build(&line, step_mm);
        let mut parabolas = self.parabolas.iter().peekable();
        let Some(mut lowest) = parabolas.next() else { return };
        for (x, value) in line.iter_mut().enumerate() {
            let x = x as f64;
            while let Some(next) = parabolas.next_if(|next| next.from < x) {
                lowest = next;
            }
            let offset_mm = (x - lowest.at) * step_mm;
            *value = lowest.height + offset_mm * offset_mm;
        }
    }

    fn build(&mut self, line: &ArrayViewMut1<f64>, step_mm: f64) {
        self.parabolas.clear();
        for (at, height) in line.iter().enumerate().filter(|(_, height)| height.is_finite()) {
            let (at, height) = (at as f64, *height);
            let mut from = f64::NEG_INFINITY;
            while let Some(last) = self.parabolas.last() {
                // Where the new parabola crosses the last one, in voxels.
                let rise = (height - last.height) / (step_mm * step_mm * (at - last.at));
                from = 0.5 * (rise + at + last.at);
                if from > last.from {
                    break;
                }
                self.parabolas.pop();
                from = f64::NEG_INFINITY;
            }
            self.parabolas.push(Parabola { at, height, from });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_in_a_stretched_grid() {
        let mut mask = Array3::zeros([3, 3, 3]);
        mask[[0, 0, 1]] = 1;
        let distances = distance_transform_mm(mask.view(), Spacing::new([4.0, 3.0, 12.0]).unwrap());
        assert_eq!(distances[[0, 0, 1]], 0.0);
        assert_eq!(distances[[1, 1, 1]], 5.0);
        assert_eq!(distances[[1, 1, 0]], 13.0);
        assert_eq!(distances[[2, 2, 1]], 10.0);
    }

    #[test]
    fn an_empty_mask_is_infinitely_far() {
        let mask = Array3::zeros([2, 1, 3]);
        let distances = distance_transform_mm(mask.view(), Spacing::new([1.0; 3]).unwrap());
        assert!(distances.iter().all(|d| *d == f64::INFINITY));
    }
}
