//! Exact Euclidean distance transform, one axis after the other.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, parallel::prelude::*};
use sam3d_geom::Spacing;

use crate::{
    MetricsError,
    envelope::Envelope,
    nearest::{NO_SEED, NearestInSlices, ScaledSpacing, squared_offset},
};

/// Distance in mm from each voxel's centre to the centre of the nearest voxel of `mask`, `[D, H, W]`; every value but 0
/// belongs to it.
///
/// 0 on the mask; [`f32::INFINITY`] everywhere if the mask is empty. Lower envelopes of parabolas along each axis in turn
/// (Felzenszwalb and Huttenlocher 2012), with the lines in parallel. Exact: a distance is computed in double precision and
/// rounded once. Memory: four bytes for each voxel, the result's own.
///
/// # Errors
/// [`MetricsError::TooLarge`] if a side has more than 65535 voxels.
pub fn distance_transform_mm(mask: ArrayView3<u8>, spacing: Spacing) -> Result<Array3<f32>, MetricsError> {
    distances_mm(mask.dim().into(), spacing, |d, h, found| {
        let row = mask.index_axis(Axis(0), d);
        row.row(h).iter().enumerate().filter(|(_, value)| **value != 0).for_each(|(w, _)| found(w));
    })
}

/// As [`distance_transform_mm`], to the seeds of a grid of `sizes` voxels: `for_seeds_in_row(d, h, found)` calls `found(w)`
/// for each seed of a row, ascending.
pub(crate) fn distances_mm(
    sizes: [usize; 3],
    spacing: Spacing,
    for_seeds_in_row: impl Fn(usize, usize, &mut dyn FnMut(usize)) + Sync,
) -> Result<Array3<f32>, MetricsError> {
    let spacing = ScaledSpacing::new(spacing);
    let mut nearest = NearestInSlices::new(sizes)?;
    nearest.find(spacing, for_seeds_in_row);
    // A place's seed gives way to the bits of its distance, so that both share one allocation.
    let too_large = |_| MetricsError::TooLarge { sizes };
    let mut words = ArrayViewMut3::from_shape(sizes, &mut nearest.seeds).map_err(too_large)?;
    words.axis_iter_mut(Axis(1)).into_par_iter().enumerate().for_each_init(
        || Column::new(sizes[0], spacing),
        |column, (h, mut columns)| {
            for (w, mut words) in columns.axis_iter_mut(Axis(1)).enumerate() {
                let distances_mm = column.distances_mm([h, w], words.iter().copied());
                words.iter_mut().zip(distances_mm).for_each(|(word, mm)| *word = mm.to_bits());
            }
        },
    );
    let distances_mm = nearest.seeds.into_iter().map(f32::from_bits).collect();
    Array3::from_shape_vec(sizes, distances_mm).map_err(too_large)
}

/// Buffers for the pass along D.
struct Column {
    spacing: ScaledSpacing,
    envelope: Envelope,
    seeds: Vec<u32>,
    distances_mm: Vec<f32>,
}

impl Column {
    fn new(depth: usize, spacing: ScaledSpacing) -> Self {
        let envelope = Envelope::new(depth, spacing.units[0]);
        Self { spacing, envelope, seeds: Vec::new(), distances_mm: Vec::new() }
    }

    /// The distances along one column, from the nearest seeds in its slices.
    fn distances_mm(&mut self, [h, w]: [usize; 2], seeds: impl Iterator<Item = u32>) -> &[f32] {
        let Self { spacing: ScaledSpacing { units, unit_mm }, envelope, seeds: column, distances_mm } = self;
        column.clear();
        column.extend(seeds);
        distances_mm.clear();
        distances_mm.resize(column.len(), f32::INFINITY);
        let with_seed = column.iter().enumerate().filter(|(_, seed)| **seed != NO_SEED);
        // The sides of a grid of seeds fit 16 bits.
        let parabolas =
            with_seed.map(|(d, seed)| (d as u16, squared_offset(*seed, 0.0, [h, w], *units), d as u32));
        envelope.for_each_lowest(parabolas, |d, slice| {
            let along_d = (d as f64 - f64::from(slice)) * units[0];
            let squared = squared_offset(column[slice as usize], along_d * along_d, [h, w], *units);
            distances_mm[d] = (squared.sqrt() * *unit_mm) as f32;
        });
        distances_mm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_in_a_stretched_grid() {
        let mut mask = Array3::zeros([3, 3, 3]);
        mask[[0, 0, 1]] = 1;
        let distances = distance_transform_mm(mask.view(), Spacing::new([4.0, 3.0, 12.0]).unwrap()).unwrap();
        assert_eq!(distances[[0, 0, 1]], 0.0);
        assert_eq!(distances[[1, 1, 1]], 5.0);
        assert_eq!(distances[[1, 1, 0]], 13.0);
        assert_eq!(distances[[2, 2, 1]], 10.0);
    }

    #[test]
    fn an_empty_mask_is_infinitely_far() {
        let mask = Array3::zeros([2, 1, 3]);
        let distances = distance_transform_mm(mask.view(), Spacing::new([1.0; 3]).unwrap()).unwrap();
        assert!(distances.iter().all(|d| *d == f32::INFINITY));
    }

    #[test]
    fn a_grid_without_voxels_has_no_distances() {
        let mask = Array3::zeros([0, 4, 3]);
        assert_eq!(distance_transform_mm(mask.view(), Spacing::new([1.0; 3]).unwrap()).unwrap().len(), 0);
    }

    #[test]
    fn a_side_too_long_is_an_error() {
        let mask = Array3::zeros([1, 1, 65_536]);
        let error = distance_transform_mm(mask.view(), Spacing::new([1.0; 3]).unwrap()).unwrap_err();
        assert_eq!(error, MetricsError::TooLarge { sizes: [1, 1, 65_536] });
    }
}
