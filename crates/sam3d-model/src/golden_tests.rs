//! Agreement with the golden data, layer by layer.

use std::collections::BTreeMap;

use sam3d_geom::{Extent, Point, Prompt};
use sam3d_testkit::{GoldenTensor, GoldenTensors, by_name, golden_json, parameter};
use tch::{Device, Kind, Tensor};

use crate::{Checkpoint, Metadata, ModelConfig, Module, Provenance, Role, Sam3d, role};

/// A network whose every parameter is a function of its name.
fn by_name_network(config: &ModelConfig) -> Sam3d {
    let mut network = Sam3d::new(config, Device::Cpu, 0).unwrap();
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
fn input(side: usize) -> Tensor {
    let values: Vec<f32> = by_name("input.image", side.pow(3)).iter().map(|u| (2.0 * u) as f32).collect();
    let side = side as i64;
    Tensor::from_slice(&values).view([1, 1, side, side, side])
}

/// The golden clicks `key`, which are listed as (d, w, h).
fn prompt(golden: &serde_json::Value, key: &str, side: usize) -> Prompt {
    let points = golden["points_dwh"][key].as_array().unwrap();
    let points = points.iter().map(|point| {
        let [d, w, h] = std::array::from_fn(|i| point[i].as_f64().unwrap() as usize);
        Point::positive([d, h, w])
    });
    Prompt::new(points.collect(), Extent::new([side; 3]).unwrap()).unwrap()
}

/// Every `step`-th entry along the axes `axes`.
fn sampled(xs: &Tensor, axes: &[i64], step: i64) -> Tensor {
    axes.iter().fold(xs.shallow_clone(), |xs, axis| xs.slice(*axis, None, None, step))
}

#[track_caller]
fn check(what: &str, found: &Tensor, golden: &GoldenTensor, tolerance: f64) {
    let shape: Vec<i64> = golden.shape.iter().map(|n| *n as i64).collect();
    assert_eq!(found.size(), shape, "{what}");
    let expected = Tensor::from_slice(&golden.values).view(shape.as_slice());
    let difference = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    assert!(
        difference <= tolerance,
        "{what}: largest difference {difference:.2e}, tolerance {tolerance:.0e}"
    );
    println!("{what}: largest difference {difference:.2e}");
}

const SPACE_OF_MAP: [i64; 3] = [2, 3, 4];
const SPACE_OF_TOKENS: [i64; 3] = [1, 2, 3];

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
        parameters.keys().map(String::as_str).filter(|name| role(name) == Role::Frozen).collect();
    assert_eq!(frozen, expected);
    for (name, tensor) in &parameters {
        assert_eq!(tensor.requires_grad(), role(name) == Role::Trained, "{name}");
    }
}

#[test]
fn tiny_forward_layer_by_layer() {
    let _no_grad = tch::no_grad_guard();
    let (golden, tensors) = (golden_json("tiny.json"), GoldenTensors::open("tiny_forward.safetensors"));
    let config = ModelConfig::tiny();
    let network = by_name_network(&config);
    let image = input(config.crop);

    let slices = network.image_encoder.embed.embed_slices(&image).permute([0, 4, 1, 2, 3]);
    let key = "slice_embed_out";
    check(key, &sampled(&slices, &SPACE_OF_MAP, 2), &tensors.get(key), 1e-4);

    let mut observed = BTreeMap::new();
    let maps = network.image_encoder.forward_traced(&image, &mut |index, tokens| {
        observed.insert(index, tokens.shallow_clone());
    });
    for block in [0, 1, 11] {
        let key = format!("block_{block}_out");
        check(&key, &sampled(&observed[&(block + 1)], &SPACE_OF_TOKENS, 2), &tensors.get(&key), 1e-4);
    }
    for (level, map) in maps.iter().enumerate() {
        let key = format!("neck_{level}_out");
        check(&key, &sampled(map, &SPACE_OF_MAP, 2), &tensors.get(&key), 1e-4);
    }
    for count in ["1pt", "10pt"] {
        let prompts = [prompt(&golden, count, config.crop)];
        let prompted = network.prompt_encoder.as_ref().unwrap().forward(&maps[3], &prompts);
        let key = format!("prompt_encoder_out_{count}");
        check(&key, &sampled(&prompted, &SPACE_OF_MAP, 2), &tensors.get(&key), 1e-4);
        let key = format!("logits_{count}");
        let logits = network.forward(&image, &prompts).unwrap();
        let golden = tensors.get(&key);
        let step = config.crop as i64 / golden.shape[2] as i64;
        check(&key, &sampled(&logits, &SPACE_OF_MAP, step), &golden, 1e-4);
    }
}

