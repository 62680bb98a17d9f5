//! The forward pass, layer by layer.

use std::collections::BTreeMap;

use sam3d_testkit::{GoldenTensors, golden_json};
use tch::{Device, Kind, Tensor};

use super::{SPACE_OF_MAP, SPACE_OF_TOKENS, by_name_network, check, click, input, prompt, sampled};
use crate::{ModelConfig, Sam3d};

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
        let prompted = network.prompt_encoder.as_ref().unwrap().forward(4, &maps[3], &prompts);
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
    let [d, h, w] = prompt(&golden, "1pt", config.crop).clicks.unwrap().points()[0].index;
    let embedding = network.encode(&input(config.crop)).unwrap();
    let golden = tensors.get("logits_1pt");
    let shape: Vec<i64> = golden.shape.iter().map(|n| *n as i64).collect();
    let expected = Tensor::from_slice(&golden.values).view(shape.as_slice());
    for index in [[d, w, h], [h, d, w], [w, h, d]] {
        let swapped = [click(index, config.crop)];
        let logits = sampled(&network.decode(&embedding, &swapped).unwrap(), &SPACE_OF_MAP, 2);
        let difference =
            (logits.to_device(Device::Cpu).to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
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
fn an_embedding_is_as_large_as_it_says() {
    let _no_grad = tch::no_grad_guard();
    let config = ModelConfig::tiny();
    let network = Sam3d::new(&config, Device::Cpu, 1).unwrap();
    let (map, contributions) = (32 * 16usize.pow(3), 16 * 32usize.pow(3));
    let two = Tensor::zeros([2, 1, 64, 64, 64], (Kind::Float, Device::Cpu));
    assert_eq!(network.encode(&two).unwrap().bytes(), 2 * 4 * (map + contributions));
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
    let probability = network.predict(&vec![0.5; 96usize.pow(3)], &[click([95, 0, 40], 96)]).unwrap();
    assert_eq!(probability.len(), 96usize.pow(3));
    assert!(probability.iter().all(|p| (0.0..=1.0).contains(p)));
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
    let image = input(config.crop);
    let maps = network.image_encoder.forward(&image);
    let step = golden["sampled_every"].as_i64().unwrap();
    for (level, map) in maps.iter().enumerate() {
        let key = format!("neck_{level}_out");
        check(&key, &sampled(map, &SPACE_OF_MAP, step), &tensors.get(&key), 2e-3);
    }
    let one = [prompt(&golden, "1pt", config.crop)];
    let prompted = network.prompt_encoder.as_ref().unwrap().forward(4, &maps[3], &one);
    let embedding = network.encode_maps(maps, &image);
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
