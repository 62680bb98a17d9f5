//! The chain evaluated where the crop lies, against the same chain done to whole volumes one step after the other.

use ndarray::{Array3, ArrayView3, s};
use proptest::prelude::*;
use rand::{Rng, RngExt};
use sam3d_data::{
    augment::{
        AugmentConfig, CaseVoxels, ComparisonAugment, Resampling, Sample, centred_crop, comparison_sample,
        comparison_volume, flip, pad_symmetric, quarter_turns, rotate, rotate_about_depth, shift_intensity,
        training_sample, validation_sample, zoom_keeping_size,
    },
    prepared::PreparedCase,
    sampling::{rng_for, training_prompt, validation_prompt},
};
use sam3d_geom::Intensity;

proptest! {
    #[test]
    fn a_crop_is_that_of_the_whole_volume(
        sizes in proptest::array::uniform3(3usize..22),
        side in 3usize..17,
        seed: u64,
        in_plane: bool,
        target in 0usize..4,
    ) {
        let case = case(sizes, seed, target);
        let intensity = Intensity::new([-57.0, 175.0], 65.2, 32.7).unwrap();
        let source = CaseVoxels { voxels: &case, intensity };
        // Every step is likely, and the target lies where the shift may cut it off.
        let resampling = match AugmentConfig::published(in_plane).resampling {
            Resampling::InPlane { degrees, factors, .. } => Resampling::InPlane {
                degrees: 3.0 * degrees, rotation_probability: 0.7, factors, zoom_probability: 0.7,
            },
            other => other,
        };
        let config = AugmentConfig { resampling, ..AugmentConfig::published(in_plane) };
        for epoch in 0..3 {
            let found = training_sample(source, &config, side, &mut rng_for(seed, epoch, "a")).unwrap();
            let expected = whole(&case, intensity, &config, side, &mut rng_for(seed, epoch, "a"));
            prop_assert_eq!(&found, &expected);
        }
        let found = validation_sample(source, side, &mut rng_for(seed, 0, "a")).unwrap();
        prop_assert_eq!(found, whole_validation(&case, intensity, side, &mut rng_for(seed, 0, "a")));
    }

    #[test]
    fn a_crop_for_the_comparison_networks_is_that_of_the_whole_volume(
        sizes in proptest::array::uniform3(3usize..22),
        sides in proptest::array::uniform2(3usize..17),
        seed: u64,
        in_plane: bool,
        on_target: bool,
        target in 0usize..4,
    ) {
        let case = case(sizes, seed, target);
        let intensity = Intensity::new([-57.0, 175.0], -57.0, 232.0).unwrap();
        let voxels = CaseVoxels { voxels: &case, intensity };
        let sides = [sides[0], sides[1], sides[1]];
        let config = ComparisonAugment {
            rotation_probability: 0.7,
            zoom_probability: 0.7,
            flip_probability: 0.5,
            quarter_turn_probability: 0.5,
            ..ComparisonAugment::published(in_plane)
        };
        for epoch in 0..3 {
            let rng = || rng_for(seed, epoch, "a");
            let found = comparison_sample(voxels, &config, sides, on_target, &mut rng()).unwrap();
            let expected = whole_comparison(voxels, &config, sides, on_target, &mut rng());
            prop_assert_eq!(&found, &expected);
        }
    }
}

/// Noise between the clip bounds, half of it at the lower one, with `target` boxes of the target.
fn case(sizes: [usize; 3], seed: u64, target: usize) -> PreparedCase {
    let mut rng = rng_for(seed, 0, "voxels");
    let image = Array3::from_shape_simple_fn(sizes, || {
        if rng.random_bool(0.5) { -57.0 } else { rng.random_range(-57.0..=175.0) }
    });
    let mut label = Array3::zeros(sizes);
    for _ in 0..target {
        let start: [usize; 3] = std::array::from_fn(|axis| rng.random_range(0..sizes[axis]));
        let end: [usize; 3] = std::array::from_fn(|axis| rng.random_range(start[axis]..sizes[axis]) + 1);
        label.slice_mut(s![start[0]..end[0], start[1]..end[1], start[2]..end[2]]).fill(1);
    }
    PreparedCase::new(image, label).unwrap()
}

