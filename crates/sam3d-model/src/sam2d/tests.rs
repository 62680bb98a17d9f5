//! Agreement with the golden data, and checkpoints.

use std::collections::BTreeMap;

use sam3d_geom::PointLabel;
use sam3d_pickle::Limits;
use sam3d_testkit::{GoldenTensor, GoldenTensors, by_name, golden_json, golden_path};
use tch::{Device, Kind, Tensor};

use super::{PixelPoint, RgbImage, Sam2d, Sam2dConfig};
use crate::Preset;

const SIZE: [usize; 2] = [512, 384];

fn golden_network() -> Sam2d {
    Sam2d::read(&golden_path("tiny_sam_2d.pth"), Device::Cpu, &Limits::default()).unwrap()
}

fn golden_image() -> RgbImage {
    let values = by_name("input.rgb", 3 * SIZE[0] * SIZE[1]);
    let values: Vec<f32> = values.iter().map(|u| (127.5 * (1.0 + u)) as f32).collect();
    RgbImage::new(&values, SIZE).unwrap()
}

fn golden_points(golden: &serde_json::Value) -> Vec<PixelPoint> {
    let labels = golden["labels"].as_array().unwrap();
    let points = golden["points_xy"].as_array().unwrap();
    let point = |(xy, label): (&serde_json::Value, &serde_json::Value)| PixelPoint {
        xy: serde_json::from_value(xy.clone()).unwrap(),
        label: if label == 1 { PointLabel::Positive } else { PointLabel::Negative },
    };
    points.iter().zip(labels).map(point).collect()
}

#[track_caller]
fn check(what: &str, found: &Tensor, golden: &GoldenTensor) {
    let shape: Vec<i64> = golden.shape.iter().map(|n| *n as i64).collect();
    assert_eq!(found.size(), shape, "{what}");
    let expected = Tensor::from_slice(&golden.values).view(shape.as_slice());
    let difference = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    println!("{what}: largest difference {difference:.2e}");
    assert!(difference <= 1e-4, "{what}: largest difference {difference:.2e}");
}

#[test]
fn tiny_forward() {
    let (golden, tensors) =
        (golden_json("sam2d_tiny.json"), GoldenTensors::open("sam2d_tiny_forward.safetensors"));
    let network = golden_network();
    let embedding = network.embed(&golden_image()).unwrap();
    let sampled = embedding.map.slice(2, None, None, 2).slice(3, None, None, 2);
    check("image_embedding", &sampled, &tensors.get("image_embedding"));

    let masks = network.decode(&embedding, &golden_points(&golden)).unwrap();
    check("low_res_logits", &masks.low_resolution.unsqueeze(0), &tensors.get("low_res_logits"));
    check("iou_predictions", &Tensor::from_slice(&masks.iou).view([1, 3]), &tensors.get("iou_predictions"));
    for (mask, iou) in golden["iou"].as_array().unwrap().iter().enumerate() {
        assert!((masks.iou[mask] - iou.as_f64().unwrap()).abs() <= 1e-4);
        let logits = masks.logits(mask).unwrap();
        assert_eq!(logits.len(), SIZE[0] * SIZE[1]);
        let pixels = logits.iter().filter(|logit| **logit > 0.0).count() as i64;
        let expected = golden["mask_pixels"][mask].as_i64().unwrap();
        println!("mask {mask}: {pixels} pixels, golden {expected}");
        // A logit within rounding of 0 may fall on either side.
        assert!((pixels - expected).abs() <= 5, "mask {mask}: {pixels} pixels, golden {expected}");
    }
    assert_eq!(masks.best(), 1);
}

#[test]
fn places_and_labels_of_clicks_matter() {
    let golden = golden_json("sam2d_tiny.json");
    let network = golden_network();
    let embedding = network.embed(&golden_image()).unwrap();
    let points = golden_points(&golden);
    let logits = |points: &[PixelPoint]| network.decode(&embedding, points).unwrap().low_resolution;
    let expected = logits(&points);
    let swapped: Vec<PixelPoint> =
        points.iter().map(|point| PixelPoint { xy: [point.xy[1], point.xy[0]], ..*point }).collect();
    let positive: Vec<PixelPoint> =
        points.iter().map(|point| PixelPoint { label: PointLabel::Positive, ..*point }).collect();
    for (what, changed) in [("swapped axes", swapped), ("another label", positive)] {
        let difference = (logits(&changed) - &expected).abs().max().double_value(&[]);
        assert!(difference > 1e-2, "{what}: {difference}");
    }
    assert!(network.decode(&embedding, &[]).is_err());
}

