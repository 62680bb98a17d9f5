//! Names, shapes, roles and counts of parameters.

use std::collections::BTreeMap;

use sam3d_testkit::golden_json;
use tch::{Device, Kind, Tensor};

use crate::{
    ModelConfig, Module, Preset, Role, Sam3d,
    sam2d::{Sam2d, Sam2dConfig},
};

#[test]
fn tiny_names_and_shapes() {
    let golden = golden_json("tiny.json");
    assert_names(&Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 0).unwrap(), &golden);
}

#[test]
fn tiny_frozen_list() {
    let golden = golden_json("tiny.json");
    let network = Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 0).unwrap();
    let mut expected: Vec<&str> =
        golden["train"]["frozen"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    expected.sort_unstable();
    let parameters = network.parameters();
    let frozen: Vec<&str> =
        parameters.keys().map(String::as_str).filter(|name| network.role(name) == Role::Frozen).collect();
    assert_eq!(frozen, expected);
    for (name, tensor) in &parameters {
        assert_eq!(tensor.requires_grad(), network.role(name) == Role::Trained, "{name}");
    }
}

#[test]
fn vit_b_names_and_published_counts() {
    let golden = golden_json("vit_b.json");
    let network = Sam3d::new(&ModelConfig::vit_b(), Device::Cpu, 0).unwrap();
    assert_names(&network, &golden);
    let total = |module: Module, only_trained: bool| -> usize {
        let counted = |role: Role| role == Role::Trained || (!only_trained && role == Role::Frozen);
        network
            .parameters()
            .iter()
            .filter(|(name, _)| name.starts_with(module.prefix()) && counted(network.role(name)))
            .map(|(_, tensor)| tensor.numel())
            .sum()
    };
    for module in Module::ALL {
        let key = module.prefix().trim_end_matches('.');
        assert_eq!(total(module, false) as u64, golden["parameters"][key].as_u64().unwrap(), "{key}");
    }
    // The published figures, in millions: 15.21, 3.16, 7.09 and 25.46 in all.
    let millions = |count: usize| (count as f64 / 1e4).round() / 100.0;
    assert_eq!(millions(total(Module::ImageEncoder, true)), 15.21);
    assert_eq!(millions(total(Module::PromptEncoder, true)), 3.16);
    assert_eq!(millions(total(Module::MaskDecoder, true)), 7.09);
    assert_eq!(millions(network.count_parameters().trained), 25.46);
}

/// libtorch has one generator for the process; a network that reseeded it would change what others draw.
#[test]
fn building_a_network_leaves_libtorchs_generator_alone() {
    let draw = || Vec::<f32>::try_from(Tensor::randn([4], (Kind::Float, Device::Cpu))).unwrap();
    let same = |seed: i64| {
        tch::manual_seed(seed);
        let before = draw();
        tch::manual_seed(seed);
        let network = Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 3).unwrap();
        drop((network, Sam2d::new(&Sam2dConfig::of(Preset::Tiny), Device::Cpu, 3)));
        draw() == before
    };
    // Other tests may draw from it at the same time, now and then.
    assert!((0..20).any(same));
}

#[test]
fn a_seed_decides_every_parameter_and_dense_prompts_change_no_other() {
    let of = |config: &ModelConfig, seed: u64| Sam3d::new(config, Device::Cpu, seed).unwrap().parameters();
    let mut dense = ModelConfig::tiny();
    dense.prompt.as_mut().unwrap().enable_dense_prompts();
    let (first, dense, other) = (of(&ModelConfig::tiny(), 4), of(&dense, 4), of(&ModelConfig::tiny(), 5));
    for (name, tensor) in of(&ModelConfig::tiny(), 4) {
        assert!(tensor.equal(&first[&name]) && tensor.equal(&dense[&name]), "{name}");
    }
    let name = "mask_decoder.cls.0.weight";
    assert!(!first[name].equal(&other[name]));
}

fn assert_names(network: &Sam3d, golden: &serde_json::Value) {
    let found: BTreeMap<String, Vec<i64>> =
        network.parameters().into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    let expected: BTreeMap<String, Vec<i64>> = serde_json::from_value(golden["state_dict"].clone()).unwrap();
    assert_eq!(found, expected);
}
