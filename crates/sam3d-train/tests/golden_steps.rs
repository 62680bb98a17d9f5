//! Loss, gradients and six optimiser steps against the golden data.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../sam3d-infer/tests/support/golden_network.rs"]
mod golden_network;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use ndarray::Array3;
use sam3d_data::{
    augment::{AugmentConfig, Sample},
    case_store::{CaseStore, Storage},
    crops::{CropJob, CropResult, Crops, DrawnCrop, Sampling},
    dataset::{Case, CaseId, Dataset},
    loader::{Loader, LoaderConfig},
};
use sam3d_geom::{Extent, Point, Prompt};
use sam3d_model::{CropPrompt, ModelConfig, Module, Precision, Recompute, Sam3d};
use sam3d_testkit::{by_name, golden_json};
use sam3d_train::{
    communicator::Communicator,
    config::TrainConfig,
    fit::{Learner, TrainingCrops},
    loss::{LossConfig, dice_cross_entropy},
    trainable::TrainableNetwork,
};
use tch::{Kind, Tensor};

use self::golden_network::{by_name_network, device};

const SIDE: usize = 64;

/// The network by name, with the relative positions along depth at their start.
fn network() -> Sam3d {
    let mut network = by_name_network(&ModelConfig::tiny());
    network.reset_depth_positions();
    network
}

/// The golden crop, a ball of radius 9.5 around (30, 34, 26), and the click listed as (d, w, h) = (26, 34, 30).
fn sample() -> Sample {
    let values = by_name("input.image", SIDE.pow(3)).iter().map(|u| (2.0 * u) as f32).collect();
    let squared = |i: usize, centre: f64| (i as f64 - centre).powi(2);
    let ball = |(d, h, w)| u8::from(squared(d, 30.0) + squared(h, 34.0) + squared(w, 26.0) <= 9.5 * 9.5);
    Sample {
        image: Array3::from_shape_vec([SIDE; 3], values).unwrap(),
        label: Array3::from_shape_fn([SIDE; 3], ball),
        points: vec![[26, 30, 34]],
    }
}

/// The golden crop as the network takes it.
struct Batch {
    image: Tensor,
    label: Tensor,
    prompts: Vec<CropPrompt>,
}

fn batch() -> Batch {
    let Sample { image, label, points } = sample();
    let side = SIDE as i64;
    let label: Vec<i64> = label.iter().map(|value| i64::from(*value)).collect();
    let points = points.into_iter().map(Point::positive).collect();
    Batch {
        image: Tensor::from_slice(image.as_slice().unwrap())
            .view([1, 1, side, side, side])
            .to_device(device()),
        label: Tensor::from_slice(&label).view([1, side, side, side]).to_device(device()),
        prompts: vec![Prompt::new(points, Extent::new([SIDE; 3]).unwrap()).unwrap().into()],
    }
}

#[test]
fn gradients_of_every_parameter() {
    check_gradients(Recompute::None);
}

#[test]
fn gradients_of_every_parameter_with_recomputed_blocks() {
    check_gradients(Recompute::Blocks);
}

fn check_gradients(recompute: Recompute) {
    let golden = golden_json("tiny.json");
    let trained = golden["train"]["trainable"].as_object().unwrap();
    let (network, batch) = (network(), batch());
    let loss = |logits: &Tensor| dice_cross_entropy(logits, &batch.label, &LossConfig::default());
    let loss = network.backward(&batch.image, &batch.prompts, recompute, loss).unwrap();
    assert!((loss - golden["train"]["loss_step0"].as_f64().unwrap()).abs() <= 1e-4, "loss {loss}");

    let parameters = network.trained_parameters();
    assert_eq!(parameters.keys().collect::<Vec<_>>(), {
        let mut names: Vec<&String> = trained.keys().collect();
        names.sort();
        names
    });
    for (name, tensor) in &parameters {
        let gradient = tensor.grad();
        let expected = &trained[name];
        if expected.is_null() {
            assert!(!gradient.defined(), "{name} must not receive a gradient");
            continue;
        }
        let norm = gradient.norm().double_value(&[]);
        if name.ends_with("k_proj.bias") {
            // A shift of all scores does not change a softmax: the gradient is zero but for rounding.
            assert!(norm < 1e-7, "{name}: {norm}");
            continue;
        }
        let l2 = expected["l2"].as_f64().unwrap();
        assert!((norm - l2).abs() <= 2e-3 * l2, "{name}: norm {norm}, expected {l2}");
        let flat = gradient.flatten(0, -1);
        for (i, value) in expected["first"].as_array().unwrap().iter().enumerate() {
            let difference = (flat.double_value(&[i as i64]) - value.as_f64().unwrap()).abs();
            assert!(difference <= 2e-3 * l2, "{name}[{i}]: differs by {difference}, norm {l2}");
        }
    }
}

