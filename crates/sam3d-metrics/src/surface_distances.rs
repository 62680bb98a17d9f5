use ndarray::ArrayView3;
use rayon::prelude::*;
use sam3d_geom::Spacing;

use crate::{
    Comparison, DirectedDistances, MetricsError, Percentile, Tolerance,
    area::areas,
    bits::BitMask,
    directed::{Weighted, merge_equal},
    nearest::{NearestInSlices, ScaledSpacing},
};

/// Distances between the surfaces of two masks, both ways.
///
/// The surface passes between voxels: each 2 x 2 x 2 neighbourhood that has voxels of both kinds holds one element, whose
/// area is that of the marching-cubes surface in it. Outside the grid is background. Distances are Euclidean, in mm,
/// between the places of elements (the surface distance based measures of Nikolov et al. 2021).
#[derive(Debug, Clone, PartialEq)]
pub struct SurfaceDistances {
    truth_to_prediction: DirectedDistances,
    prediction_to_truth: DirectedDistances,
}

impl SurfaceDistances {
    /// The distances between two masks, `[D, H, W]`, on a grid of `spacing`; every value but 0 belongs to a mask.
    ///
    /// Surfaces are computed inside the box around both masks, so a small target in a large volume is fast.
    ///
    /// # Errors
    /// As [`Comparison::between`].
    pub fn between(
        truth: ArrayView3<u8>,
        prediction: ArrayView3<u8>,
        spacing: Spacing,
    ) -> Result<Self, MetricsError> {
        Ok(Comparison::between(truth, prediction, spacing)?.distances)
    }

    /// Of two empty masks.
    pub(crate) fn of_nothing() -> Self {
        let nothing = DirectedDistances::new(Vec::new(), 1.0);
        Self { truth_to_prediction: nothing.clone(), prediction_to_truth: nothing }
    }

    /// Between two masks of one box; `spacing` in its axis order.
    pub(crate) fn of_bits(
        truth: &BitMask,
        prediction: &BitMask,
        spacing: Spacing,
    ) -> Result<Self, MetricsError> {
        let spacing = ScaledSpacing::new(spacing);
        let areas = areas(spacing.units);
        // One grid for both directions: it is by far the largest thing in memory.
        let mut nearest = NearestInSlices::new(truth.cubes())?;
        let mut directed = |from: &BitMask, to: &BitMask| {
            nearest.find(spacing, |d, h, found| to.surface_in_row(d, h, |w, _| found(w)));
            DirectedDistances::new(weighted_distances(from, &nearest, spacing.units, &areas), spacing.unit_mm)
        };
        Ok(Self {
            truth_to_prediction: directed(truth, prediction),
            prediction_to_truth: directed(prediction, truth),
        })
    }

    /// Distances from the truth's surface to the prediction's: large where the prediction misses something.
    pub fn truth_to_prediction(&self) -> &DirectedDistances {
        &self.truth_to_prediction
    }

    /// Distances from the prediction's surface to the truth's: large where the prediction adds something.
    pub fn prediction_to_truth(&self) -> &DirectedDistances {
        &self.prediction_to_truth
    }

    /// Normalized surface dice (surface dice at `tolerance`): the area of both surfaces that lies within `tolerance` of
    /// the other one, over the area of both.
    ///
    /// `None` if both masks are empty; 0 if one is.
    pub fn nsd(&self, tolerance: Tolerance) -> Option<f64> {
        let (a, b) = (&self.truth_to_prediction, &self.prediction_to_truth);
        let total = a.area() + b.area();
        (total > 0.0).then(|| (a.area_within(tolerance) + b.area_within(tolerance)) / total)
    }

