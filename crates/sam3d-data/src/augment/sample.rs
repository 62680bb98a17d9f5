use ndarray::{Array3, s};
use rand::{Rng, RngExt};
use sam3d_geom::Intensity;

use super::{
    AugmentConfig, AugmentError, Resampling,
    rotation::Rotation,
    target::Target,
    transform::{centred_crop, flip, padding, quarter_turns, shift_intensity},
    warp::Chain,
    zoom::Zoom,
};
use crate::{
    prepared::{PreparedVoxels, Region},
    sampling::{training_prompt, validation_prompt},
};
use sam3d_io::intensity;

/// A prepared case from which samples are drawn.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The resampled and clipped image in HU, and its label.
    pub voxels: &'a dyn PreparedVoxels,
    /// The clip range and normalisation.
    pub intensity: Intensity,
}

/// One crop with its prompt, ready for the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Normalised intensities, `[side, side, side]`.
    pub image: Array3<f32>,
    /// The target, 0 or 1.
    pub label: Array3<u8>,
    /// The prompt: voxels of the crop.
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
    source: Source<'_>,
    config: &AugmentConfig,
    side: usize,
    rng: &mut impl Rng,
) -> Result<Sample, AugmentError> {
    config.validate()?;
    let summary = source.voxels.summary();
    check(summary.sizes, side)?;
    let shift = rng
        .random_bool(config.shift_probability)
        .then(|| rng.random_range(-config.shift_hu..=config.shift_hu) as f32);
    let [lower, _] = source.intensity.clip_hu();
    let body = summary.maxima.box_above(lower as f32, shift.unwrap_or_default());
    let body = body.unwrap_or(Region::whole(summary.sizes));
    let volume = Volume { source, shift, body, chain: resampling(&config.resampling, body.sizes, rng) };

    let first_side = (side as f64 * config.first_crop_factor) as usize;
    let target = volume.target(first_side)?;
    let wanted = rng.random_bool(config.target_probability);
    let start = centred_crop(target.draw(wanted, rng), target.sizes(), first_side);
    let inner: [usize; 3] = std::array::from_fn(|_| rng.random_range(0..=first_side - side));
    let window = Region { start: std::array::from_fn(|axis| start[axis] + inner[axis]), sizes: [side; 3] };

    let flips = std::array::from_fn(|_| rng.random_bool(config.flip_probability));
    let turns = if rng.random_bool(config.quarter_turn_probability) { rng.random_range(1..4) } else { 0 };
    let image = quarter_turns(flip(volume.image(&target, window)?, flips), turns);
    let label = quarter_turns(flip(target.label(window), flips), turns);
    let label = label.as_standard_layout().into_owned();
    let points = training_prompt(label.view(), rng);
    Ok(Sample { image: image.as_standard_layout().into_owned(), label, points })
}

/// A validation sample: a crop of `side` voxels centred on a random target voxel (any voxel without target), with a
/// validation prompt.
///
/// # Errors
/// As [`training_sample`].
pub fn validation_sample(
    source: Source<'_>,
    side: usize,
    rng: &mut impl Rng,
) -> Result<Sample, AugmentError> {
    let sizes = source.voxels.summary().sizes;
    check(sizes, side)?;
    let volume = Volume { source, shift: None, body: Region::whole(sizes), chain: Chain::new(sizes) };
    let target = volume.target(side)?;
    let start = centred_crop(target.draw(true, rng), target.sizes(), side);
    let window = Region { start, sizes: [side; 3] };
    let label = target.label(window);
    let points = validation_prompt(label.view(), rng);
    Ok(Sample { image: volume.image(&target, window)?, label, points })
}

fn check(extent: [usize; 3], side: usize) -> Result<(), AugmentError> {
    if side == 0 || extent.contains(&0) { Err(AugmentError::Empty { extent, side }) } else { Ok(()) }
}

/// Draws rotation and zoom for volumes of `sizes` voxels.
fn resampling(resampling: &Resampling, sizes: [usize; 3], rng: &mut impl Rng) -> Chain {
    let mut chain = Chain::new(sizes);
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
    chain
}

/// The volume that crops are taken from: cut to the body, shifted, normalised, rotated and zoomed, but none of it done.
struct Volume<'a> {
    source: Source<'a>,
    shift: Option<f32>,
    body: Region,
    chain: Chain,
}

impl Volume<'_> {
    /// The target in this volume, which is padded to `side` voxels at least.
    fn target(&self, side: usize) -> Result<Target, AugmentError> {
        let sizes = self.chain.output_sizes();
        let (padded, before) = padding(sizes, [side; 3]);
        let target = self.source.voxels.summary().target.unwrap_or(Region::whole([0; 3]));
        let target = target.intersection(self.body);
        if target.is_empty() {
            return Ok(Target::none(padded, before, sizes));
        }
        let place = self.chain.output_of(target.relative_to(self.body.start));
        if place.is_empty() {
            return Ok(Target::none(padded, before, sizes));
        }
        let share = self.chain.evaluate(place, |region| {
            Ok(self.source.voxels.label(region.offset_by(self.body.start))?.mapv(f32::from))
        })?;
        let mask = share.mapv(|share| u8::from(share > 0.5));
        Ok(Target::new(padded, before, sizes, place, mask))
    }

    /// The image in the `window` of the padded volume; 0 outside.
    fn image(&self, target: &Target, window: Region) -> Result<Array3<f32>, AugmentError> {
        let inside = target.inside(window);
        if inside.is_empty() {
            return Ok(Array3::zeros(window.sizes));
        }
        let image = self.chain.evaluate(inside.relative_to(target.before()), |region| {
            let mut image = self.source.voxels.image(region.offset_by(self.body.start))?;
            if let Some(shift) = self.shift {
                shift_intensity(&mut image, shift);
            }
            intensity::normalise(&mut image, self.source.intensity);
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