#[test]
fn names_and_shapes_are_those_of_the_checkpoint() {
    let expected: BTreeMap<String, Vec<i64>> =
        serde_json::from_value(golden_json("sam2d_tiny.json")["state_dict"].clone()).unwrap();
    let network = Sam2d::new(&Sam2dConfig::of(Preset::Tiny), Device::Cpu, 0);
    let found: BTreeMap<String, Vec<i64>> =
        network.parameters().into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    assert_eq!(found, expected);
}

/// The published numbers of parameters, and the Fourier matrix, which is a buffer. All blocks of a kind are of one size,
/// so a network of two blocks says how large one of many is.
#[test]
fn published_sizes() {
    let count = |preset: Preset, depth: usize, global_blocks: &[usize]| -> usize {
        let mut config = Sam2dConfig::of(preset);
        config.encoder.depth = depth;
        config.encoder.global_blocks = global_blocks.to_vec();
        let network = Sam2d::new(&config, Device::Cpu, 0);
        network.parameters().values().map(Tensor::numel).sum()
    };
    let published = [(Preset::VitB, 93_735_472), (Preset::VitL, 312_342_832), (Preset::VitH, 641_090_608)];
    for (preset, parameters) in published {
        let encoder = preset.config().encoder;
        let (none, windowed, global) = (count(preset, 0, &[]), count(preset, 1, &[]), count(preset, 1, &[0]));
        let in_windows = encoder.depth - encoder.global_blocks.len();
        let all = none + in_windows * (windowed - none) + encoder.global_blocks.len() * (global - none);
        assert_eq!(all, parameters + 2 * 128, "{preset:?}");
    }
}

#[test]
fn an_image_of_another_size_is_scaled_and_scaled_back() {
    let network = golden_network();
    let plane: Vec<f32> = (0..40 * 60).map(|i| (i % 60 * 4) as f32).collect();
    let embedding = network.embed(&RgbImage::grey(&plane, [40, 60]).unwrap()).unwrap();
    let click = PixelPoint { xy: [30.0, 20.0], label: PointLabel::Positive };
    let masks = network.decode(&embedding, &[click]).unwrap();
    let logits = masks.logits(masks.best()).unwrap();
    assert_eq!(logits.len(), 40 * 60);
    assert!(logits.iter().all(|logit| logit.is_finite()));
    // A pixel of the image stands for 512 / 60 pixels of the network's; the scaled image gives the same masks.
    let large: Vec<f32> = {
        let scaled = RgbImage::grey(&plane, [40, 60]).unwrap().network_input(512).unwrap();
        let rows = (0..341).flat_map(|h| (0..512).map(move |w| (h, w)));
        let value = |(h, w)| (scaled.double_value(&[0, 0, h, w]) * 58.395 + 123.675) as f32;
        rows.map(value).collect()
    };
    let embedding = network.embed(&RgbImage::grey(&large, [341, 512]).unwrap()).unwrap();
    let scaled = PixelPoint { xy: [30.0 * 512.0 / 60.0, 20.0 * 341.0 / 40.0], ..click };
    let again = network.decode(&embedding, &[scaled]).unwrap();
    let difference = (again.low_resolution - masks.low_resolution).abs().max().double_value(&[]);
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn other_files_are_refused() {
    let error = |name: &str| {
        Sam2d::read(&golden_path(name), Device::Cpu, &Limits::default()).unwrap_err().to_string()
    };
    assert!(error("tiny_adapter.pth.tar").contains("not a checkpoint of the 2D SAM"));
    assert!(error("hostile_code.pth").contains("posix.system"));
    let mut network = golden_network();
    let mut tensors = network.parameters();
    tensors.remove("mask_decoder.iou_token.weight");
    let missing = network.load(&tensors).unwrap_err().to_string();
    assert!(missing.contains("mask_decoder.iou_token.weight is missing"), "{missing}");
}
