use std::array::from_fn;

use ndarray::Array3;
use rand::{Rng, RngExt};

use super::{
    AugmentConfig, AugmentError, CaseVoxels, ComparisonAugment, Resampling,
    rotation::{FreeRotation, Rotation},
    transform::{centred_crop, flip, quarter_turns},
    volume::{Target, TransformedVolume},
    warp::Chain,
    zoom::Zoom,
};
use crate::{
    prepared::Region,
    sampling::{training_prompt, validation_prompt},
};

/// One crop, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Normalised intensities, `[D, H, W]`.
    pub image: Array3<f32>,
    /// The target, 0 or 1.
    pub label: Array3<u8>,
    /// The prompt: voxels of the crop. Empty for the comparison networks, which take no click.
    pub points: Vec<[usize; 3]>,
}

/// A training sample: the published chain of augmentations, a random crop of `side` voxels, and a training prompt.
///
/// Only what the crop is made of is read and transformed; the result is the same, to the last bit, as if the whole
/// volume had been. Padding is 0 after normalisation. The zoomed or rotated label counts where it exceeds one half.
///
/// # Errors
/// [`AugmentError`] if `config` is out of range, the crop has no voxel, or the case cannot be read.
pub fn training_sample(
    case: CaseVoxels<'_>,
    config: &AugmentConfig,
    side: usize,
    rng: &mut impl Rng,
) -> Result<Sample, AugmentError> {
    config.validate()?;
    check(case, [side; 3])?;
    let shift_hu = rng
        .random_bool(config.shift_probability)
        .then(|| rng.random_range(-config.shift_hu..=config.shift_hu) as f32);
    let mut volume = TransformedVolume::body(case, shift_hu.unwrap_or_default());
    resample(volume.chain(), &config.resampling, rng);

    let first = [(side as f64 * config.first_crop_factor) as usize; 3];
    let target = volume.target(first)?;
    let wanted = rng.random_bool(config.target_probability);
    let window = random_window(target.draw(wanted, rng), &target, first, [side; 3], rng);
    let turned = FlipAndTurns::draw(config.flip_probability, config.quarter_turn_probability, rng);
    let image = turned.apply(volume.image(&target, window)?, DEPTH_HEIGHT);
    let label = turned.apply(target.label(window), DEPTH_HEIGHT);
    let points = training_prompt(label.view(), rng);
    Ok(Sample { image, label, points })
}

/// A validation sample: a crop of `side` voxels centred on a random target voxel (any voxel without target), with a
/// validation prompt.
///
/// # Errors
/// As [`training_sample`].
pub fn validation_sample(
    case: CaseVoxels<'_>,
    side: usize,
    rng: &mut impl Rng,
) -> Result<Sample, AugmentError> {
    let sizes = [side; 3];
    check(case, sizes)?;
    let volume = TransformedVolume::whole(case);
    let target = volume.target(sizes)?;
    let window = Region { start: centred_crop(target.draw(true, rng), target.sizes(), sizes), sizes };
    let label = target.label(window);
    let points = validation_prompt(label.view(), rng);
    Ok(Sample { image: volume.image(&target, window)?, label, points })
}

/// A training crop of `sides` voxels for the comparison networks, by their published chain. It is taken around a target
/// voxel if `on_target`, else around another one that is brighter than the lower clip; around one of the other kind where
/// there is none. It has no prompt.
///
/// # Errors
/// [`AugmentError`] if `config` is out of range or does not fit `sides`, or the case cannot be read.
pub fn comparison_sample(
    case: CaseVoxels<'_>,
    config: &ComparisonAugment,
    sides: [usize; 3],
    on_target: bool,
    rng: &mut impl Rng,
) -> Result<Sample, AugmentError> {
    config.validate()?;
    check(case, sides)?;
    if sides[1] != sides[2] && config.quarter_turn_probability > 0.0 {
        return Err(AugmentError::FieldInvalid {
            field: "quarter_turn_probability",
            expected: "0 for a crop whose H and W differ",
            found: config.quarter_turn_probability.to_string(),
        });
    }
    let mut volume = TransformedVolume::body(case, 0.0);
    resample_comparison(volume.chain(), config, rng);

    let first = sides.map(|side| (side as f64 * config.first_crop_factor) as usize);
    let target = volume.target(first)?;
    let centre = comparison_centre(&volume, &target, on_target, rng)?;
    let window = random_window(centre, &target, first, sides, rng);
    let turned = FlipAndTurns::draw(config.flip_probability, config.quarter_turn_probability, rng);
    let mut image = turned.apply(volume.image(&target, window)?, HEIGHT_WIDTH);
    if rng.random_bool(config.shift_probability) {
        let shift = rng.random_range(-config.shift..=config.shift) as f32;
        image.mapv_inplace(|value| value + shift);
    }
    Ok(Sample { image, label: turned.apply(target.label(window), HEIGHT_WIDTH), points: Vec::new() })
}

/// The whole volume, cut to the box of voxels brighter than the lower clip, without a prompt.
///
/// # Errors
/// [`AugmentError::Voxels`] if the case cannot be read.
pub fn comparison_volume(case: CaseVoxels<'_>) -> Result<Sample, AugmentError> {
    let volume = TransformedVolume::body(case, 0.0);
    let target = volume.target([0; 3])?;
    let whole = Region::whole(target.sizes());
    Ok(Sample { image: volume.image(&target, whole)?, label: target.label(whole), points: Vec::new() })
}

fn check(case: CaseVoxels<'_>, sides: [usize; 3]) -> Result<(), AugmentError> {
    let extent = case.voxels.summary().sizes;
    if sides.contains(&0) || extent.contains(&0) {
        return Err(AugmentError::Empty { extent, sides });
    }
    Ok(())
}