    /// Hausdorff distance at `percentile`: the larger of the two surfaces' percentile distances.
    ///
    /// `None` if both masks are empty, as no distance exists between them; infinite if one is. (The Python package
    /// `surface-distance-based-measures` calls both infinite.)
    pub fn hausdorff_mm(&self, percentile: Percentile) -> Option<f64> {
        let (a, b) = (&self.truth_to_prediction, &self.prediction_to_truth);
        match (a.percentile_mm(percentile), b.percentile_mm(percentile)) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        }
    }

    /// Average symmetric surface distance: the mean over the area of both surfaces.
    ///
    /// `None` if both masks are empty; infinite if one is.
    pub fn average_symmetric_mm(&self) -> Option<f64> {
        let (a, b) = (&self.truth_to_prediction, &self.prediction_to_truth);
        match (a.average_mm(), b.average_mm()) {
            (Some(from_a), Some(from_b)) => {
                let (area_a, area_b) = (a.area(), b.area());
                Some((from_a * area_a + from_b * area_b) / (area_a + area_b))
            }
            (one, other) => one.or(other),
        }
    }
}

/// Slices whose elements are collected before equal distances are merged.
const SLICES_AT_ONCE: usize = 8;

/// From each surface element of `from` to the nearest seed, in units.
fn weighted_distances(
    from: &BitMask,
    nearest: &NearestInSlices,
    units: [f64; 3],
    areas: &[f64; 256],
) -> Vec<Weighted> {
    let [depth, height, _] = from.cubes();
    let parts: Vec<Vec<Weighted>> = (0..depth.div_ceil(SLICES_AT_ONCE))
        .into_par_iter()
        .map(|part| {
            let mut elements = Vec::new();
            let slices = part * SLICES_AT_ONCE..((part + 1) * SLICES_AT_ONCE).min(depth);
            for (d, h) in slices.flat_map(|d| (0..height).map(move |h| (d, h))) {
                from.surface_in_row(d, h, |w, code| {
                    let distance = nearest.squared_distance([d, h, w], units).sqrt();
                    elements.push(Weighted { distance, area: areas[usize::from(code)] });
                });
            }
            merge_equal(&mut elements);
            elements.shrink_to_fit();
            elements
        })
        .collect();
    parts.concat()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::Array3;

    use super::*;

    #[test]
    fn a_shift_by_one_slice_is_one_step() {
        let mut truth = Array3::zeros([6, 5, 5]);
        truth[[2, 2, 2]] = 1;
        let mut prediction = Array3::zeros([6, 5, 5]);
        prediction[[4, 2, 2]] = 1;
        let spacing = Spacing::new([3.0, 1.0, 1.0]).unwrap();
        let distances = SurfaceDistances::between(truth.view(), prediction.view(), spacing).unwrap();
        // The far side of one voxel is two steps away, the near side one.
        assert_eq!(distances.hausdorff_mm(Percentile::MAX), Some(6.0));
        assert_abs_diff_eq!(distances.average_symmetric_mm().unwrap(), 4.5, epsilon = 1e-12);
        assert_eq!(distances.nsd(Tolerance::new(3.0).unwrap()), Some(0.5));
    }

    #[test]
    fn empty_masks() {
        let (empty, full) = (Array3::zeros([2, 2, 2]), Array3::ones([2, 2, 2]));
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let both = SurfaceDistances::between(empty.view(), empty.view(), spacing).unwrap();
        assert_eq!((both.nsd(Tolerance::PUBLISHED), both.average_symmetric_mm()), (None, None));
        assert_eq!(both.hausdorff_mm(Percentile::P95), None);
        let missed = SurfaceDistances::between(full.view(), empty.view(), spacing).unwrap();
        assert_eq!(missed.nsd(Tolerance::PUBLISHED), Some(0.0));
        assert_eq!(missed.average_symmetric_mm(), Some(f64::INFINITY));
        assert_eq!(missed.hausdorff_mm(Percentile::P95), Some(f64::INFINITY));
        let invented = SurfaceDistances::between(empty.view(), full.view(), spacing).unwrap();
        assert_eq!(invented.hausdorff_mm(Percentile::MAX), Some(f64::INFINITY));
        assert_eq!(missed.prediction_to_truth().overlap(Tolerance::PUBLISHED), None);
    }
}
