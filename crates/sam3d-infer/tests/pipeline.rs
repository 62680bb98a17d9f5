//! From a file and one click to a mask in the file's grid, against the golden data. Skipped without the volumes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/golden_network.rs"]
mod golden_network;

use sam3d_geom::{Intensity, Interpolation, Orientation, Point, Preprocessing, Spacing, StoredAxes};
use sam3d_infer::{Prompt, Segmenter};
use sam3d_io::{
    nifti::{self, ReadLimits},
    prepare::native_label,
};
use sam3d_metrics::Overlap;
use sam3d_model::ModelConfig;
use sam3d_testkit::{GoldenTensors, golden_json, test_volume};

use self::golden_network::by_name_network;

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn both_volumes_give_the_golden_masks() {
    for name in ["sarcoma_STS_019", "abdomen_liver"] {
        let golden = &golden_json("pipeline.json")[name];
        let volume = |key: &str| test_volume(golden[key].as_str().unwrap());
        let Some((image, label)) = volume("image").zip(volume("label")) else { continue };
        let number = |key: &str| golden[key].as_f64().unwrap();
        let clip_hu = serde_json::from_value(golden["intensity_range"].clone()).unwrap();
        let axes = serde_json::from_value(golden["axes_to_dhw"].clone()).unwrap();
        let preprocessing = Preprocessing {
            intensity: Intensity::new(clip_hu, number("mean"), number("std")).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::AsStored(StoredAxes::new(axes).unwrap()),
            interpolation: Interpolation::Trilinear,
        };
        let image = nifti::read(&image, ReadLimits::default()).unwrap();
        let label = nifti::read(&label, ReadLimits::default()).unwrap();
        let click = &golden["click"];
        let point = Point::positive(serde_json::from_value(click["resampled_voxel_dhw"].clone()).unwrap());
        let segmenter = Segmenter::new(by_name_network(&ModelConfig::tiny()), preprocessing, 0);
        let mut session = segmenter.session(image).unwrap();
        session.add(Prompt::resampled_click(point)).unwrap();
        let frame = session.image().frame().clone();
        let stored = session.answer().unwrap().unwrap().native_probability(&frame).unwrap();
        let probability = frame.axis_map().to_dhw(stored.view()).unwrap();

        let expected = GoldenTensors::open("pipeline.safetensors").get(&format!("{name}.prob_native"));
        let every = click["prob_sampled_every"].as_i64().unwrap() as isize;
        let sampled = probability.slice(ndarray::s![..;every, ..;every, ..;every]);
        assert_eq!(sampled.shape(), expected.shape);
        let largest = sampled
            .iter()
            .zip(&expected.values)
            .map(|(found, expected)| (f64::from(*found) - expected).abs())
            .fold(0.0, f64::max);
        assert!(largest < 1e-3, "{name}: probability differs by {largest}");

        let mean = probability.iter().map(|p| f64::from(*p)).sum::<f64>() / probability.len() as f64;
        let max = probability.iter().copied().fold(0f32, f32::max);
        assert!((mean - click["prob_mean"].as_f64().unwrap()).abs() < 1e-4, "{name}: mean {mean}");
        assert!((f64::from(max) - click["prob_max"].as_f64().unwrap()).abs() < 1e-3, "{name}: max {max}");

        let mask = session.mask(0.5).unwrap();
        assert_eq!(mask, stored.mapv(|p| u8::from(p > 0.5)));
        let voxels = mask.iter().filter(|value| **value != 0).count() as f64;
        let expected_voxels = click["mask_voxels"].as_f64().unwrap();
        assert!((voxels - expected_voxels).abs() <= 1e-3 * expected_voxels, "{name}: {voxels} voxels");
        let truth = native_label(&label, golden["target_class"].as_u64().unwrap() as u32);
        let dice = Overlap::between(truth.view(), mask.view()).unwrap().dice().unwrap();
        let expected_dice = click["dice_vs_label"].as_f64().unwrap();
        assert!((dice - expected_dice).abs() <= 1e-3, "{name}: Dice {dice} {expected_dice}");
        println!(
            "{name}: probability differs by at most {largest:.1e}, {voxels} mask voxels (golden {expected_voxels}), Dice {dice:.6} (golden {expected_dice:.6})"
        );
    }
}
