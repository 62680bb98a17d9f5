//! Dense prompts: what they add to the network, and that untrained they change no result.

use std::collections::{BTreeMap, BTreeSet};

use sam3d_testkit::{golden_json, golden_path};
use tch::{Device, Tensor};

use super::{by_name_network, click, input, prompt};
use crate::{
    Checkpoint, ConvertOptions, CropPrompt, DenseChannel, DensePrompts, EncoderConfig, FORMAT_VERSION,
    Metadata, ModelConfig, ModelError, Provenance, Recompute, Role, Sam3d, Tuning, convert,
};

fn with_dense(mut config: ModelConfig) -> ModelConfig {
    config.prompt.as_mut().unwrap().enable_dense_prompts();
    config
}

/// A network of four blocks on crops of side 16 for what need not be golden.
fn small(tuning: Tuning) -> ModelConfig {
    let tiny = ModelConfig::tiny();
    ModelConfig {
        crop: 16,
        encoder: EncoderConfig {
            embed_dim: 24,
            depth: 4,
            num_heads: 2,
            token_grid: 8,
            window: 4,
            global_blocks: vec![],
            tuning,
            ..tiny.encoder
        },
        ..tiny
    }
}

/// The network of `config`, its parameters by name but for those that dense prompts add, which are as they start.
fn untrained(config: &ModelConfig) -> Sam3d {
    let mut network = Sam3d::new(&with_dense(config.clone()), Device::Cpu, 3).unwrap();
    network.load_some(&by_name_network(config).parameters()).unwrap();
    network
}

/// The network of `config` with dense prompts, every parameter by name.
fn trained(config: &ModelConfig) -> Sam3d {
    by_name_network(&with_dense(config.clone()))
}

/// A ball on the crop's grid in two of the channels.
fn ball(side: usize) -> DensePrompts {
    let squared = |i: usize| (i as f64 - 0.4 * side as f64).powi(2);
    let radius = 0.2 * side as f64;
    let values: Vec<f32> = (0..side.pow(3))
        .map(|i| [i / side / side, i / side % side, i % side])
        .map(|index| f32::from(u8::from(index.into_iter().map(squared).sum::<f64>() <= radius * radius)))
        .collect();
    let dense = DensePrompts::default().with(DenseChannel::PreviousMask, &values).unwrap();
    dense.with(DenseChannel::ScribbleOutside, &values).unwrap()
}

/// Logits of `network` for `prompts` on the golden input, without a graph.
fn logits(network: &Sam3d, prompts: &[CropPrompt]) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    network.forward(&input(network.config().crop), prompts).unwrap()
}

fn shapes(network: &Sam3d) -> BTreeMap<String, Vec<i64>> {
    network.parameters().into_iter().map(|(name, tensor)| (name, tensor.size())).collect()
}

#[test]
fn the_parameters_they_add() {
    let names = |config: &ModelConfig| shapes(&Sam3d::new(config, Device::Cpu, 0).unwrap());
    let mut expected = names(&ModelConfig::tiny());
    let found = names(&with_dense(ModelConfig::tiny()));
    let added: [(&str, &[i64]); 11] = [
        ("dense.0.weight", &[8, 5, 2, 2, 2]),
        ("dense.0.bias", &[8]),
        ("dense.1.weight", &[8]),
        ("dense.1.bias", &[8]),
        ("dense.3.weight", &[32, 8, 2, 2, 2]),
        ("dense.3.bias", &[32]),
        ("dense.4.weight", &[32]),
        ("dense.4.bias", &[32]),
        ("dense.6.weight", &[32, 32, 1, 1, 1]),
        ("dense.6.bias", &[32]),
        ("point_labels", &[2, 32]),
    ];
    expected.extend(added.map(|(name, shape)| (format!("prompt_encoder.{name}"), shape.to_vec())));
    assert_eq!(found, expected);
    let network = Sam3d::new(&with_dense(ModelConfig::tiny()), Device::Cpu, 0).unwrap();
    for (name, _) in added {
        assert_eq!(network.role(&format!("prompt_encoder.{name}")), Role::Trained);
    }
    // Prompted at more levels, there is still one encoder of dense prompts, and an embedding of labels for each level.
    let mut more = with_dense(ModelConfig::tiny());
    more.prompt.as_mut().unwrap().levels = vec![2, 4];
    let more: BTreeSet<String> = names(&more)
        .into_keys()
        .filter(|name| name.contains("level_2") && !name.contains("layers"))
        .collect();
    let level = |name: &str| format!("prompt_encoder.level_2.{name}");
    assert_eq!(more, [level("positional_encoding_gaussian_matrix"), level("point_labels")].into());
}

