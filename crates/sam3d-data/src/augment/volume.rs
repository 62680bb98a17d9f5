//! The volume that crops are taken from, evaluated only where they lie.

use ndarray::{Array3, s};
use rand::{Rng, RngExt};
use sam3d_geom::Intensity;
use sam3d_io::intensity;

use super::{
    AugmentError,
    transform::{padding, shift_intensity},
    warp::Chain,
};
use crate::prepared::{PreparedVoxels, Region};

/// A prepared case from which samples are drawn.
#[derive(Clone, Copy)]
pub struct CaseVoxels<'a> {
    /// The resampled and clipped image in HU, and its label.
    pub voxels: &'a dyn PreparedVoxels,
    /// The clip range and normalisation.
    pub intensity: Intensity,
}

/// A case cut to a region, shifted, normalised, rotated and zoomed: each step is done only where a crop needs it.
pub(super) struct TransformedVolume<'a> {
    case: CaseVoxels<'a>,
    shift_hu: f32,
    region: Region,
    chain: Chain,
}

impl<'a> TransformedVolume<'a> {
    /// All of the case.
    pub(super) fn whole(case: CaseVoxels<'a>) -> Self {
        let region = Region::whole(case.voxels.summary().sizes);
        Self { case, shift_hu: 0.0, region, chain: Chain::new(region.sizes) }
    }

    /// The case shifted by `shift_hu` and cut to the box of voxels that are then brighter than the lower clip.
    pub(super) fn body(case: CaseVoxels<'a>, shift_hu: f32) -> Self {
        let summary = case.voxels.summary();
        let [lower, _] = case.intensity.clip_hu();
        let region = summary.maxima.box_above(lower as f32, shift_hu).unwrap_or(Region::whole(summary.sizes));
        Self { case, shift_hu, region, chain: Chain::new(region.sizes) }
    }

    /// The steps of resampling, to which more can be added.
    pub(super) fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// The target in this volume, which is padded to `least` voxels along each axis.
    pub(super) fn target(&self, least: [usize; 3]) -> Result<Target, AugmentError> {
        let sizes = self.chain.output_sizes();
        let (padded, before) = padding(sizes, least);
        let target = self.case.voxels.summary().target.unwrap_or(Region::whole([0; 3]));
        let target = target.intersection(self.region);
        if target.is_empty() {
            return Ok(Target::none(padded, before, sizes));
        }
        let place = self.chain.output_of(target.relative_to(self.region.start));
        if place.is_empty() {
            return Ok(Target::none(padded, before, sizes));
        }
        let share = self.chain.evaluate(place, |region| {
            Ok(self.case.voxels.label(region.offset_by(self.region.start))?.mapv(f32::from))
        })?;
        let mask = share.mapv(|share| u8::from(share > 0.5));
        Ok(Target::new(padded, before, sizes, place, mask))
    }

    /// The image in the `window` of the padded volume; 0 in the padding.
    pub(super) fn image(&self, target: &Target, window: Region) -> Result<Array3<f32>, AugmentError> {
        let inside = window.intersection(target.volume);
        if inside.is_empty() {
            return Ok(Array3::zeros(window.sizes));
        }
        let image = self.chain.evaluate(inside.relative_to(target.volume.start), |region| {
            let mut image = self.case.voxels.image(region.offset_by(self.region.start))?;
            if self.shift_hu != 0.0 {
                shift_intensity(&mut image, self.shift_hu);
            }
            intensity::normalise(&mut image, self.case.intensity);
            Ok(image)
        })?;
        if inside == window {
            return Ok(image);
        }
        let mut padded = Array3::zeros(window.sizes);
        let place = inside.relative_to(window.start);
        padded.slice_mut(s![place.range(0), place.range(1), place.range(2)]).assign(&image);
        Ok(padded)
    }
}

/// The target's voxels in a padded volume, of which only the part that may hold any is kept.
#[derive(Debug)]
pub(super) struct Target {
    /// Sizes of the padded volume.
    padded: [usize; 3],
    /// Where the volume lies in the padded one.
    volume: Region,
    /// Where `mask` lies in the padded volume.
    place: Region,
    /// 0 or 1.
    mask: Array3<u8>,
    /// Voxels of the mask that are 1.
    count: usize,
}