/// Draws rotation and zoom.
fn resample(chain: &mut Chain, resampling: &Resampling, rng: &mut impl Rng) {
    match *resampling {
        Resampling::None => {}
        Resampling::Zoom { factors: [low, high], probability } => {
            if rng.random_bool(probability) {
                let factor = rng.random_range(low..=high);
                chain.push(|sizes| Zoom::new(sizes, [factor; 3]));
            }
        }
        Resampling::InPlane { degrees, rotation_probability, factors: [low, high], zoom_probability } => {
            if rng.random_bool(rotation_probability) {
                let radians = rng.random_range(-degrees..=degrees).to_radians();
                chain.push(|sizes| Rotation::new(sizes, radians));
            }
            if rng.random_bool(zoom_probability) {
                let factors = [1.0, rng.random_range(low..=high), rng.random_range(low..=high)];
                chain.push(|sizes| Zoom::new(sizes, factors));
            }
        }
    }
}

/// Draws rotation and zoom for the comparison networks: amounts first, then whether they are used, as published.
fn resample_comparison(chain: &mut Chain, config: &ComparisonAugment, rng: &mut impl Rng) {
    let mut angle = || rng.random_range(-config.degrees..=config.degrees).to_radians();
    let radians = if config.in_plane { [angle(), 0.0, 0.0] } else { [angle(), angle(), angle()] };
    if rng.random_bool(config.rotation_probability) {
        chain.push(|sizes| FreeRotation::new(sizes, radians));
    }
    let mut factor = || rng.random_range(config.zoom[0]..=config.zoom[1]);
    let factors = if config.in_plane { [1.0, factor(), factor()] } else { [factor(); 3] };
    if rng.random_bool(config.zoom_probability) {
        chain.push(|sizes| Zoom::new(sizes, factors));
    }
}

/// A voxel of the wanted kind, uniform among those there are; of the other kind, or the middle, where there is none.
fn comparison_centre(
    volume: &TransformedVolume<'_>,
    target: &Target,
    on_target: bool,
    rng: &mut impl Rng,
) -> Result<[usize; 3], AugmentError> {
    if on_target && !target.is_empty() {
        return Ok(target.draw(true, rng));
    }
    let whole = Region::whole(target.sizes());
    let (image, label) = (volume.image(target, whole)?, target.label(whole));
    let others =
        || image.indexed_iter().zip(&label).filter(|((_, value), label)| **label == 0 && **value > 0.0);
    let count = others().count();
    Ok(match others().nth(if count > 0 { rng.random_range(0..count) } else { 0 }) {
        Some(((index, _), _)) => index.into(),
        None if target.is_empty() => target.sizes().map(|size| size / 2),
        None => target.draw(true, rng),
    })
}

/// A window of `sides` voxels at a random place in one of `first` voxels, which is centred on `centre` as far as the
/// padded volume reaches.
fn random_window(
    centre: [usize; 3],
    target: &Target,
    first: [usize; 3],
    sides: [usize; 3],
    rng: &mut impl Rng,
) -> Region {
    let start = centred_crop(centre, target.sizes(), first);
    let inner: [usize; 3] = from_fn(|axis| rng.random_range(0..=first[axis] - sides[axis]));
    Region { start: from_fn(|axis| start[axis] + inner[axis]), sizes: sides }
}

/// The axes, the plane of quarter turns first, and how to put them back.
const DEPTH_HEIGHT: [[usize; 3]; 2] = [[0, 1, 2], [0, 1, 2]];
const HEIGHT_WIDTH: [[usize; 3]; 2] = [[1, 2, 0], [2, 0, 1]];

/// Mirroring and quarter turns.
struct FlipAndTurns {
    flips: [bool; 3],
    quarters: usize,
}

impl FlipAndTurns {
    fn draw(flip_probability: f64, quarter_turn_probability: f64, rng: &mut impl Rng) -> Self {
        let flips = from_fn(|_| rng.random_bool(flip_probability));
        let quarters = if rng.random_bool(quarter_turn_probability) { rng.random_range(1..4) } else { 0 };
        Self { flips, quarters }
    }

    fn apply<T: Copy>(&self, array: Array3<T>, [plane_first, back]: [[usize; 3]; 2]) -> Array3<T> {
        let flipped = flip(array, self.flips).permuted_axes(plane_first);
        quarter_turns(flipped, self.quarters).permuted_axes(back).as_standard_layout().into_owned()
    }
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

    fn source(case: &PreparedCase) -> CaseVoxels<'_> {
        CaseVoxels { voxels: case, intensity: Intensity::new([0.0, 100.0], 0.0, 100.0).unwrap() }
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
        let of_target = case();
        let without_target =
            PreparedCase::new(of_target.whole_image().clone(), Array3::zeros([20, 40, 40])).unwrap();
        let mut rng = rng_for(1, 0, "centres");
        for case in [of_target, without_target] {
            let volume = TransformedVolume::body(source(&case), 0.0);
            // Padding is air.
            let target = volume.target([60; 3]).unwrap();
            let whole = Region::whole(target.sizes());
            let (image, label) = (volume.image(&target, whole).unwrap(), target.label(whole));
            for wanted in [true, false].repeat(30) {
                let centre = comparison_centre(&volume, &target, wanted, &mut rng).unwrap();
                assert_eq!(label[centre] == 1, wanted && !target.is_empty(), "{centre:?}");
                assert!(image[centre] > 0.0, "{centre:?}");
            }
        }
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
        assert!(refused(published.clone(), [8, 0, 8]).contains("crop of [8, 0, 8]"));
        let zoom = ComparisonAugment { zoom: [1.1, 0.9], ..published };
        assert!(refused(zoom, [8, 8, 8]).contains("zoom"));
    }
}