/// The published chain, each step on the whole volume.
fn whole(
    case: &PreparedCase,
    intensity: Intensity,
    config: &AugmentConfig,
    side: usize,
    rng: &mut impl Rng,
) -> Sample {
    let [mut image, mut label] = [case.whole_image().clone(), case.whole_label().mapv(f32::from)];
    if rng.random_bool(config.shift_probability) {
        shift_intensity(&mut image, rng.random_range(-config.shift_hu..=config.shift_hu) as f32);
    }
    let lower = intensity.clip_hu()[0] as f32;
    let above: Vec<[usize; 3]> =
        image.indexed_iter().filter(|(_, value)| **value > lower).map(|((d, h, w), _)| [d, h, w]).collect();
    if !above.is_empty() {
        let range = |axis: usize| {
            let indices = || above.iter().map(|index| index[axis]);
            indices().min().unwrap()..indices().max().unwrap() + 1
        };
        image = image.slice(s![range(0), range(1), range(2)]).to_owned();
        label = label.slice(s![range(0), range(1), range(2)]).to_owned();
    }
    let (mean, std) = (intensity.mean() as f32, intensity.std() as f32);
    image.mapv_inplace(|value| (value - mean) / std);
    match config.resampling {
        Resampling::None => {}
        Resampling::Zoom { factors: [low, high], probability } => {
            if rng.random_bool(probability) {
                let factors = [rng.random_range(low..=high); 3];
                [image, label] = [image, label].map(|array| zoom_keeping_size(array.view(), factors));
            }
        }
        Resampling::InPlane { degrees, rotation_probability, factors: [low, high], zoom_probability } => {
            if rng.random_bool(rotation_probability) {
                let radians = rng.random_range(-degrees..=degrees).to_radians();
                [image, label] = [image, label].map(|array| rotate_about_depth(array.view(), radians));
            }
            if rng.random_bool(zoom_probability) {
                let factors = [1.0, rng.random_range(low..=high), rng.random_range(low..=high)];
                [image, label] = [image, label].map(|array| zoom_keeping_size(array.view(), factors));
            }
        }
    }
    let label = label.mapv(|share| u8::from(share > 0.5));
    let first = (side as f64 * config.first_crop_factor) as usize;
    let [image, label] =
        [pad_symmetric(image.view(), [first; 3]), pad_symmetric(label.mapv(f32::from).view(), [first; 3])];
    let label = label.mapv(|value| value as u8);
    let wanted = rng.random_bool(config.target_probability);
    let centre = draw(label.view(), wanted, rng);
    let [image, label] = {
        let start = centred_crop(centre, label.dim().into(), [first; 3]);
        let inner: [usize; 3] = std::array::from_fn(|_| rng.random_range(0..=first - side));
        let start = std::array::from_fn(|axis| start[axis] + inner[axis]);
        [cut(image.view(), start, side), cut(label.mapv(f32::from).view(), start, side)]
    };
    let flips = std::array::from_fn(|_| rng.random_bool(config.flip_probability));
    let turns = if rng.random_bool(config.quarter_turn_probability) { rng.random_range(1..4) } else { 0 };
    let [image, label] = [image, label]
        .map(|array| quarter_turns(flip(array, flips), turns).as_standard_layout().into_owned());
    let label = label.mapv(|value| value as u8);
    let points = training_prompt(label.view(), rng);
    Sample { image, label, points }
}

