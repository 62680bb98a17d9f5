//! The network of the golden data.

use std::collections::BTreeMap;

use sam3d_model::{ModelConfig, Sam3d};
use sam3d_testkit::parameter;
use tch::{Device, Tensor};

/// Where the golden tests compute: on the CPU, or on the first GPU if `SAM3D_TEST_DEVICE` is `cuda`.
pub(crate) fn device() -> Device {
    let on_gpu = std::env::var_os("SAM3D_TEST_DEVICE").is_some_and(|name| name == "cuda");
    if on_gpu { Device::Cuda(0) } else { Device::Cpu }
}

/// The network of `config` whose every parameter is a function of its name.
pub(crate) fn by_name_network(config: &ModelConfig) -> Sam3d {
    let mut network = Sam3d::new(config, device(), 0).unwrap();
    let by_name = |(name, own): (String, Tensor)| {
        let shape: Vec<usize> = own.size().iter().map(|n| *n as usize).collect();
        let values = Tensor::from_slice(&parameter(&name, &shape)).view(own.size().as_slice());
        (name, values)
    };
    let tensors: BTreeMap<String, Tensor> = network.parameters().into_iter().map(by_name).collect();
    network.load(&tensors).unwrap();
    network
}
