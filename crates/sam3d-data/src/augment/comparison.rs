//! Samples for the comparison networks, which take no click: larger crops of intensities in [0, 1].

use std::array::from_fn;

use ndarray::{Array3, ArrayView3, Zip, s};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::{
    AugmentError, Source,
    config::{check, probability},
    free_rotation::rotate,
    transform::{flip, pad_symmetric, quarter_turns},
    zoom::zoom_keeping_size,
};
use crate::prepared::Region;
use sam3d_io::intensity;

/// How training crops of the comparison networks are varied. Each probability is that of its step being done at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonAugment {
    /// Rotate about D only, and zoom H and W by a factor each: for volumes of thick slices. Else all three axes are
    /// rotated about, and one factor zooms all.
    pub in_plane: bool,
    /// Largest angle in either direction, degrees.
    pub degrees: f64,
    /// Probability of the rotation.
    pub rotation_probability: f64,
    /// Smallest and largest zoom factor.
    pub zoom: [f64; 2],
    /// Probability of the zoom.
    pub zoom_probability: f64,
    /// Side of the first crop over that of the second, which is taken from it at random.
    pub first_crop_factor: f64,
    /// Probability, for each axis, of being mirrored.
    pub flip_probability: f64,
    /// Probability of one to three quarter turns in the (H, W) plane.
    pub quarter_turn_probability: f64,
    /// All intensities are shifted by the same amount, uniform between minus and plus this.
    pub shift: f64,
    /// Probability of the shift.
    pub shift_probability: f64,
}

