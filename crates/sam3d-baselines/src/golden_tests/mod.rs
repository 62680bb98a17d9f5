//! Agreement with the golden data, and what every network must do at its small preset.

mod forward;
mod names;
mod small;

use std::collections::BTreeMap;

use sam3d_testkit::{by_name, parameter};
use tch::{Device, Tensor};

use crate::{Baseline, Method, NetworkConfig, NnunetConfig, Size};

/// The golden networks: their names, and their configurations at the published sizes.
pub(super) fn golden_networks() -> Vec<(&'static str, NetworkConfig)> {
    let mut networks: Vec<_> =
        Method::ALL.into_iter().map(|method| (method.name(), method.config(Size::Published))).collect();
    networks.push(("nnunet_v1", NetworkConfig::Nnunet(NnunetConfig::version_1())));
    networks
}

/// A network whose every parameter is a function of its name with `prefix` before it.
pub(super) fn by_name_network(config: &NetworkConfig, prefix: &str) -> Baseline {
    let network = Baseline::new(config, Device::Cpu, 0).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (name, mut own) in network.parameters() {
        let shape: Vec<usize> = own.size().iter().map(|n| *n as usize).collect();
        let values = parameter(&format!("{prefix}{name}"), &shape);
        own.copy_(&Tensor::from_slice(&values).view(own.size().as_slice()));
    }
    network
}

/// The input `2 u(name, i)` for crops of `sides`.
pub(super) fn input(name: &str, sides: [usize; 3]) -> Tensor {
    let values: Vec<f32> = by_name(name, sides.iter().product()).iter().map(|u| (2.0 * u) as f32).collect();
    let [d, h, w] = sides.map(|side| side as i64);
    Tensor::from_slice(&values).view([1, 1, d, h, w])
}

pub(super) fn shapes(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<i64>> {
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.size())).collect()
}
