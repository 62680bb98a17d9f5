//! Every variant of the network learns: the loss falls in a few steps, and what is to be trained moves.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use sam3d_geom::{Extent, Point, Prompt};
use sam3d_model::{
    CropPrompt, DenseChannel, DensePrompts, EncoderConfig, ModelConfig, PointFeatures, Recompute, Sam3d,
    Tuning,
};
use sam3d_train::{
    optimiser::{AdamW, AdamWConfig},
    step::{Batch, StepConfig, add_gradients, update},
    variant::VariantConfig,
};
use tch::{Device, Tensor};

const SIDE: i64 = 32;
const STEPS: u64 = 12;

/// A network of four blocks of 24 channels on 8^3 tokens.
fn model(variant: &VariantConfig) -> ModelConfig {
    let tiny = ModelConfig::tiny();
    let mut model = ModelConfig {
        crop: SIDE as usize,
        encoder: EncoderConfig {
            embed_dim: 24,
            depth: 4,
            num_heads: 2,
            token_grid: 8,
            window: 4,
            sam_window: 4,
            global_blocks: vec![3],
            neck_channels: 32,
            ..tiny.encoder
        },
        ..tiny
    };
    variant.apply(&mut model);
    model
}

/// The network of `model`, always the same.
fn network(model: &ModelConfig) -> Sam3d {
    Sam3d::new(model, Device::Cpu, 11).unwrap()
}

/// A bright ball in noise, with a click in its middle and itself as a mask if the network takes them.
fn batch(model: &ModelConfig) -> Batch {
    let inside = |i: i64| {
        let (d, h, w) = (i / (SIDE * SIDE), i / SIDE % SIDE, i % SIDE);
        [(d, 15), (h, 18), (w, 12)].iter().map(|(n, centre)| (n - centre).pow(2)).sum::<i64>() <= 49
    };
    let label: Vec<i64> = (0..SIDE.pow(3)).map(|i| i64::from(inside(i))).collect();
    let noise = sam3d_testkit::by_name("variants.noise", label.len());
    let image: Vec<f32> =
        label.iter().zip(noise).map(|(label, noise)| (*label as f64 * 1.5 + 0.5 * noise) as f32).collect();
    let extent = Extent::new([SIDE as usize; 3]).unwrap();
    let prompt = |dense: bool| {
        let clicks = Some(Prompt::new(vec![Point::positive([15, 18, 12])], extent).unwrap());
        let mask: Vec<f32> = label.iter().map(|label| if dense { *label as f32 } else { 0.0 }).collect();
        CropPrompt { clicks, dense: DensePrompts::default().with(DenseChannel::PreviousMask, &mask).unwrap() }
    };
    Batch {
        image: Tensor::from_slice(&image).view([1, 1, SIDE, SIDE, SIDE]),
        label: Tensor::from_slice(&label).view([1, SIDE, SIDE, SIDE]),
        prompts: model.prompt.iter().map(|config| prompt(config.dense_prompts)).collect(),
    }
}

/// Parameters that published layouts have and that no loss depends on: an attention that is never called, biases that a
/// softmax ignores, and the product with what the first adapter of Med-tuning is handed, which is zero.
fn is_unused(name: &str) -> bool {
    name.contains("cross_attn_token_to_image")
        || name.ends_with("k_proj.bias")
        || name == "image_encoder.blocks.0.med_adapter.between.carry.weight"
}

fn check(what: &str, variant: &VariantConfig, recompute: Recompute) {
    let model = model(variant);
    let network = network(&model);
    let before: BTreeMap<String, Tensor> =
        network.parameters().into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect();
    let config = AdamWConfig { learning_rate: 2e-3, ..AdamWConfig::default() };
    let mut optimiser = AdamW::new(&network, config);
    let (batch, step) = (batch(&model), StepConfig { recompute, ..StepConfig::default() });
    let mut take_step = || {
        optimiser.zero_grad();
        let loss = add_gradients(&network, &batch, &step, 1.0).unwrap();
        let gradients = optimiser.gradients();
        update(&mut optimiser, &gradients, loss, 1.0).loss
    };
    let losses: Vec<f64> = (0..STEPS).map(|_| take_step()).collect();
    assert!(losses[losses.len() - 1] < 0.9 * losses[0], "{what}: {losses:?}");
    let trained = network.trained_parameters();
    for (name, tensor) in network.parameters() {
        let moved = !tensor.equal(&before[&name]);
        let expected = trained.contains_key(&name);
        assert!(moved == expected || (expected && is_unused(&name)), "{what}: {name} moved: {moved}");
    }
}

#[test]
fn every_way_of_tuning_learns() {
    for tuning in Tuning::ALL {
        let variant = VariantConfig { tuning: Some(tuning), ..VariantConfig::default() };
        check(&format!("{tuning:?}"), &variant, Recompute::None);
        // The comparison of the paper: without prompts.
        let variant = VariantConfig { auto: true, ..variant };
        check(&format!("{tuning:?}, auto"), &variant, Recompute::Blocks);
    }
}

#[test]
fn every_ablation_learns() {
    let variants = [
        VariantConfig { aggregated_levels: Some(vec![4]), ..VariantConfig::default() },
        VariantConfig { aggregated_levels: Some(vec![2, 4]), ..VariantConfig::default() },
        VariantConfig { prompt_levels: Some(vec![1, 2, 3, 4]), ..VariantConfig::default() },
        VariantConfig { prompt_levels: Some(vec![3]), ..VariantConfig::default() },
        VariantConfig { point_features: Some(PointFeatures::Positional), ..VariantConfig::default() },
        VariantConfig { dense_prompts: true, ..VariantConfig::default() },
        VariantConfig { clicks_as_scribbles: true, ..VariantConfig::default() },
    ];
    for variant in variants {
        check(&format!("{variant:?}"), &variant, Recompute::None);
    }
}

#[test]
fn gradients_are_cut_at_the_published_norms() {
    let norms = |variant: &VariantConfig, config: AdamWConfig| {
        let model = model(variant);
        let network = network(&model);
        let optimiser = AdamW::new(&network, config);
        let large: BTreeMap<String, Tensor> = network
            .trained_parameters()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.detach().ones_like() * 100.0))
            .collect();
        let before = optimiser.clip(&large);
        assert!(before[0] > 100.0);
        let squares = |(name, gradient): (&String, &Tensor)| {
            if name.starts_with("image_encoder.") {
                gradient.square().sum(None).double_value(&[])
            } else {
                0.0
            }
        };
        large.iter().map(squares).sum::<f64>().sqrt()
    };
    let auto = VariantConfig { auto: true, ..VariantConfig::default() };
    let given = AdamWConfig { max_grad_norm: Some(3.0), ..AdamWConfig::default() };
    for (found, expected) in [
        (norms(&VariantConfig::default(), AdamWConfig::default()), 1.0),
        (norms(&auto, AdamWConfig::default()), 12.0),
        (norms(&auto, given), 3.0),
    ] {
        assert!((found / expected - 1.0).abs() < 1e-3, "{found}, expected {expected}");
    }
}