/// The chain of the comparison networks, each step on the whole volume.
fn whole_comparison(
    voxels: CaseVoxels<'_>,
    config: &ComparisonAugment,
    sides: [usize; 3],
    on_target: bool,
    rng: &mut impl Rng,
) -> Sample {
    let Sample { mut image, label, .. } = comparison_volume(voxels).unwrap();
    let mut label = label.mapv(f32::from);
    let mut angle = || rng.random_range(-config.degrees..=config.degrees).to_radians();
    let angles = if config.in_plane { [angle(), 0.0, 0.0] } else { [angle(), angle(), angle()] };
    if rng.random_bool(config.rotation_probability) {
        [image, label] = [image, label].map(|array| rotate(array.view(), angles));
    }
    let mut factor = || rng.random_range(config.zoom[0]..=config.zoom[1]);
    let factors = if config.in_plane { [1.0, factor(), factor()] } else { [factor(); 3] };
    if rng.random_bool(config.zoom_probability) {
        [image, label] = [image, label].map(|array| zoom_keeping_size(array.view(), factors));
    }
    let first: [usize; 3] = sides.map(|side| (side as f64 * config.first_crop_factor) as usize);
    let image = pad_symmetric(image.view(), first);
    let label = pad_symmetric(label.mapv(|share| u8::from(share > 0.5)).view(), first);
    let of_kind = |target: bool| -> Vec<[usize; 3]> {
        let voxels = image.indexed_iter().zip(&label);
        let wanted = voxels.filter(|((_, value), label)| match target {
            true => **label == 1,
            false => **label == 0 && **value > 0.0,
        });
        wanted.map(|(((d, h, w), _), _)| [d, h, w]).collect()
    };
    let kinds = [of_kind(on_target), of_kind(!on_target)];
    let centre = match kinds.iter().find(|kind| !kind.is_empty()) {
        Some(kind) => kind[rng.random_range(0..kind.len())],
        None => <[usize; 3]>::from(image.dim()).map(|size| size / 2),
    };
    let start = centred_crop(centre, label.dim().into(), first);
    let range: [_; 3] = std::array::from_fn(|axis| {
        let start = start[axis] + rng.random_range(0..=first[axis] - sides[axis]);
        start..start + sides[axis]
    });
    let flips = std::array::from_fn(|_| rng.random_bool(config.flip_probability));
    let turns = if rng.random_bool(config.quarter_turn_probability) { rng.random_range(1..4) } else { 0 };
    let [mut image, label] = [image, label.mapv(f32::from)].map(|array| {
        let [d, h, w] = range.clone();
        let flipped = flip(array.slice(s![d, h, w]).to_owned(), flips).permuted_axes([1, 2, 0]);
        quarter_turns(flipped, turns).permuted_axes([2, 0, 1]).as_standard_layout().into_owned()
    });
    if rng.random_bool(config.shift_probability) {
        let shift = rng.random_range(-config.shift..=config.shift) as f32;
        image.mapv_inplace(|value| value + shift);
    }
    Sample { image, label: label.mapv(|value| value as u8), points: Vec::new() }
}

fn whole_validation(case: &PreparedCase, intensity: Intensity, side: usize, rng: &mut impl Rng) -> Sample {
    let (mean, std) = (intensity.mean() as f32, intensity.std() as f32);
    let image = pad_symmetric(case.whole_image().mapv(|value| (value - mean) / std).view(), [side; 3]);
    let label = pad_symmetric(case.whole_label().view(), [side; 3]);
    let start = centred_crop(draw(label.view(), true, rng), label.dim().into(), [side; 3]);
    let image = cut(image.view(), start, side);
    let label = cut(label.mapv(f32::from).view(), start, side).mapv(|value| value as u8);
    let points = validation_prompt(label.view(), rng);
    Sample { image, label, points }
}

/// A voxel of the wanted kind from the list of all of them.
fn draw(label: ArrayView3<'_, u8>, wanted: bool, rng: &mut impl Rng) -> [usize; 3] {
    let of_kind = |target: bool| -> Vec<[usize; 3]> {
        let voxels = label.indexed_iter().filter(|(_, value)| (**value != 0) == target);
        voxels.map(|((d, h, w), _)| [d, h, w]).collect()
    };
    let candidates =
        Some(of_kind(wanted)).filter(|found| !found.is_empty()).unwrap_or_else(|| of_kind(!wanted));
    candidates[rng.random_range(0..candidates.len())]
}

fn cut(array: ArrayView3<'_, f32>, start: [usize; 3], side: usize) -> Array3<f32> {
    let [d, h, w] = start.map(|first| first..first + side);
    array.slice(s![d, h, w]).to_owned()
}
