//! What holds for every network, tried at the small presets.

use sam3d_model::Provenance;
use tch::{Device, Kind, Tensor};

use super::{by_name_network, input};
use crate::{
    Baseline, BaselineCheckpoint, BaselineMetadata, FORMAT_VERSION, Method, Mode, NetworkConfig,
    NnunetConfig, Size, TransbtsConfig,
};

fn small() -> impl Iterator<Item = NetworkConfig> {
    let mut version_1 = NnunetConfig::small();
    version_1.decoder_bias = false;
    version_1.stages[0].kernel = [1, 3, 3];
    version_1.stages[1].stride = [1, 2, 2];
    Method::ALL.into_iter().map(|method| method.config(Size::Small)).chain([NetworkConfig::Nnunet(version_1)])
}

/// Weights by name, so that layer scales and position tables are large enough to matter.
fn network(config: &NetworkConfig) -> (Baseline, Tensor) {
    let name = config.method().name();
    (by_name_network(config, &format!("{name}.")), input(&format!("{name}.input"), config.crop()))
}

/// Whether the parameter `name` never influences the logits: two unused layers of TransBTS, and the heads of nnU-Net that are
/// for deep supervision.
fn is_unused(config: &NetworkConfig, name: &str) -> bool {
    match config {
        NetworkConfig::Transbts(_) => {
            name.starts_with("linear_encoding.") || name.starts_with("pre_head_ln.")
        }
        NetworkConfig::Nnunet(config) => {
            let last = format!("decoder.seg_layers.{}.", config.decoder_kernels.len() - 1);
            name.starts_with("decoder.seg_layers.") && !name.starts_with(&last)
        }
        _ => false,
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn gradient_reaches_every_parameter_that_matters() {
    for mut config in small() {
        // A dropped branch has no gradient in that step.
        if let NetworkConfig::Nnformer(config) = &mut config {
            config.drop_path_rate = 0.0;
        }
        let (network, image) = network(&config);
        let method = config.method();
        let loss = network.backward(&image, |logits| {
            let [d, h, w] = config.crop().map(|side| side as i64);
            assert_eq!(logits.size(), [1, 2, d, h, w], "{method:?}");
            let weights = input("weights", config.crop());
            (logits.softmax(1, Kind::Float).select(1, 1) * weights.squeeze_dim(1)).sum(Kind::Float)
        });
        assert!(loss.unwrap().is_finite());
        for (name, parameter) in network.parameters() {
            let gradient = parameter.grad();
            let norm = if gradient.defined() { gradient.norm().double_value(&[]) } else { 0.0 };
            assert!(norm.is_finite(), "{method:?} {name}");
            assert_eq!(norm == 0.0, is_unused(&config, &name), "{method:?} {name}: gradient norm {norm}");
        }
    }
}

#[test]
fn in_evaluation_a_batch_is_its_samples_and_nothing_is_random() {
    let _no_grad = tch::no_grad_guard();
    for config in small() {
        let (network, first) = network(&config);
        let second = first.flip([2]) * 0.5;
        let run = |image: &Tensor| network.forward(image, Mode::Evaluate).unwrap();
        let alone = Tensor::cat(&[run(&first), run(&second)], 0);
        let batch = run(&Tensor::cat(&[&first, &second], 0));
        let largest = difference(&batch, &alone);
        assert!(largest < 1e-4, "{:?}: {largest}", config.method());
        assert!(run(&first).equal(&run(&first)), "{:?}", config.method());
    }
}

#[test]
fn predictions_are_the_logits_of_whole_crops() {
    let (network, image) = network(&Method::UnetrPp.config(Size::Small));
    let crop = Vec::<f32>::try_from(image.flatten(0, -1)).unwrap();
    let twice = [crop.as_slice(), crop.as_slice()].concat();
    let found = network.predict(&twice).unwrap();
    let _no_grad = tch::no_grad_guard();
    let logits = network.forward(&image, Mode::Evaluate).unwrap().flatten(0, -1);
    let expected = Tensor::cat(&[&logits, &logits], 0);
    assert!(difference(&Tensor::from_slice(&found), &expected) < 1e-4);
    let error = network.predict(&twice[1..]).unwrap_err().to_string();
    assert!(error.contains("expected [1, 1, 32, 64, 64]"), "{error}");
    assert!(network.forward(&image.transpose(2, 3), Mode::Evaluate).is_err());
}

#[test]
fn corrections_change_the_numbers_and_no_name() {
    let _no_grad = tch::no_grad_guard();
    for config in small() {
        let mut corrected = config.clone();
        if corrected.correct().is_err() {
            continue;
        }
        let (published, image) = network(&config);
        let (fixed, _) = network(&corrected);
        let run = |network: &Baseline| network.forward(&image, Mode::Evaluate).unwrap();
        assert!(difference(&run(&published), &run(&fixed)) > 1e-3, "{:?}", config.method());
        assert_eq!(super::shapes(&published.tensors()), super::shapes(&fixed.tensors()));
    }
}

#[test]
fn dropout_is_off_in_evaluation_unless_asked_for() {
    let _no_grad = tch::no_grad_guard();
    let random = NetworkConfig::Transbts(TransbtsConfig {
        stem_dropout_in_evaluation: true,
        ..TransbtsConfig::small()
    });
    let (network, image) = network(&random);
    let run = || network.forward(&image, Mode::Evaluate).unwrap();
    let first = run();
    // Whole channels are dropped, and of eight the same ones are dropped twice in a row in one of twenty runs.
    assert!((0..30).any(|_| difference(&first, &run()) > 1e-3));
}

#[test]
fn training_remembers_batch_statistics() {
    let (network, image) = network(&Method::Transbts.config(Size::Small));
    let mean = || network.tensors()["bn.running_mean"].copy();
    let before = mean();
    let _ = network.forward(&image, Mode::Evaluate).unwrap();
    assert!(mean().equal(&before));
    let _ = network.forward(&image, Mode::Train).unwrap();
    assert!(difference(&mean(), &before) > 1e-3);
}

#[test]
fn checkpoint_brings_the_network_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    for config in small() {
        let (network, _) = network(&config);
        let metadata = BaselineMetadata {
            format_version: FORMAT_VERSION,
            network: config,
            preprocessing: None,
            provenance: Provenance { source: "a test".into(), ..Provenance::default() },
        };
        BaselineCheckpoint::write(&network, &metadata, &path).unwrap();
        let checkpoint = BaselineCheckpoint::read(&path).unwrap();
        assert_eq!(checkpoint.metadata, metadata);
        let again = checkpoint.into_network(Device::Cpu).unwrap();
        for ((name, a), (other, b)) in network.tensors().iter().zip(again.tensors().iter()) {
            assert!(name == other && a.equal(b), "{name} {other}");
        }
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let build = |method: Method| Baseline::new(&method.config(Size::Small), Device::Cpu, 0).unwrap();
    let mut network = build(Method::UxNet);
    let error = network.load(&build(Method::Nnunet).tensors()).unwrap_err().to_string();
    assert!(error.contains("the first is decoder1.layer.conv1.conv.weight"), "{error}");
    let mut tensors = network.tensors();
    let small = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
    tensors.insert("out.conv.conv.weight".into(), small);
    let error = network.load(&tensors).unwrap_err().to_string();
    assert!(error.contains("out.conv.conv.weight has shape [2, 2], expected [2, 8, 1, 1, 1]"), "{error}");
}
