//! The prompt-free variant on a whole volume, against the golden data.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/golden_network.rs"]
mod golden_network;

use ndarray::{Array3, s};
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing, StoredAxes};
use sam3d_infer::{LogStep, Progress, Segmenter};
use sam3d_io::{Grid, ValueType, Volume};
use sam3d_model::ModelConfig;
use sam3d_testkit::{GoldenTensors, by_name, golden_json};

use self::golden_network::by_name_network;

#[test]
fn sliding_windows_give_the_golden_probability() {
    let golden = golden_json("tiny_auto.json");
    let sizes = [80, 96, 72];
    let values = by_name("sliding.image", sizes.iter().product());
    let volume = Array3::from_shape_vec(sizes, values.iter().map(|u| (2.0 * u) as f32).collect()).unwrap();
    let mut windows = 0;
    // A volume that is resampled and normalised already.
    let preprocessing = Preprocessing {
        intensity: Intensity::new([-1e6, 1e6], 0.0, 1.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::AsStored(StoredAxes::new([2, 1, 0]).unwrap()),
        interpolation: Interpolation::Trilinear,
    };
    let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
    let [d, h, w] = sizes;
    let grid = Grid::from_affine([w, h, d], affine).unwrap();
    let volume = Volume { data: volume, grid, nan_voxels: 0, value_type: ValueType::Float32, rescale: None };
    let segmenter = Segmenter::new(by_name_network(&ModelConfig::tiny().auto(64)), preprocessing, 0);
    let mut session = segmenter.session(volume).unwrap();
    let mut progress = |progress| {
        if let Progress::Crops(done, all) = progress {
            assert_eq!(all, 8);
            windows = done;
        }
    };
    session.add_step(LogStep::default(), &mut progress).unwrap();
    let found = session.answer().unwrap().unwrap();
    let found = found.values();
    assert_eq!(windows, 8);

    let expected = GoldenTensors::open("tiny_auto.safetensors").get("sliding_prob");
    let sampled = found.slice(s![..;4, ..;4, ..;4]);
    assert_eq!(sampled.shape(), &expected.shape[2..]);
    let largest = sampled
        .iter()
        .zip(&expected.values)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, f64::max);
    println!("largest difference {largest:.1e}");
    assert!(largest <= 1e-4, "probability differs by {largest}");
    let mean = found.iter().map(|p| f64::from(*p)).sum::<f64>() / found.len() as f64;
    let max = f64::from(found.iter().copied().fold(0f32, f32::max));
    assert!((mean - golden["sliding_mean"].as_f64().unwrap()).abs() <= 1e-4, "mean {mean}");
    assert!((max - golden["sliding_max"].as_f64().unwrap()).abs() <= 1e-4, "maximum {max}");
}