impl ComparisonAugment {
    /// The published augmentation; `in_plane` as
    /// [`Dataset::in_plane_augmentation`](crate::dataset::Dataset::in_plane_augmentation).
    pub fn published(in_plane: bool) -> Self {
        Self {
            in_plane,
            degrees: 30.0,
            rotation_probability: 0.3,
            zoom: [0.9, 1.1],
            zoom_probability: 0.3,
            first_crop_factor: 1.1,
            flip_probability: 0.1,
            quarter_turn_probability: 0.1,
            shift: 0.1,
            shift_probability: 0.5,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::FieldInvalid`] with the first field that is out of range.
    pub fn validate(&self) -> Result<(), AugmentError> {
        check("degrees", self.degrees, 0.0..=180.0, "0 to 180")?;
        check("zoom", self.zoom[0], 0.1..=self.zoom[1], "at least 0.1, and the smaller first")?;
        check("zoom", self.zoom[1], 0.1..=10.0, "at most 10")?;
        check("first_crop_factor", self.first_crop_factor, 1.0..=4.0, "1 to 4")?;
        check("shift", self.shift, 0.0..=1.0, "0 to 1")?;
        probability("rotation_probability", self.rotation_probability)?;
        probability("zoom_probability", self.zoom_probability)?;
        probability("flip_probability", self.flip_probability)?;
        probability("quarter_turn_probability", self.quarter_turn_probability)?;
        probability("shift_probability", self.shift_probability)
    }
}

/// An image with its label, `[D, H, W]` both.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonSample {
    /// Normalised intensities.
    pub image: Array3<f32>,
    /// The target, 0 or 1.
    pub label: Array3<u8>,
}

/// A training crop of `sides` voxels by the published chain. It is taken around a target voxel if `on_target`, else
/// around another one that is brighter than the lower clip; around one of the other kind where there is none.
///
/// # Errors
/// [`AugmentError`] if `config` is out of range or does not fit `sides`, or the case cannot be read.
pub fn comparison_sample(
    source: Source<'_>,
    config: &ComparisonAugment,
    sides: [usize; 3],
    on_target: bool,
    rng: &mut impl Rng,
) -> Result<ComparisonSample, AugmentError> {
    config.validate()?;
    if sides.contains(&0) {
        return Err(AugmentError::Empty { extent: source.voxels.summary().sizes, side: 0 });
    }
    if sides[1] != sides[2] && config.quarter_turn_probability > 0.0 {
        return Err(AugmentError::FieldInvalid {
            field: "quarter_turn_probability",
            expected: "0 for a crop whose H and W differ",
            found: config.quarter_turn_probability.to_string(),
        });
    }
    let ComparisonSample { image, label } = resampled(comparison_volume(source)?, config, rng);
    let first: [usize; 3] = sides.map(|side| (side as f64 * config.first_crop_factor) as usize);
    let (image, label) = (pad_symmetric(image.view(), first), pad_symmetric(label.view(), first));

    let centre = centre(&image, &label, on_target, rng);
    let start: [usize; 3] = from_fn(|axis| {
        let last = image.shape()[axis] - first[axis];
        centre[axis].saturating_sub(first[axis] / 2).min(last)
            + rng.random_range(0..=first[axis] - sides[axis])
    });
    let flips = from_fn(|_| rng.random_bool(config.flip_probability));
    let turns = if rng.random_bool(config.quarter_turn_probability) { rng.random_range(1..4) } else { 0 };
    let mut image = varied(image.view(), start, sides, flips, turns);
    if rng.random_bool(config.shift_probability) {
        let shift = rng.random_range(-config.shift..=config.shift) as f32;
        image.mapv_inplace(|value| value + shift);
    }
    Ok(ComparisonSample { image, label: varied(label.view(), start, sides, flips, turns) })
}

/// The whole volume, cut to the box of voxels brighter than the lower clip.
///
/// # Errors
/// [`AugmentError::Voxels`] if the case cannot be read.
pub fn comparison_volume(source: Source<'_>) -> Result<ComparisonSample, AugmentError> {
    let summary = source.voxels.summary();
    let [lower, _] = source.intensity.clip_hu();
    let body = summary.maxima.box_above(lower as f32, 0.0).unwrap_or(Region::whole(summary.sizes));
    let mut image = source.voxels.image(body)?;
    intensity::normalise(&mut image, source.intensity);
    Ok(ComparisonSample { image, label: source.voxels.label(body)? })
}

/// Rotates and zooms image and label alike.
fn resampled(sample: ComparisonSample, config: &ComparisonAugment, rng: &mut impl Rng) -> ComparisonSample {
    let mut angle = || rng.random_range(-config.degrees..=config.degrees).to_radians();
    let angles = if config.in_plane { [angle(), 0.0, 0.0] } else { [angle(), angle(), angle()] };
    let radians = rng.random_bool(config.rotation_probability).then_some(angles);
    let mut factor = || rng.random_range(config.zoom[0]..=config.zoom[1]);
    let factors = if config.in_plane { [1.0, factor(), factor()] } else { [factor(); 3] };
    let factors = rng.random_bool(config.zoom_probability).then_some(factors);
    if radians.is_none() && factors.is_none() {
        return sample;
    }
    let transform = |mut array: Array3<f32>| {
        if let Some(radians) = radians {
            array = rotate(array.view(), radians);
        }
        if let Some(factors) = factors {
            array = zoom_keeping_size(array.view(), factors);
        }
        array
    };
    let label = transform(sample.label.mapv(f32::from)).mapv(|share| u8::from(share > 0.5));
    ComparisonSample { image: transform(sample.image), label }
}

/// A voxel of the wanted kind, uniform among those there are; of the other kind, or the middle, where there is none.
fn centre(image: &Array3<f32>, label: &Array3<u8>, on_target: bool, rng: &mut impl Rng) -> [usize; 3] {
    let mut draw = |target: bool| {
        let fits = |value: f32, label: u8| if target { label != 0 } else { label == 0 && value > 0.0 };
        let mut count = 0;
        Zip::from(image).and(label).for_each(|value, label| count += usize::from(fits(*value, *label)));
        let rank = (count > 0).then(|| rng.random_range(0..count))?;
        let voxels = image.indexed_iter().zip(label).filter(|((_, value), label)| fits(**value, **label));
        voxels.map(|((index, _), _)| index.into()).nth(rank)
    };
    let middle: [usize; 3] = <[usize; 3]>::from(image.dim()).map(|size| size / 2);
    draw(on_target).or_else(|| draw(!on_target)).unwrap_or(middle)
}

/// The crop of `sides` voxels from `start` on, mirrored and turned.
fn varied<T: Copy>(
    array: ArrayView3<'_, T>,
    start: [usize; 3],
    sides: [usize; 3],
    flips: [bool; 3],
    turns: usize,
) -> Array3<T> {
    let [d, h, w] = from_fn(|axis| start[axis]..start[axis] + sides[axis]);
    let flipped = flip(array.slice(s![d, h, w]).to_owned(), flips);
    // Turns are in the plane of the first two axes.
    let turned = quarter_turns(flipped.permuted_axes([1, 2, 0]), turns).permuted_axes([2, 0, 1]);
    turned.as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Intensity;

    use super::*;
    use crate::{prepared::PreparedCase, sampling::rng_for};

    /// Air around a body of 50 HU, with a target of 100 HU in it.
    fn case() -> PreparedCase {
        let body = |(d, h, w): (usize, usize, usize)| (2..18).contains(&d) && h >= 5 && w >= 3;
        let target = |(d, h, w): (usize, usize, usize)| {
            (4..8).contains(&d) && (20..26).contains(&h) && (10..18).contains(&w)
        };
        let image = Array3::from_shape_fn([20, 40, 40], |at| {
            if target(at) {
                100.0
            } else if body(at) {
                50.0
            } else {
                0.0
            }
        });
        let label = Array3::from_shape_fn([20, 40, 40], |at| u8::from(target(at)));
        PreparedCase::new(image, label).unwrap()
    }

    fn source(case: &PreparedCase) -> Source<'_> {
        Source { voxels: case, intensity: Intensity::new([0.0, 100.0], 0.0, 100.0).unwrap() }
    }

    #[test]
    fn the_volume_is_cut_to_what_is_brighter_than_the_lower_clip() {
        let volume = comparison_volume(source(&case())).unwrap();
        assert_eq!(volume.image.dim(), (16, 35, 37));
        assert_eq!(volume.label.dim(), (16, 35, 37));
        assert!(volume.image.iter().all(|value| [0.5, 1.0].contains(value)));
    }

    #[test]
    fn crops_have_the_side_and_follow_the_generator_alone() {
        let case = case();
        for in_plane in [false, true] {
            let config = ComparisonAugment {
                rotation_probability: 1.0,
                zoom_probability: 1.0,
                flip_probability: 0.5,
                quarter_turn_probability: 1.0,
                ..ComparisonAugment::published(in_plane)
            };
            let draw = |number| {
                let mut rng = rng_for(3, number, "case");
                comparison_sample(source(&case), &config, [12, 24, 24], true, &mut rng).unwrap()
            };
            for number in 0..10 {
                let sample = draw(number);
                assert_eq!(sample.image.dim(), (12, 24, 24));
                assert_eq!(sample.label.dim(), (12, 24, 24));
                assert!(sample.image.is_standard_layout() && sample.label.is_standard_layout());
                assert!(sample.image.iter().all(|value| (-0.11..=1.11).contains(value)));
                assert_eq!(sample, draw(number));
            }
            assert_ne!(draw(0), draw(1));
        }
    }

    /// Without rotation and zoom, image and label must still belong together after flips and turns.
    #[test]
    fn label_and_image_are_varied_alike() {
        let case = case();
        let config = ComparisonAugment {
            rotation_probability: 0.0,
            zoom_probability: 0.0,
            shift_probability: 0.0,
            flip_probability: 0.5,
            quarter_turn_probability: 1.0,
            ..ComparisonAugment::published(false)
        };
        let mut with_target = 0;
        for number in 0..40 {
            let mut rng = rng_for(0, number, "case");
            let sample =
                comparison_sample(source(&case), &config, [10, 16, 16], number % 2 == 0, &mut rng).unwrap();
            for (value, label) in sample.image.iter().zip(&sample.label) {
                assert_eq!(*value == 1.0, *label == 1);
            }
            if number % 2 == 0 {
                with_target += u64::from(sample.label.iter().any(|label| *label == 1));
            }
        }
        // The second crop may miss the voxel that the first was centred on only by leaving it at its border.
        assert!(with_target >= 19, "{with_target}");
    }

    #[test]
    fn centres_are_of_the_wanted_kind_and_never_of_air() {
        let ComparisonSample { mut image, label } = comparison_volume(source(&case())).unwrap();
        image.slice_mut(s![..8, .., ..]).fill(0.0);
        let mut rng = rng_for(1, 0, "centres");
        for _ in 0..50 {
            assert_eq!(label[centre(&image, &label, true, &mut rng)], 1);
            let other = centre(&image, &label, false, &mut rng);
            assert!(label[other] == 0 && other[0] >= 8, "{other:?}");
        }
        let none = Array3::zeros(label.dim());
        assert!(centre(&image, &none, true, &mut rng)[0] >= 8);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let case = case();
        let refused = |config: ComparisonAugment, sides| {
            let mut rng = rng_for(0, 0, "");
            comparison_sample(source(&case), &config, sides, true, &mut rng).unwrap_err().to_string()
        };
        let published = ComparisonAugment::published(false);
        assert!(refused(published.clone(), [8, 8, 10]).contains("H and W differ"));
        assert!(refused(published.clone(), [8, 0, 8]).contains("crop of 0"));
        let zoom = ComparisonAugment { zoom: [1.1, 0.9], ..published };
        assert!(refused(zoom, [8, 8, 8]).contains("zoom"));
    }
}
