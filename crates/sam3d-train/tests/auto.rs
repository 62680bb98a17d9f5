//! The prompt-free variant on a whole volume, against the golden data.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/golden_network.rs"]
mod golden_network;

use ndarray::{Array3, s};
use sam3d_model::ModelConfig;
use sam3d_testkit::{GoldenTensors, by_name, golden_json};
use sam3d_train::auto::probability;

use self::golden_network::by_name_network;

#[test]
fn sliding_windows_give_the_golden_probability() {
    let golden = golden_json("tiny_auto.json");
    let sizes = [80, 96, 72];
    let values = by_name("sliding.image", sizes.iter().product());
    let volume = Array3::from_shape_vec(sizes, values.iter().map(|u| (2.0 * u) as f32).collect()).unwrap();
    let mut windows = 0;
    let found =
        probability(&by_name_network(&ModelConfig::tiny().auto(64)), volume.view(), &mut |done, all| {
            assert_eq!(all, 8);
            windows = done;
        })
        .unwrap();
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