#[test]
fn untrained_they_leave_the_golden_logits_bit_for_bit() {
    let golden = golden_json("tiny.json");
    let config = ModelConfig::tiny();
    let (off, on) = (by_name_network(&config), untrained(&config));
    for count in ["1pt", "10pt"] {
        let clicks = prompt(&golden, count, config.crop);
        let expected = logits(&off, std::slice::from_ref(&clicks));
        let both = CropPrompt { dense: ball(config.crop), ..clicks.clone() };
        assert!(logits(&on, &[clicks]).equal(&expected), "{count}");
        assert!(logits(&on, &[both]).equal(&expected), "{count} with dense prompts");
    }
}

#[test]
fn untrained_they_change_nothing_in_any_variant() {
    let variants = Tuning::ALL.map(small).into_iter().chain([{
        let mut positional = small(Tuning::SpatialAdapter);
        let prompt = positional.prompt.as_mut().unwrap();
        (prompt.features, prompt.levels) = (crate::PointFeatures::Positional, vec![2, 4]);
        positional
    }]);
    for config in variants {
        let clicks = click([3, 8, 12], config.crop);
        let expected = logits(&by_name_network(&config), std::slice::from_ref(&clicks));
        let both = CropPrompt { dense: ball(config.crop), ..clicks.clone() };
        for prompt in [clicks.clone(), both.clone()] {
            let found = logits(&untrained(&config), &[prompt]);
            assert!(found.equal(&expected), "{:?}", config.encoder.tuning);
        }
        // Trained, they say something.
        let network = trained(&config);
        let difference = logits(&network, &[clicks]) - logits(&network, &[both]);
        assert!(difference.abs().max().double_value(&[]) > 1e-4, "{:?}", config.encoder.tuning);
    }
}

#[test]
fn clicks_drawn_as_scribbles_are_scribbles() {
    let plain = small(Tuning::SpatialAdapter);
    let mut drawing = with_dense(plain.clone());
    drawing.prompt.as_mut().unwrap().clicks_as_scribbles = true;
    let side = plain.crop;
    let clicks = click([3, 8, 12], side);
    // Untrained, they change nothing.
    let mut network = Sam3d::new(&drawing, Device::Cpu, 3).unwrap();
    network.load_some(&by_name_network(&plain).parameters()).unwrap();
    let expected = logits(&by_name_network(&plain), std::slice::from_ref(&clicks));
    assert!(logits(&network, std::slice::from_ref(&clicks)).equal(&expected));
    // Trained, they are what a network that does not draw them makes of the same strokes.
    let network = by_name_network(&drawing);
    let found = logits(&network, std::slice::from_ref(&clicks));
    let dense = DensePrompts::default().with_clicks(clicks.clicks.as_ref().unwrap());
    let strokes = CropPrompt { dense, ..clicks.clone() };
    assert!(logits(&trained(&plain), &[strokes]).equal(&found));
    assert!(!logits(&trained(&plain), &[clicks]).equal(&found));
}

