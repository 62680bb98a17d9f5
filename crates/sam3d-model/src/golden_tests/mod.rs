//! Agreement with the golden data.

mod ablations;
mod checkpoints;
mod dense;
mod forward;
mod names;
mod precision;

use std::collections::BTreeMap;

use sam3d_geom::{Extent, Point, Prompt};
use sam3d_testkit::{GoldenTensor, by_name, parameter};
use tch::{Device, Kind, Tensor};

use crate::{CropPrompt, ModelConfig, Sam3d};

/// Where the golden tests compute: on the CPU, or on the first GPU if `SAM3D_TEST_DEVICE` is `cuda`.
pub(super) fn device() -> Device {
    let on_gpu = std::env::var_os("SAM3D_TEST_DEVICE").is_some_and(|name| name == "cuda");
    if on_gpu { Device::Cuda(0) } else { Device::Cpu }
}

/// A network whose every parameter is a function of its name.
pub(super) fn by_name_network(config: &ModelConfig) -> Sam3d {
    let mut network = Sam3d::new(config, device(), 0).unwrap();
    let tensors: BTreeMap<String, Tensor> = network
        .parameters()
        .into_iter()
        .map(|(name, own)| {
            let shape: Vec<usize> = own.size().iter().map(|n| *n as usize).collect();
            let values = Tensor::from_slice(&parameter(&name, &shape)).view(own.size().as_slice());
            (name, values)
        })
        .collect();
    network.load(&tensors).unwrap();
    network
}

/// The golden input: `2 u("input.image", i)` on a crop of side `side`.
pub(super) fn input(side: usize) -> Tensor {
    let values: Vec<f32> = by_name("input.image", side.pow(3)).iter().map(|u| (2.0 * u) as f32).collect();
    let side = side as i64;
    Tensor::from_slice(&values).view([1, 1, side, side, side]).to_device(device())
}

/// The golden clicks `key`, which are listed as (d, w, h).
pub(super) fn prompt(golden: &serde_json::Value, key: &str, side: usize) -> CropPrompt {
    let points = golden["points_dwh"][key].as_array().unwrap();
    let points = points.iter().map(|point| {
        let [d, w, h] = std::array::from_fn(|i| point[i].as_f64().unwrap() as usize);
        Point::positive([d, h, w])
    });
    Prompt::new(points.collect(), Extent::new([side; 3]).unwrap()).unwrap().into()
}

/// One positive click on a crop of side `side`.
pub(super) fn click(index: [usize; 3], side: usize) -> CropPrompt {
    Prompt::new(vec![Point::positive(index)], Extent::new([side; 3]).unwrap()).unwrap().into()
}

/// Every `step`-th entry along the axes `axes`.
pub(super) fn sampled(xs: &Tensor, axes: &[i64], step: i64) -> Tensor {
    axes.iter().fold(xs.shallow_clone(), |xs, axis| xs.slice(*axis, None, None, step))
}

/// The largest difference.
#[track_caller]
pub(super) fn difference(found: &Tensor, golden: &GoldenTensor) -> f64 {
    let shape: Vec<i64> = golden.shape.iter().map(|n| *n as i64).collect();
    assert_eq!(found.size(), shape);
    let expected = Tensor::from_slice(&golden.values).view(shape.as_slice());
    (found.to_device(Device::Cpu).to_kind(Kind::Double) - expected).abs().max().double_value(&[])
}

#[track_caller]
pub(super) fn check(what: &str, found: &Tensor, golden: &GoldenTensor, tolerance: f64) {
    let difference = difference(found, golden);
    assert!(
        difference <= tolerance,
        "{what}: largest difference {difference:.2e}, tolerance {tolerance:.0e}"
    );
    println!("{what}: largest difference {difference:.2e}");
}

pub(super) const SPACE_OF_MAP: [i64; 3] = [2, 3, 4];
pub(super) const SPACE_OF_TOKENS: [i64; 3] = [1, 2, 3];