#[test]
fn swapped_axes_of_a_click_would_show() {
    let _no_grad = tch::no_grad_guard();
    let (golden, tensors) = (golden_json("tiny.json"), GoldenTensors::open("tiny_forward.safetensors"));
    let config = ModelConfig::tiny();
    let network = by_name_network(&config);
    let [d, h, w] = prompt(&golden, "1pt", config.crop).points()[0].index;
    let embedding = network.encode(&input(config.crop)).unwrap();
    let golden = tensors.get("logits_1pt");
    let shape: Vec<i64> = golden.shape.iter().map(|n| *n as i64).collect();
    let expected = Tensor::from_slice(&golden.values).view(shape.as_slice());
    for index in [[d, w, h], [h, d, w], [w, h, d]] {
        let extent = Extent::new([config.crop; 3]).unwrap();
        let swapped = Prompt::new(vec![Point::positive(index)], extent).unwrap();
        let logits = sampled(&network.decode(&embedding, &[swapped]).unwrap(), &SPACE_OF_MAP, 2);
        let difference = (logits.to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
        assert!(difference > 1e-3, "{index:?} cannot be told from {:?}: {difference}", [d, h, w]);
    }
}

#[test]
fn a_batch_is_its_samples() {
    let _no_grad = tch::no_grad_guard();
    let golden = golden_json("tiny.json");
    let config = ModelConfig::tiny();
    let network = by_name_network(&config);
    let first = input(config.crop);
    let second = first.flip([2]) * 0.5;
    let prompts = [prompt(&golden, "1pt", config.crop), prompt(&golden, "10pt", config.crop)];
    let batch = network.forward(&Tensor::cat(&[&first, &second], 0), &prompts).unwrap();
    let alone =
        [network.forward(&first, &prompts[..1]).unwrap(), network.forward(&second, &prompts[1..]).unwrap()];
    let difference = (batch - Tensor::cat(&alone, 0)).abs().max().double_value(&[]);
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn tiny_auto_forward() {
    let _no_grad = tch::no_grad_guard();
    let tensors = GoldenTensors::open("tiny_auto.safetensors");
    let config = ModelConfig::tiny().auto(64);
    let logits = by_name_network(&config).forward(&input(config.crop), &[]).unwrap();
    check("logits_auto", &sampled(&logits, &SPACE_OF_MAP, 2), &tensors.get("logits_auto"), 1e-4);
}

#[test]
fn other_crop_sides_run() {
    // The published sides divide the upsampled side; any multiple of 2 G must work.
    let config = ModelConfig { crop: 96, ..ModelConfig::tiny() };
    let network = Sam3d::new(&config, Device::Cpu, 1).unwrap();
    let extent = Extent::new([96; 3]).unwrap();
    let prompt = Prompt::new(vec![Point::positive([95, 0, 40])], extent).unwrap();
    let probability = network.predict(&vec![0.5; 96usize.pow(3)], &[prompt]).unwrap();
    assert_eq!(probability.len(), 96usize.pow(3));
    assert!(probability.iter().all(|p| (0.0..=1.0).contains(p)));
}

#[test]
fn checkpoint_brings_the_network_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let network = by_name_network(&ModelConfig::tiny());
    let metadata = Metadata {
        format_version: crate::FORMAT_VERSION,
        model: network.config().clone(),
        preprocessing: None,
        provenance: Provenance { source: "a test".into(), ..Provenance::default() },
    };
    Checkpoint::write(&network, &metadata, &path).unwrap();
    let checkpoint = Checkpoint::read(&path).unwrap();
    assert_eq!(checkpoint.metadata, metadata);
    let again = checkpoint.into_network(Device::Cpu).unwrap();
    for ((name, a), (other, b)) in network.parameters().iter().zip(again.parameters().iter()) {
        assert!(name == other && a.equal(b), "{name} {other}");
    }
}

#[test]
fn weights_of_another_configuration_are_refused() {
    let mut network = Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 0).unwrap();
    let wide = ModelConfig {
        decoder: crate::DecoderConfig { head_channels: 8, hidden_channels: 16 },
        ..ModelConfig::tiny()
    };
    let other = Sam3d::new(&wide, Device::Cpu, 0).unwrap().parameters();
    let message = network.load(&other).unwrap_err().to_string();
    assert!(message.contains("mask_decoder.cls.0.weight has shape [16, 33, 3, 3, 3]"), "{message}");
    let message = network.load(&BTreeMap::new()).unwrap_err().to_string();
    assert!(message.contains("tensors are missing"), "{message}");
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
            .filter(|(name, _)| name.starts_with(module.prefix()) && counted(role(name)))
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

#[test]
fn vit_b_forward() {
    if std::env::var_os("SAM3D_FULL_TESTS").is_none() {
        println!("SKIPPED: takes minutes; runs with `cargo xtask test --full`");
        return;
    }
    let _no_grad = tch::no_grad_guard();
    let (golden, tensors) = (golden_json("vit_b.json"), GoldenTensors::open("vit_b_forward.safetensors"));
    let config = ModelConfig::vit_b();
    let network = by_name_network(&config);
    let embedding = network.encode(&input(config.crop)).unwrap();
    let step = golden["sampled_every"].as_i64().unwrap();
    for (level, map) in embedding.maps.iter().enumerate() {
        let key = format!("neck_{level}_out");
        check(&key, &sampled(map, &SPACE_OF_MAP, step), &tensors.get(&key), 2e-3);
    }
    let one = [prompt(&golden, "1pt", config.crop)];
    let prompted = network.prompt_encoder.as_ref().unwrap().forward(&embedding.maps[3], &one);
    let key = "prompt_encoder_out_1pt";
    check(key, &sampled(&prompted, &SPACE_OF_MAP, step), &tensors.get(key), 2e-3);
    for count in ["1pt", "3pt"] {
        let logits = network.decode(&embedding, &[prompt(&golden, count, config.crop)]).unwrap();
        let key = format!("logits_{count}");
        check(&key, &sampled(&logits, &SPACE_OF_MAP, step), &tensors.get(&key), 2e-3);
        let stats = &golden[format!("logits_{count}_stats")];
        for (name, found) in [
            ("mean", logits.mean(Kind::Double)),
            ("std", logits.std(true)),
            ("min", logits.min()),
            ("max", logits.max()),
        ] {
            let difference = (found.double_value(&[]) - stats[name].as_f64().unwrap()).abs();
            assert!(difference <= 2e-3, "{count} {name}: {difference}");
        }
    }
}

fn assert_names(network: &Sam3d, golden: &serde_json::Value) {
    let found: BTreeMap<String, Vec<i64>> =
        network.parameters().into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    let expected: BTreeMap<String, Vec<i64>> = serde_json::from_value(golden["state_dict"].clone()).unwrap();
    assert_eq!(found, expected);
}