#[test]
fn clicks_are_not_needed_but_a_prompt_is() {
    let config = small(Tuning::SpatialAdapter);
    let network = trained(&config);
    let side = config.crop;
    let only_dense = CropPrompt { clicks: None, dense: ball(side) };
    let alone = logits(&network, std::slice::from_ref(&only_dense));
    assert_eq!(alone.isfinite().all().int64_value(&[]), 1);
    let both = CropPrompt { dense: ball(side), ..click([3, 8, 12], side) };
    let together = logits(&network, std::slice::from_ref(&both));
    assert!((&alone - &together).abs().max().double_value(&[]) > 1e-4);

    // Samples of a batch do not depend on each other, whatever prompts they have.
    let _no_grad = tch::no_grad_guard();
    let prompts = [only_dense, both, click([3, 8, 12], side)];
    let image = input(side);
    let batch = network.forward(&Tensor::cat(&[&image, &image, &image], 0), &prompts).unwrap();
    for (i, expected) in [alone, together, logits(&network, &prompts[2..])].iter().enumerate() {
        let difference = (batch.narrow(0, i as i64, 1) - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "sample {i}: {difference}");
    }

    let error = network.forward(&image, &[CropPrompt::default()]).unwrap_err();
    assert!(matches!(error, ModelError::PromptMissing { sample: 0 }), "{error}");
    let error = by_name_network(&config).forward(&image, &prompts[..1]).unwrap_err();
    assert!(matches!(error, ModelError::DensePromptsUnsupported), "{error}");
    let larger = CropPrompt { clicks: None, dense: ball(side + 1) };
    let error = network.forward(&image, &[larger]).unwrap_err();
    assert!(matches!(error, ModelError::DenseSize { found, .. } if found == 17usize.pow(3)), "{error}");
}

/// Norms of the gradients of what dense prompts add, for one prompt.
fn gradients(network: &Sam3d, prompt: &CropPrompt, recompute: Recompute) -> BTreeMap<String, f64> {
    let image = input(network.config().crop);
    let prompts = std::slice::from_ref(prompt);
    network.backward(&image, prompts, recompute, |logits| logits.square().mean(None)).unwrap();
    let added = |name: &str| name.starts_with("prompt_encoder.dense.") || name.ends_with("point_labels");
    let mut norms = BTreeMap::new();
    for (name, mut tensor) in network.trained_parameters().into_iter().filter(|(name, _)| added(name)) {
        assert!(tensor.grad().defined(), "{name} has no gradient");
        norms.insert(name, tensor.grad().norm().double_value(&[]));
        tensor.zero_grad();
    }
    assert_eq!(norms.len(), 11);
    norms
}

#[test]
fn gradients_reach_all_they_add() {
    for tuning in Tuning::ALL {
        let config = small(tuning);
        let network = trained(&config);
        let both = CropPrompt { dense: ball(config.crop), ..click([3, 8, 12], config.crop) };
        for (name, norm) in gradients(&network, &both, Recompute::None) {
            assert!(norm > 0.0, "{tuning:?}: {name}");
        }
        // At the start the projection is zero, and is what learns first.
        for (name, norm) in gradients(&untrained(&config), &both, Recompute::None) {
            let learns = name.contains("dense.6.") || name.ends_with("point_labels");
            assert_eq!(norm > 0.0, learns, "{tuning:?}: {name} {norm}");
        }
    }
}

#[test]
fn each_kind_of_prompt_alone_gives_every_parameter_a_gradient() {
    let config = small(Tuning::SpatialAdapter);
    let network = trained(&config);
    let only_dense = CropPrompt { clicks: None, dense: ball(config.crop) };
    for prompt in [only_dense, click([3, 8, 12], config.crop)] {
        let plain = gradients(&network, &prompt, Recompute::None);
        for (name, norm) in gradients(&network, &prompt, Recompute::Blocks) {
            assert!((norm - plain[&name]).abs() <= 1e-4 * plain[&name] + 1e-9, "{name}");
        }
    }
}

#[test]
fn several_rounds_on_one_encoding_have_the_gradient_of_their_loss() {
    let config = small(Tuning::SpatialAdapter);
    let network = trained(&config);
    let image = input(config.crop);
    let (first, then) =
        (click([3, 8, 12], config.crop), CropPrompt { clicks: None, dense: ball(config.crop) });
    let all = || -> Tensor {
        let gradients = network.trained_parameters().into_values().map(|mut tensor| {
            let gradient = tensor.grad();
            let copy = gradient.defined().then(|| gradient.flatten(0, -1).copy());
            tensor.zero_grad();
            copy
        });
        Tensor::cat(&gradients.flatten().collect::<Vec<_>>(), 0)
    };
    let square = |logits: &Tensor| logits.square().mean(None);
    network.backward(&image, std::slice::from_ref(&then), Recompute::None, square).unwrap();
    let expected = all();
    for recompute in [Recompute::None, Recompute::Blocks] {
        let loss: Result<f64, ModelError> = network.backward_embedded(&image, recompute, |embedding| {
            {
                let _no_grad = tch::no_grad_guard();
                let _first = network.decode(embedding, std::slice::from_ref(&first))?;
            }
            Ok(square(&network.decode(embedding, std::slice::from_ref(&then))?))
        });
        assert!(loss.unwrap().is_finite());
        let difference = (all() - &expected).norm().double_value(&[]);
        assert!(difference <= 1e-4 * expected.norm().double_value(&[]), "{recompute:?}: {difference}");
    }
}

