//! Names, numbers and forward passes of every way of tuning.

use std::{collections::BTreeMap, fmt::Write as _};

use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::{
    EncoderConfig, ModelConfig, Role, Tuning, encoder::ImageEncoder, precision::Precision, role,
    tch_ext::Path,
};

fn small(tuning: Tuning) -> EncoderConfig {
    EncoderConfig {
        embed_dim: 24,
        depth: 4,
        num_heads: 2,
        token_grid: 8,
        window: 4,
        neck_channels: 8,
        global_blocks: vec![],
        tuning,
        ..ModelConfig::tiny().encoder
    }
}

/// The tensors of an encoder of `config`, by name.
fn encoder(config: &EncoderConfig) -> (VarStore, ImageEncoder) {
    tch::manual_seed(4);
    let store = VarStore::new(Device::Cpu);
    let encoder = ImageEncoder::new(&(Path::root(&store, 4) / "image_encoder"), config, &[1, 2, 3, 4]);
    (store, encoder)
}

fn sorted(store: &VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().collect()
}

/// Values trained in an encoder of `config`. All blocks of a kind are of one size, so encoders with few of them say how
/// large one with many is, and nothing of the published size is made.
fn count_trained(config: &EncoderConfig, counted: impl Fn(&str) -> bool) -> usize {
    let count = |depth: usize, global_blocks: Vec<usize>| -> [usize; 2] {
        let config = EncoderConfig { depth, global_blocks, ..config.clone() };
        let (store, _) = encoder(&config);
        let trained = |name: &String| role(name, config.tuning) == Role::Trained && counted(name);
        let sum = |is_block: bool| {
            store
                .variables()
                .iter()
                .filter(|(name, _)| name.contains(".blocks.") == is_block && trained(name))
                .map(|(_, tensor)| tensor.numel())
                .sum()
        };
        [sum(false), sum(true)]
    };
    // Of four blocks each is the last of a stage; of eight every other one is.
    let [rest, four] = count(4, vec![]);
    let [_, eight] = count(8, vec![]);
    let (last, inner) = (four, eight - four);
    let [_, global] = count(4, vec![3]);
    rest + last + inner / 4 * (config.depth - 4) + (global - four) * config.global_blocks.len()
}

/// The published numbers, in millions. Theirs for this method holds the four necks of 7.87 M, which leaves the others no
/// room for any: they are counted without, and full fine-tuning likewise.
#[test]
fn tuned_parameters_are_the_published_ones() {
    let published = [
        (Tuning::SpatialAdapter, 15.21),
        (Tuning::Full, 89.67),
        (Tuning::Adapter, 7.61),
        (Tuning::ProTuning, 7.17),
        (Tuning::StAdapter, 7.15),
        (Tuning::MedTuning, 11.10),
    ];
    for (tuning, expected) in published {
        let config = EncoderConfig { tuning, ..ModelConfig::vit_b().encoder };
        let with_necks = tuning == Tuning::SpatialAdapter;
        let count = count_trained(&config, |name| with_necks || !name.contains(".neck_3d."));
        let millions = count as f64 / 1e6;
        println!("{tuning:?}: {millions:.3} M, published {expected} M");
        assert!((millions / expected - 1.0).abs() < 0.02, "{tuning:?}: {millions} M, published {expected} M");
    }
}

#[test]
fn names_of_what_is_tuned() {
    let mut text = String::new();
    for tuning in Tuning::ALL {
        let (store, _) = encoder(&EncoderConfig { depth: 8, ..small(tuning) });
        let _ = writeln!(text, "{tuning:?}");
        // Block 1 is the last of a stage, block 2 is not.
        for (name, tensor) in sorted(&store) {
            let place = name.strip_prefix("image_encoder.blocks.").and_then(|name| name.split_once('.'));
            if place.is_some_and(|(index, _)| index == "1" || index == "2") {
                let trained = role(&name, tuning) == Role::Trained;
                let mark = if trained { "trained" } else { "frozen" };
                let _ = writeln!(text, "  {mark:7} {} {:?}", &name["image_encoder.".len()..], tensor.size());
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_way_gives_four_maps_and_the_same_gradients_when_recomputed() {
    for tuning in Tuning::ALL {
        let config = small(tuning);
        let (store, encoder) = encoder(&config);
        for (name, tensor) in sorted(&store) {
            let _ = tensor.set_requires_grad(role(&name, tuning) == Role::Trained);
        }
        let image = Tensor::randn([2, 1, 16, 16, 16], (Kind::Float, Device::Cpu));
        let weights = Tensor::randn([2, 8, 8, 8, 8], (Kind::Float, Device::Cpu));
        let loss = |maps: &[Tensor]| {
            assert_eq!(maps.len(), 4);
            maps.iter().map(|map| (map * &weights).sum(Kind::Float)).reduce(|a, b| a + b).unwrap()
        };
        let gradients = || {
            let mut found = BTreeMap::new();
            for (name, mut tensor) in sorted(&store) {
                if tensor.requires_grad() {
                    assert!(tensor.grad().defined(), "{tuning:?}: {name} has no gradient");
                    found.insert(name, tensor.grad().copy());
                    tensor.zero_grad();
                }
            }
            found
        };
        loss(&encoder.forward(&image)).backward();
        let plain = gradients();
        let (maps, tape) = encoder.forward_taped(&image);
        loss(&maps).backward();
        drop(maps);
        encoder.backward_taped(&image, tape);
        for (name, gradient) in gradients() {
            let difference = (&gradient - &plain[&name]).norm().double_value(&[]);
            let norm = plain[&name].norm().double_value(&[]);
            assert!(difference <= 1e-4 * norm + 1e-6, "{tuning:?} {name}: {difference} of {norm}");
        }
    }
}

/// Adapters that start at zero leave SAM's features as they are.
#[test]
fn tuning_starts_from_the_same_features_where_it_says_so() {
    let image = Tensor::randn([1, 1, 16, 16, 16], (Kind::Float, Device::Cpu));
    let (full_store, full) = encoder(&small(Tuning::Full));
    let shared = sorted(&full_store);
    let expected = full.forward(&image);
    for tuning in [Tuning::ProTuning, Tuning::StAdapter] {
        let (store, encoder) = encoder(&small(tuning));
        let _no_grad = tch::no_grad_guard();
        for (name, mut tensor) in sorted(&store) {
            if let Some(own) = shared.get(&name) {
                tensor.copy_(own);
            } else if name.ends_with("up.bias") {
                let _ = tensor.zero_();
            }
        }
        for (found, expected) in encoder.forward(&image).iter().zip(&expected) {
            let difference = (found - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{tuning:?}: {difference}");
        }
    }
}

#[test]
fn products_may_be_in_half_precision() {
    let _no_grad = tch::no_grad_guard();
    let image = Tensor::randn([1, 1, 16, 16, 16], (Kind::Float, Device::Cpu));
    for tuning in Tuning::ALL {
        let (_store, encoder) = encoder(&small(tuning));
        let plain = encoder.forward(&image);
        let _precision = Precision::Bf16.enter();
        for (found, expected) in encoder.forward(&image).iter().zip(&plain) {
            let difference = (found - expected).norm().double_value(&[]) / expected.norm().double_value(&[]);
            assert!(difference > 0.0 && difference < 0.05, "{tuning:?}: {difference}");
        }
    }
}