/// With products in bfloat16 a gradient is the sum of many rounded ones: modules are compared as a whole, by the angle
/// between their gradients in both precisions and by their norms, which the golden data has.
#[test]
fn gradients_in_bf16_point_the_same_way() {
    let golden = &golden_json("tiny.json")["train"];
    let batch = batch();
    let gradients = |precision: Precision, recompute: Recompute| {
        let mut network = network();
        network.set_precision(precision);
        let loss = |logits: &Tensor| dice_cross_entropy(logits, &batch.label, &LossConfig::default());
        let loss = network.backward(&batch.image, &batch.prompts, recompute, loss).unwrap();
        let of_module = Module::ALL.map(|module| {
            let parameters = network.trained_parameters();
            let of_module = parameters.iter().filter(|(name, _)| name.starts_with(module.prefix()));
            let flat = of_module.map(|(_, tensor)| tensor.grad()).filter(Tensor::defined);
            Tensor::cat(&flat.map(|gradient| gradient.flatten(0, -1)).collect::<Vec<_>>(), 0)
        });
        (loss, of_module)
    };
    let (_, exact) = gradients(Precision::F32, Recompute::None);
    let norms = &golden["grad_norms_before_clip_enc_dec_prompt"][0];
    for recompute in [Recompute::None, Recompute::Blocks] {
        let (loss, rounded) = gradients(Precision::Bf16, recompute);
        let expected = golden["loss_step0"].as_f64().unwrap();
        println!("{recompute:?}: loss {loss}, golden {expected}");
        assert!((loss - expected).abs() <= 2e-3 * expected, "loss {loss}, expected {expected}");
        for (module, place) in [(0, 0), (1, 2), (2, 1)] {
            let (a, b) = (&rounded[module], &exact[module]);
            assert_eq!(a.kind(), Kind::Float);
            let norm = a.norm().double_value(&[]);
            let cosine = a.dot(b).double_value(&[]) / (norm * b.norm().double_value(&[]));
            let expected = norms[place].as_f64().unwrap();
            println!(
                "{recompute:?} {:?}: cosine {cosine}, norm {norm}, golden {expected}",
                Module::ALL[module]
            );
            assert!(cosine > 0.99, "{:?}: cosine {cosine}", Module::ALL[module]);
            assert!(
                (norm - expected).abs() <= 5e-2 * expected,
                "{:?}: {norm} {expected}",
                Module::ALL[module]
            );
        }
    }
}

/// A learner of `network` with the published recipe, whose epochs have one step.
fn learner<'a>(config: &'a TrainConfig, network: Sam3d, ranks: &'a Communicator) -> Learner<'a> {
    let case = Case {
        id: CaseId::new("golden").unwrap(),
        image: PathBuf::new(),
        label: PathBuf::new(),
        label_on_image_voxels: false,
    };
    let preprocessing = Dataset::named("demo").unwrap().preprocessing;
    let crops = || {
        let cases = CaseStore::new(vec![case.clone()], 1, preprocessing, Storage::default());
        let sampling = Sampling::Clicks { augmentation: AugmentConfig::published(false), side: SIDE };
        Arc::new(Crops { cases, sampling, seed: 0 })
    };
    let crops = TrainingCrops { train: crops(), validation: crops() };
    Learner::new(config, TrainableNetwork::Sam3d(Box::new(network)), crops, ranks).unwrap()
}

/// The golden crop as a loader gives it out, once.
fn drawn() -> Loader<CropResult> {
    let draw = |job| Ok(DrawnCrop { job, sample: sample() });
    Loader::new([CropJob { case: 0, draw: 0, place: 0 }], draw, LoaderConfig::with_workers(0))
}

#[test]
fn six_steps() {
    let golden = &golden_json("tiny.json")["train"];
    let (config, ranks) = (TrainConfig::default(), Communicator::alone());
    let mut learner = learner(&config, network(), &ranks);
    for step in 0..6 {
        // The golden run steps its schedule once per optimiser step.
        let factor = learner.factor(step as u64, 0);
        let outcome = learner.step(0, factor, &mut drawn()).unwrap();
        assert_eq!(outcome.cases, ["golden"]);
        let report = outcome.report;
        let expected = golden["losses"][step].as_f64().unwrap();
        assert!((report.loss - expected).abs() <= 1e-4, "step {step}: loss {} {expected}", report.loss);

        let norms = &golden["grad_norms_before_clip_enc_dec_prompt"][step];
        let [encoder, prompt, decoder] = report.grad_norms;
        let tolerances = if step == 0 { [1e-4; 3] } else { [1e-2, 1e-3, 3e-2] };
        for (i, (found, tolerance)) in [encoder, decoder, prompt].into_iter().zip(tolerances).enumerate() {
            let expected = norms[i].as_f64().unwrap();
            let relative = (found - expected).abs() / expected;
            println!("step {step}, norm {i}: {found:.6} (relative difference {relative:.1e})");
            assert!(relative <= tolerance, "step {step}, norm {i}: {found} {expected}");
        }
    }
}

#[test]
fn frozen_parameters_stay_and_a_restored_optimiser_goes_on_alike() {
    let (config, ranks) = (TrainConfig::default(), Communicator::alone());
    let mut learner = learner(&config, network(), &ranks);
    let copies = |tensors: BTreeMap<String, Tensor>| -> BTreeMap<String, Tensor> {
        tensors.into_iter().map(|(name, tensor)| (name, tensor.detach().copy())).collect()
    };
    let before = copies(learner.network.tensors());
    learner.step(0, 1.0, &mut drawn()).unwrap();
    for (name, tensor) in learner.network.tensors() {
        let moved = !tensor.equal(&before[&name]);
        let gradient = tensor.grad();
        assert_eq!(moved, gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0, "{name}");
    }

    let (moments, weights) = (copies(learner.optimiser.moments()), copies(learner.network.tensors()));
    learner.step(0, 1.0, &mut drawn()).unwrap();

    let mut again = Sam3d::new(&ModelConfig::tiny(), device(), 5).unwrap();
    again.load(&weights).unwrap();
    let mut restored = self::learner(&config, again, &ranks);
    restored.optimiser.restore(&moments, 1).unwrap();
    restored.step(0, 1.0, &mut drawn()).unwrap();
    for ((name, a), (_, b)) in learner.network.tensors().iter().zip(restored.network.tensors().iter()) {
        assert!(a.equal(b), "{name}");
    }
}
