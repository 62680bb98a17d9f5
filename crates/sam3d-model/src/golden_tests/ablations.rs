//! The paper's ablations: names, numbers, shapes, and what each changes in the result.

use std::collections::BTreeSet;

use sam3d_testkit::golden_json;
use tch::{Device, Tensor};

use super::{by_name_network, click, input, prompt};
use crate::{ModelConfig, Module, PointFeatures, Recompute, Sam3d};

fn names(network: &Sam3d) -> BTreeSet<String> {
    network.parameters().into_keys().collect()
}

fn trained(network: &Sam3d, module: Module) -> usize {
    let parameters = network.trained_parameters();
    parameters.iter().filter(|(name, _)| name.starts_with(module.prefix())).map(|(_, t)| t.numel()).sum()
}

fn aggregating(levels: &[usize]) -> ModelConfig {
    let mut config = ModelConfig::tiny();
    config.decoder.levels = levels.to_vec();
    config
}

fn prompted_at(levels: &[usize]) -> ModelConfig {
    let mut config = ModelConfig::tiny();
    config.prompt.as_mut().unwrap().levels = levels.to_vec();
    config
}

fn positional() -> ModelConfig {
    let mut config = ModelConfig::tiny();
    config.prompt.as_mut().unwrap().features = PointFeatures::Positional;
    config
}

/// Logits of the network by name for the golden click.
fn logits(config: &ModelConfig) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    let click = prompt(&golden_json("tiny.json"), "1pt", config.crop);
    by_name_network(config).forward(&input(config.crop), &[click]).unwrap()
}

fn differ(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn fewer_maps_have_fewer_necks_and_heads() {
    let all = Sam3d::new(&aggregating(&[1, 2, 3, 4]), Device::Cpu, 0).unwrap();
    let some = Sam3d::new(&aggregating(&[2, 4]), Device::Cpu, 0).unwrap();
    let gone: BTreeSet<String> = names(&all).difference(&names(&some)).cloned().collect();
    assert!(names(&some).is_subset(&names(&all)));
    assert!(gone.iter().all(|name| {
        ["neck_3d.0.", "neck_3d.2.", "mlahead.head2.", "mlahead.head4."]
            .iter()
            .any(|part| name.contains(part))
    }));
    // A neck: 48 * 32 + 2 * 32 + 27 * 32 * 32 + 2 * 32.
    let neck = 48 * 32 + 27 * 32 * 32 + 4 * 32;
    assert_eq!(trained(&all, Module::ImageEncoder) - trained(&some, Module::ImageEncoder), 2 * neck);
    // A head of 32 to 16 to 16 channels, and its 16 inputs of the classifier.
    let head = 27 * (32 * 16 + 16 * 16) + 27 * 16 * 16;
    assert_eq!(trained(&all, Module::MaskDecoder) - trained(&some, Module::MaskDecoder), 2 * head);
}

#[test]
fn the_last_map_only() {
    let config = aggregating(&[4]);
    let found = logits(&config);
    assert_eq!(found.size(), [1, 2, 64, 64, 64]);
    assert!(differ(&found, &logits(&ModelConfig::tiny())) > 1e-3);
    let network = Sam3d::new(&config, Device::Cpu, 0).unwrap();
    assert_eq!(names(&network).iter().filter(|name| name.contains("mlahead")).count(), 2);
}

#[test]
fn prompts_at_more_levels_have_an_encoder_each() {
    let published = Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 0).unwrap();
    let network = Sam3d::new(&prompted_at(&[1, 3, 4]), Device::Cpu, 0).unwrap();
    assert_eq!(trained(&network, Module::PromptEncoder), 3 * trained(&published, Module::PromptEncoder));
    assert!(names(&published).is_subset(&names(&network)));
    let levels: BTreeSet<String> = names(&network)
        .difference(&names(&published))
        .map(|name| name.split('.').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["level_1", "level_3"].map(str::to_owned).into());
    let more = logits(&prompted_at(&[1, 2, 3, 4]));
    assert!(differ(&more, &logits(&ModelConfig::tiny())) > 1e-3);
    // Without the deepest, prompts still change the result.
    let shallow = by_name_network(&prompted_at(&[2]));
    let _no_grad = tch::no_grad_guard();
    let embedding = shallow.encode(&input(64)).unwrap();
    let clicked = |index| shallow.decode(&embedding, &[click(index, 64)]).unwrap();
    assert!(differ(&clicked([10, 20, 30]), &clicked([50, 20, 30])) > 1e-4);
}

#[test]
fn positional_encoding_instead_of_the_visual_sampler() {
    let network = by_name_network(&positional());
    assert_eq!(names(&network), names(&by_name_network(&ModelConfig::tiny())));
    assert!(differ(&logits(&positional()), &logits(&ModelConfig::tiny())) > 1e-3);
    // On an empty crop every feature under a click is nearly the same, but places are not.
    let _no_grad = tch::no_grad_guard();
    let embedding = network.encode(&input(64).zeros_like()).unwrap();
    let clicked = |index| network.decode(&embedding, &[click(index, 64)]).unwrap();
    assert!(differ(&clicked([10, 20, 30]), &clicked([30, 20, 10])) > 1e-3);
}

#[test]
fn recomputing_gives_the_same_gradients() {
    for mut config in [aggregating(&[3, 4]), prompted_at(&[2, 4]), positional()] {
        config.encoder.depth = 4;
        config.encoder.global_blocks = vec![];
        let network = Sam3d::new(&config, Device::Cpu, 3).unwrap();
        let click = || [prompt(&golden_json("tiny.json"), "1pt", config.crop)];
        let gradients = |recompute: Recompute| {
            let loss = network
                .backward(&input(config.crop), &click(), recompute, |logits| logits.square().mean(None));
            assert!(loss.unwrap().is_finite());
            let gradients: Vec<(String, Tensor)> = network
                .trained_parameters()
                .into_iter()
                .filter(|(_, tensor)| tensor.grad().defined())
                .map(|(name, mut tensor)| {
                    let gradient = tensor.grad().copy();
                    tensor.zero_grad();
                    (name, gradient)
                })
                .collect();
            gradients
        };
        let plain = gradients(Recompute::None);
        let recomputed = gradients(Recompute::Blocks);
        assert_eq!(plain.len(), recomputed.len());
        for ((name, a), (_, b)) in plain.iter().zip(&recomputed) {
            let norm = a.norm().double_value(&[]);
            assert!((a - b).norm().double_value(&[]) <= 1e-3 * norm + 1e-9, "{name}");
        }
    }
}
