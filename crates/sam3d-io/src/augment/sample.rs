use ndarray::{Array3, ArrayView3, s};
use rand::{Rng, RngExt};
use sam3d_geom::Intensity;

use super::{
    AugmentConfig, AugmentError, Resampling,
    transform::{
        bounding_box_above, centred_crop, flip, pad_symmetric, quarter_turns, rotate_about_depth,
        shift_intensity, zoom_keeping_size,
    },
};
use crate::{
    intensity,
    sampling::{draw_where, training_prompt, validation_prompt},
};

/// A prepared case from which samples are drawn.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The resampled and clipped image in HU ([`prepare_clipped`](crate::prepare::prepare_clipped)).
    pub clipped: ArrayView3<'a, f32>,
    /// The resampled label, 0 or 1.
    pub label: ArrayView3<'a, u8>,
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
/// Padding is 0 after normalisation. The zoomed or rotated label counts where it exceeds one half.
///
/// # Errors
/// [`AugmentError`] if image and label differ in shape, either has no voxel or `config` is out of range.
pub fn training_sample(
    source: Source<'_>,
    config: &AugmentConfig,
    side: usize,
    rng: &mut impl Rng,
) -> Result<Sample, AugmentError> {
    config.validate()?;
    check(source, side)?;
    let mut image = source.clipped.to_owned();
    if rng.random_bool(config.shift_probability) {
        shift_intensity(&mut image, rng.random_range(-config.shift_hu..=config.shift_hu) as f32);
    }
    let mut label = source.label;
    let [lower, _] = source.intensity.clip_hu();
    if let Some(bounds) = bounding_box_above(image.view(), lower as f32) {
        let [d, h, w] = [0, 1, 2].map(|axis| bounds.start()[axis] as usize..bounds.end()[axis] as usize);
        label = label.slice_move(s![d.clone(), h.clone(), w.clone()]);
        image = image.slice_move(s![d, h, w]);
    }
    intensity::normalise(&mut image, source.intensity);
    let (image, label) = resample(image, label, &config.resampling, rng);

    let first_side = (side as f64 * config.first_crop_factor) as usize;
    let image = pad_symmetric(image.view(), [first_side; 3]);
    let label = pad_symmetric(label.view(), [first_side; 3]);
    let target = rng.random_bool(config.target_probability);
    let start = centred_crop(centre(label.view(), target, rng), label.dim().into(), first_side);
    let inner: [usize; 3] = std::array::from_fn(|_| rng.random_range(0..=first_side - side));
    let start = std::array::from_fn(|axis| start[axis] + inner[axis]);

    let flips = std::array::from_fn(|_| rng.random_bool(config.flip_probability));
    let turns = if rng.random_bool(config.quarter_turn_probability) { rng.random_range(1..4) } else { 0 };
    let image = quarter_turns(flip(cut(image.view(), start, side), flips), turns);
    let label = quarter_turns(flip(cut(label.view(), start, side), flips), turns);
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
    check(source, side)?;
    let mut image = source.clipped.to_owned();
    intensity::normalise(&mut image, source.intensity);
    let image = pad_symmetric(image.view(), [side; 3]);
    let label = pad_symmetric(source.label, [side; 3]);
    let start = centred_crop(centre(label.view(), true, rng), label.dim().into(), side);
    let label = cut(label.view(), start, side);
    let points = validation_prompt(label.view(), rng);
    Ok(Sample { image: cut(image.view(), start, side), label, points })
}

fn check(source: Source<'_>, side: usize) -> Result<(), AugmentError> {
    let [image, label] = [source.clipped.dim(), source.label.dim()].map(<[usize; 3]>::from);
    if image != label {
        Err(AugmentError::ShapeMismatch { image, label })
    } else if side == 0 || image.contains(&0) {
        Err(AugmentError::Empty { extent: image, side })
    } else {
        Ok(())
    }
}

/// Rotates and zooms image and label alike.
fn resample(
    image: Array3<f32>,
    label: ArrayView3<'_, u8>,
    resampling: &Resampling,
    rng: &mut impl Rng,
) -> (Array3<f32>, Array3<u8>) {
    let (rotation, factors) = match *resampling {
        Resampling::None => (None, None),
        Resampling::Zoom { factors: [low, high], probability } => {
            let zoom = rng.random_bool(probability).then(|| [rng.random_range(low..=high); 3]);
            (None, zoom)
        }
        Resampling::InPlane { degrees, rotation_probability, factors: [low, high], zoom_probability } => {
            let rotation = rng
                .random_bool(rotation_probability)
                .then(|| rng.random_range(-degrees..=degrees).to_radians());
            let zoom = rng
                .random_bool(zoom_probability)
                .then(|| [1.0, rng.random_range(low..=high), rng.random_range(low..=high)]);
            (rotation, zoom)
        }
    };
    if rotation.is_none() && factors.is_none() {
        return (image, label.to_owned());
    }
    let transform = |mut array: Array3<f32>| {
        if let Some(radians) = rotation {
            array = rotate_about_depth(array.view(), radians);
        }
        if let Some(factors) = factors {
            array = zoom_keeping_size(array.view(), factors);
        }
        array
    };
    let label = transform(label.mapv(f32::from)).mapv(|share| u8::from(share > 0.5));
    (transform(image), label)
}

/// A random target voxel, or a random other one; of the other kind where there is none of the wanted one.
fn centre(label: ArrayView3<'_, u8>, target: bool, rng: &mut impl Rng) -> [usize; 3] {
    let mut draw = |target: bool| draw_where(label, 1, rng, |value| (value != 0) == target).pop();
    draw(target).or_else(|| draw(!target)).unwrap_or_default()
}

/// The crop of `side` voxels that starts at `start` and lies inside `array`.
fn cut<T: Copy>(array: ArrayView3<'_, T>, start: [usize; 3], side: usize) -> Array3<T> {
    let [d, h, w] = start.map(|first| first..first + side);
    array.slice(s![d, h, w]).to_owned()
}
