//! From a file to the network's patch, against the golden data.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]
#![expect(clippy::print_stdout, reason = "a test that measures says what it found")]

use std::path::PathBuf;

use approx::{assert_abs_diff_eq, assert_relative_eq};
use ndarray::{ArrayView3, s};
use sam3d_geom::{Intensity, Interpolation, Orientation, Preprocessing, Spacing, StoredAxes};
use sam3d_io::{
    crop::CropWindow,
    nifti::{self, ReadLimits},
    prepare::{self, Frame},
};
use sam3d_testkit::{GoldenTensors, golden_json, test_volume};
use serde_json::Value;

/// Largest difference of a normalised voxel: positions are f64 here and f32 in the reference.
const TOLERANCE: f64 = 1e-4;

#[test]
fn sarcoma_prepares_as_the_reference_does() {
    check("sarcoma_STS_019");
}

#[test]
fn abdomen_prepares_as_the_reference_does() {
    check("abdomen_liver");
}

fn check(name: &str) {
    let golden = &golden_json("pipeline.json")[name];
    let tensors = GoldenTensors::open("pipeline.safetensors");
    let Some((image, label)) = volume(golden, "image").zip(volume(golden, "label")) else { return };
    let preprocessing = preprocessing(golden);
    let image = nifti::read(&image, ReadLimits::default()).unwrap();
    let label = nifti::read(&label, ReadLimits::default()).unwrap();
    let target_class = golden["target_class"].as_u64().unwrap() as u32;

    let prepared = prepare::prepare_image(&image, &preprocessing).unwrap();
    check_frame(&prepared.frame, golden);
    let volume = prepared.image.view();
    let (mean, std) = mean_and_unbiased_std(volume);
    assert_relative_eq!(mean, golden["image_mean"].as_f64().unwrap(), max_relative = 1e-5);
    assert_relative_eq!(std, golden["image_std"].as_f64().unwrap(), max_relative = 1e-5);
    let every = golden["sampled_every"].as_u64().unwrap() as isize;
    let difference =
        largest_difference(volume.slice(s![..;every, ..;every, ..;every]), &tensors, name, "image");
    println!("{name}: image differs by at most {difference:.1e}");

    let native = prepare::native_label(&label, target_class);
    assert_eq!(count(native.view()), golden["label_voxels_native"]);
    let mask = prepare::prepare_label(&label, target_class, &preprocessing).unwrap();
    assert_eq!(mask.dim(), prepared.image.dim());
    assert_eq!(count(mask.view()), golden["label_voxels_resampled"]);

    let click = &golden["click"];
    let midpoint = triple(&click["resampled_voxel_dhw"]).map(|i| i as i64);
    let window = CropWindow::around(midpoint, click["crop"].as_u64().unwrap() as usize);
    let pads = serde_json::to_value(window.pads(prepared.frame.resampled_extent())).unwrap();
    assert_eq!(pads, click["pads_dhw"]);
    let patch = window.extract(volume, 0.0);
    let difference = largest_difference(patch.slice(s![..;4, ..;4, ..;4]), &tensors, name, "patch");
    println!("{name}: patch differs by at most {difference:.1e}");
}

fn check_frame(frame: &Frame, golden: &Value) {
    assert_eq!(frame.native_extent().sizes(), triple(&golden["native_shape_dhw"]));
    assert_eq!(frame.resampled_extent().sizes(), triple(&golden["resampled_shape_dhw"]));
    // The target is 1 mm: factors are the native spacing, to the last bit.
    let spacing: [f64; 3] = serde_json::from_value(golden["spacing_dhw_mm"].clone()).unwrap();
    assert_eq!(frame.factors(), spacing);
}

fn preprocessing(golden: &Value) -> Preprocessing {
    let number = |key: &str| golden[key].as_f64().unwrap();
    let clip_hu = serde_json::from_value(golden["intensity_range"].clone()).unwrap();
    Preprocessing {
        intensity: Intensity::new(clip_hu, number("mean"), number("std")).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::AsStored(StoredAxes::new(triple(&golden["axes_to_dhw"])).unwrap()),
        interpolation: Interpolation::Trilinear,
    }
}

fn volume(golden: &Value, key: &str) -> Option<PathBuf> {
    test_volume(golden[key].as_str().unwrap())
}

fn triple(value: &Value) -> [usize; 3] {
    serde_json::from_value(value.clone()).unwrap()
}

fn count(mask: ArrayView3<'_, u8>) -> u64 {
    mask.iter().map(|voxel| u64::from(*voxel)).sum()
}

fn mean_and_unbiased_std(volume: ArrayView3<'_, f32>) -> (f64, f64) {
    let count = volume.len() as f64;
    let mean = volume.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares: f64 = volume.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

fn largest_difference(found: ArrayView3<'_, f32>, tensors: &GoldenTensors, name: &str, key: &str) -> f64 {
    let expected = tensors.get(&format!("{name}.{key}"));
    assert_eq!(found.shape(), &expected.shape[1..]);
    found.iter().zip(expected.values).fold(0.0, |largest: f64, (found, expected)| {
        assert_abs_diff_eq!(f64::from(*found), expected, epsilon = TOLERANCE);
        largest.max((f64::from(*found) - expected).abs())
    })
}
