//! Augmentation: single transforms against the golden data, laws, whole samples, and statistics over many of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod chain;
mod statistics;

use approx::assert_abs_diff_eq;
use ndarray::{Array3, ArrayView3, s};
use proptest::prelude::*;
use sam3d_data::{
    augment::{
        AugmentConfig, AugmentError, CaseVoxels, Resampling, Sample, centred_crop, flip, pad_symmetric,
        quarter_turns, rotate_about_depth, training_sample, validation_sample, zoom_keeping_size,
    },
    prepared::{PlaneMaxima, PreparedCase},
    sampling::rng_for,
};
use sam3d_geom::Intensity;
use sam3d_io::IoError;
use sam3d_testkit::{GoldenTensors, by_name};

fn golden_input() -> Array3<f32> {
    let values = by_name("augment.image", 20 * 25 * 28).into_iter().map(|u| (100.0 * u) as f32).collect();
    Array3::from_shape_vec((20, 25, 28), values).unwrap()
}

/// Compares with the golden tensor `key`, which has a leading channel axis.
fn check_golden(key: &str, found: ArrayView3<'_, f32>) {
    let golden = GoldenTensors::open("augment.safetensors").get(key);
    assert_eq!(found.shape(), &golden.shape[1..], "{key}");
    let worst = found
        .iter()
        .zip(&golden.values)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, f64::max);
    assert!(worst <= 1e-3, "{key}: differs by up to {worst}");
}

#[test]
fn zoom_agrees_with_the_golden_data() {
    let input = golden_input();
    check_golden("zoom_0.87", zoom_keeping_size(input.view(), [0.87; 3]).view());
    check_golden("zoom_1.21", zoom_keeping_size(input.view(), [1.21; 3]).view());
    check_golden("zoom_1_1.07_0.93", zoom_keeping_size(input.view(), [1.0, 1.07, 0.93]).view());
}

#[test]
fn rotation_agrees_with_the_golden_data() {
    check_golden("rotate_d_0.3", rotate_about_depth(golden_input().view(), 0.3).view());
}

#[test]
fn quarter_turns_agree_with_the_golden_data() {
    for count in 1..4 {
        check_golden(&format!("rotate90_{count}"), quarter_turns(golden_input(), count).view());
    }
}

#[test]
fn padding_agrees_with_the_golden_data() {
    check_golden("pad_31_26_40", pad_symmetric(golden_input().view(), [31, 26, 40]).view());
}

#[test]
fn foreground_box_agrees_with_the_golden_data() {
    let mut input = golden_input();
    input.slice_mut(s![..3, .., ..]).fill(-500.0);
    input.slice_mut(s![.., 22.., ..]).fill(-500.0);
    input.slice_mut(s![.., .., ..1]).fill(-500.0);
    let maxima = PlaneMaxima::of(input.view());
    let bounds = maxima.box_above(-200.0, 0.0).unwrap();
    let [d, h, w] = [0, 1, 2].map(|axis| bounds.range(axis));
    check_golden("crop_foreground", input.slice(s![d, h, w]));
    assert!(maxima.box_above(100.0, 0.0).is_none());
}

proptest! {
    #[test]
    fn four_quarter_turns_and_two_flips_change_nothing(
        sizes in proptest::array::uniform3(1usize..5), first in 0usize..4, axes: [bool; 3],
    ) {
        let array = numbered(sizes);
        let turned = quarter_turns(quarter_turns(array.clone(), first), 4 - first);
        prop_assert_eq!(&turned, &array);
        prop_assert_eq!(&flip(flip(array.clone(), axes), axes), &array);
    }

    #[test]
    fn padding_keeps_every_value_and_adds_zeros(
        sizes in proptest::array::uniform3(1usize..6), target in proptest::array::uniform3(0usize..9),
    ) {
        let array = numbered(sizes);
        let padded = pad_symmetric(array.view(), target);
        for axis in 0..3 {
            prop_assert_eq!(padded.shape()[axis], sizes[axis].max(target[axis]));
        }
        prop_assert_eq!(padded.sum(), array.sum());
    }

    #[test]
    fn crops_lie_inside_and_hold_their_centre(
        extent in proptest::array::uniform3(4usize..20), centre in proptest::array::uniform3(0usize..20), side in 1usize..5,
    ) {
        let centre: [usize; 3] = std::array::from_fn(|axis| centre[axis] % extent[axis]);
        let start = centred_crop(centre, extent, [side; 3]);
        for axis in 0..3 {
            prop_assert!(start[axis] + side <= extent[axis]);
            prop_assert!((start[axis]..start[axis] + side).contains(&centre[axis]));
        }
    }

    #[test]
    fn a_constant_stays_constant(
        sizes in proptest::array::uniform3(1usize..7),
        factors in proptest::array::uniform3(0.3..2.5f64),
        radians in -4.0..4.0f64,
    ) {
        let array = Array3::from_elem(sizes, 7.5f32);
        let zoomed = zoom_keeping_size(array.view(), factors);
        prop_assert_eq!(zoomed.shape(), array.shape());
        let rotated = rotate_about_depth(array.view(), radians);
        prop_assert!(zoomed.iter().chain(&rotated).all(|value| (value - 7.5).abs() < 1e-5));
    }

    #[test]
    fn samples_are_crops_whose_points_lie_inside(
        sizes in proptest::array::uniform3(3usize..24), seed: u64, in_plane: bool, target: bool,
    ) {
        let label = Array3::from_shape_fn(sizes, |(d, h, w)| u8::from(target && d + h + w < 4));
        let clipped = numbered(sizes);
        let case = PreparedCase::new(clipped, label).unwrap();
        let source = source(&case);
        let config = AugmentConfig::published(in_plane);
        let sample = training_sample(source, &config, 10, &mut rng_for(seed, 0, "a")).unwrap();
        check_sample(&sample, 10);
        let sample = validation_sample(source, 10, &mut rng_for(seed, 0, "a")).unwrap();
        check_sample(&sample, 10);
        prop_assert_eq!(sample.label.iter().any(|value| *value == 1), target);
    }
}