#[test]
fn a_checkpoint_keeps_them() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("dense.safetensors");
    let network = trained(&small(Tuning::SpatialAdapter));
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model: network.config().clone(),
        preprocessing: None,
        provenance: Provenance::default(),
        base: None,
    };
    Checkpoint::write(&network, &metadata, &path).unwrap();
    let again = Checkpoint::read(&path).unwrap().into_network(Device::Cpu).unwrap();
    assert!(again.config().prompt.as_ref().unwrap().dense_prompts);
    let prompts = [CropPrompt { clicks: None, dense: ball(16) }];
    assert!(logits(&again, &prompts).equal(&logits(&network, &prompts)));
    // Asking for what is there already changes nothing.
    let asked = ConvertOptions { dense_prompts: true, ..ConvertOptions::default() };
    let (converted, _) = convert(&path, &asked).unwrap();
    assert!(logits(&converted, &prompts).equal(&logits(&network, &prompts)));
}

#[test]
fn they_are_added_to_other_weights_where_that_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let asked = ConvertOptions { dense_prompts: true, ..ConvertOptions::default() };
    let clicks = [prompt(&golden_json("tiny.json"), "1pt", 64)];
    let (published, _) = convert(&golden_path("tiny_adapter.pth.tar"), &ConvertOptions::default()).unwrap();
    let expected = logits(&published, &clicks);
    let (network, metadata) = convert(&golden_path("tiny_adapter.pth.tar"), &asked).unwrap();
    assert!(metadata.model.prompt.as_ref().unwrap().dense_prompts);
    assert!(logits(&network, &clicks).equal(&expected));

    // A checkpoint of this project, with and without being asked.
    let path = place.path().join("published.safetensors");
    let metadata = Metadata { model: ModelConfig::tiny(), ..metadata };
    Checkpoint::write(&published, &metadata, &path).unwrap();
    let (network, metadata) = convert(&path, &asked).unwrap();
    assert!(metadata.model.prompt.as_ref().unwrap().dense_prompts);
    assert!(logits(&network, &clicks).equal(&expected));
    let (_, metadata) = convert(&path, &ConvertOptions::default()).unwrap();
    assert_eq!(metadata.model, ModelConfig::tiny());
    let mut network = Sam3d::new(&with_dense(ModelConfig::tiny()), Device::Cpu, 0).unwrap();
    let error = network.load(&published.parameters()).unwrap_err().to_string();
    assert!(error.contains("11 tensors are missing"), "{error}");
    // What dense prompts add is added as a whole.
    let mut partial = Sam3d::new(&with_dense(ModelConfig::tiny()), Device::Cpu, 0).unwrap().parameters();
    partial.remove("prompt_encoder.dense.4.bias");
    let file = place.path().join("partial.safetensors");
    crate::TensorFile { tensors: partial, ..Default::default() }.write(&file).unwrap();
    let error = convert(&file, &asked).unwrap_err().to_string();
    assert!(error.contains("prompt_encoder.dense.4.bias is missing"), "{error}");

    // The prompt-free network has no place for them.
    let mut auto = by_name_network(&ModelConfig::tiny().auto(64)).parameters();
    auto.retain(|name, _| !name.starts_with("prompt_encoder."));
    let file = place.path().join("auto.safetensors");
    crate::TensorFile { tensors: auto, ..Default::default() }.write(&file).unwrap();
    let error = convert(&file, &asked).unwrap_err().to_string();
    assert!(error.contains("auto.safetensors") && error.contains("prompt-free"), "{error}");
}