impl Target {
    /// The target `mask` at the region `place` of a volume of `sizes` voxels, which is padded to `padded` with `before`
    /// voxels in front.
    fn new(
        padded: [usize; 3],
        before: [usize; 3],
        sizes: [usize; 3],
        place: Region,
        mask: Array3<u8>,
    ) -> Self {
        let count = mask.iter().filter(|value| **value != 0).count();
        Self { padded, volume: Region { start: before, sizes }, place: place.offset_by(before), mask, count }
    }

    /// A volume without target.
    fn none(padded: [usize; 3], before: [usize; 3], sizes: [usize; 3]) -> Self {
        Self::new(padded, before, sizes, Region::whole([0; 3]), Array3::default([0; 3]))
    }

    /// Sizes of the padded volume.
    pub(super) fn sizes(&self) -> [usize; 3] {
        self.padded
    }

    /// Whether no voxel is of the target.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The target in `window`, 0 or 1.
    pub(super) fn label(&self, window: Region) -> Array3<u8> {
        let mut label = Array3::zeros(window.sizes);
        let shared = window.intersection(self.place);
        if !shared.is_empty() {
            let [from, to] = [self.place.start, window.start].map(|origin| shared.relative_to(origin));
            let from = self.mask.slice(s![from.range(0), from.range(1), from.range(2)]);
            label.slice_mut(s![to.range(0), to.range(1), to.range(2)]).assign(&from);
        }
        label
    }

    /// A random voxel of the padded volume that is of the target, or one that is not; of the other kind where there is
    /// none of the `wanted` one.
    pub(super) fn draw(&self, wanted: bool, rng: &mut impl Rng) -> [usize; 3] {
        let total: usize = self.padded.iter().product();
        let others = total - self.count;
        let target = if wanted { self.count > 0 } else { others == 0 };
        if target {
            self.voxel(rng.random_range(0..self.count))
        } else {
            self.other_voxel(rng.random_range(0..others))
        }
    }

    /// Voxels of the target in the order of their indices.
    fn voxels(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let of_target = self.mask.indexed_iter().filter(|(_, value)| **value != 0);
        of_target.map(|((d, h, w), _)| {
            let [first_d, first_h, first_w] = self.place.start;
            [first_d + d, first_h + h, first_w + w]
        })
    }

    fn voxel(&self, rank: usize) -> [usize; 3] {
        self.voxels().nth(rank).unwrap_or_default()
    }

    /// The voxel of number `rank` among those that are not of the target.
    fn other_voxel(&self, rank: usize) -> [usize; 3] {
        let [_, height, width] = self.padded;
        let mut index = rank;
        for [d, h, w] in self.voxels() {
            // Each target voxel up to here moves the one that is sought by one.
            if (d * height + h) * width + w > index {
                break;
            }
            index += 1;
        }
        [index / (height * width), index / width % height, index % width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::rng_for;

    #[test]
    fn ranks_run_over_the_target_and_over_the_rest() {
        let mut mask = Array3::zeros((1, 2, 2));
        mask[[0, 0, 1]] = 1;
        mask[[0, 1, 0]] = 1;
        let place = Region { start: [0, 0, 1], sizes: [1, 2, 2] };
        let target = Target::new([2, 3, 4], [1, 0, 0], [1, 3, 4], place, mask);
        let found: Vec<_> = (0..2).map(|rank| target.voxel(rank)).collect();
        assert_eq!(found, [[1, 0, 2], [1, 1, 1]]);
        let others: Vec<_> = (0..22).map(|rank| target.other_voxel(rank)).collect();
        let expected: Vec<_> = (0..24)
            .map(|index| [index / 12, index / 4 % 3, index % 4])
            .filter(|voxel| !found.contains(voxel))
            .collect();
        assert_eq!(others, expected);
        let label = target.label(Region { start: [1, 0, 1], sizes: [1, 3, 2] });
        assert_eq!(label.into_raw_vec_and_offset().0, [0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn without_the_wanted_kind_the_other_is_drawn() {
        let mut rng = rng_for(0, 0, "a");
        let none = Target::none([2, 2, 2], [0; 3], [2; 3]);
        assert!(none.draw(true, &mut rng).iter().all(|index| *index < 2));
        let all = Target::new([1; 3], [0; 3], [1; 3], Region::whole([1; 3]), Array3::ones((1, 1, 1)));
        assert_eq!(all.draw(false, &mut rng), [0; 3]);
    }
}