fn numbered(sizes: [usize; 3]) -> Array3<f32> {
    let [_, height, width] = sizes;
    Array3::from_shape_fn(sizes, |(d, h, w)| (1 + (d * height + h) * width + w) as f32)
}

fn source(case: &PreparedCase) -> CaseVoxels<'_> {
    CaseVoxels { voxels: case, intensity: intensity() }
}

fn intensity() -> Intensity {
    Intensity::new([-100.0, 20_000.0], 50.0, 25.0).unwrap()
}

fn check_sample(sample: &Sample, side: usize) {
    assert_eq!(sample.image.shape(), [side; 3]);
    assert_eq!(sample.label.shape(), [side; 3]);
    assert!(sample.image.is_standard_layout() && sample.label.is_standard_layout());
    assert!(sample.image.iter().all(|value| value.is_finite()));
    assert!(sample.points.iter().all(|point| point.iter().all(|index| *index < side)));
    let has_target = sample.label.iter().any(|value| *value == 1);
    let on_target = sample.points.iter().take(10).all(|point| sample.label[*point] == 1);
    assert_eq!(has_target, on_target);
}

/// Without chance the chain is normalisation, padding and a crop.
#[test]
fn a_sample_without_augmentation_is_the_normalised_image() {
    let clipped = numbered([6, 6, 6]);
    let mut label = Array3::<u8>::zeros((6, 6, 6));
    label[[2, 3, 4]] = 1;
    let case = PreparedCase::new(clipped, label).unwrap();
    let source = source(&case);
    let config = AugmentConfig {
        shift_hu: 0.0,
        shift_probability: 0.0,
        resampling: Resampling::None,
        first_crop_factor: 1.0,
        target_probability: 1.0,
        flip_probability: 0.0,
        quarter_turn_probability: 0.0,
    };
    let sample = training_sample(source, &config, 6, &mut rng_for(0, 0, "a")).unwrap();
    assert_eq!(sample.label, case.whole_label());
    assert_eq!(sample.points[..10], [[2, 3, 4]; 10]);
    assert_eq!(sample.points.len(), 30);
    assert_abs_diff_eq!(sample.image[[0, 0, 0]], (1.0 - 50.0) / 25.0, epsilon = 1e-6);
    assert_abs_diff_eq!(sample.image[[5, 5, 5]], (216.0 - 50.0) / 25.0, epsilon = 1e-6);

    // Padding is 0 after normalisation, not the clip range's lower end.
    let sample = training_sample(source, &config, 8, &mut rng_for(0, 0, "a")).unwrap();
    assert_eq!((sample.image[[0, 0, 0]], sample.image[[7, 7, 7]]), (0.0, 0.0));
    assert_eq!(sample.label[[3, 4, 5]], 1);
}

/// Air around the body is cut off first, so that crops of the background are of the body.
#[test]
fn crops_come_from_within_the_foreground() {
    let mut clipped = Array3::<f32>::from_elem((40, 40, 40), -100.0);
    clipped.slice_mut(s![10..20, 12..22, 14..24]).assign(&numbered([10, 10, 10]));
    let label = clipped.mapv(|value| u8::from((300.0..400.0).contains(&value)));
    let case = PreparedCase::new(clipped, label).unwrap();
    let source = source(&case);
    let config = AugmentConfig {
        shift_probability: 0.0,
        first_crop_factor: 1.0,
        flip_probability: 0.0,
        quarter_turn_probability: 0.0,
        resampling: Resampling::None,
        ..AugmentConfig::published(false)
    };
    let sample = training_sample(source, &config, 10, &mut rng_for(0, 0, "a")).unwrap();
    assert_abs_diff_eq!(sample.image[[0, 0, 0]], (1.0 - 50.0) / 25.0, epsilon = 1e-6);
    assert_eq!(sample.label.iter().filter(|value| **value == 1).count(), 100);
}

#[test]
fn samples_are_a_function_of_the_generator() {
    let clipped = numbered([16, 15, 14]);
    let label = clipped.mapv(|value| u8::from(value > 1500.0 && value < 1700.0));
    let case = PreparedCase::new(clipped, label).unwrap();
    let source = source(&case);
    let draw = |epoch| {
        let config = AugmentConfig::published(false);
        training_sample(source, &config, 8, &mut rng_for(1, epoch, "case_3")).unwrap()
    };
    assert_eq!(draw(0), draw(0));
    assert_ne!(draw(0), draw(1));
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let image = numbered([4, 4, 4]);
    let refused = PreparedCase::new(image.clone(), Array3::zeros((4, 4, 5)));
    assert!(matches!(refused, Err(IoError::LabelGrid { image: [4, 4, 4], label: [4, 4, 5] })));
    assert!(PreparedCase::new(Array3::zeros((0, 4, 4)), Array3::zeros((0, 4, 4))).is_err());
    let case = PreparedCase::new(image, Array3::zeros((4, 4, 4))).unwrap();
    let source = source(&case);
    let mut rng = rng_for(0, 0, "a");
    let config = AugmentConfig::published(true);
    assert!(matches!(training_sample(source, &config, 0, &mut rng), Err(AugmentError::Empty { .. })));
    let config = AugmentConfig { target_probability: 2.0, ..config };
    assert!(matches!(training_sample(source, &config, 4, &mut rng), Err(AugmentError::FieldInvalid { .. })));
}
