//! The forward pass at the published sizes.

use sam3d_testkit::{GoldenTensors, golden_json};
use tch::{Kind, Tensor};

use super::{by_name_network, golden_networks, input};
use crate::{Mode, NetworkConfig, network::Network};

/// Required is 1e-3. Correct implementations differ by less than this, so that a difference in between does not pass.
const TOLERANCE: f64 = 1e-4;

/// The part of `xs` that the golden data holds: `sample` is a slice for each axis, as Python writes it.
fn sampled(xs: &Tensor, sample: &str) -> Tensor {
    let axes = sample.trim_matches(['[', ']']).split(',');
    axes.enumerate().fold(xs.shallow_clone(), |xs, (axis, slice)| {
        let parts: Vec<Option<i64>> = slice.split(':').map(|part| part.parse().ok()).collect();
        xs.slice(axis as i64, parts[0], parts[1], parts.get(2).copied().flatten().unwrap_or(1))
    })
}

/// Compares the golden tensors that are called as `key` or begin with its name.
struct Golden {
    name: &'static str,
    json: serde_json::Value,
    tensors: GoldenTensors,
    compared: Vec<String>,
}

impl Golden {
    fn open(name: &'static str) -> Self {
        Self {
            name,
            json: golden_json(&format!("baselines/{name}.json")),
            tensors: GoldenTensors::open(&format!("baselines/{name}.safetensors")),
            compared: Vec::new(),
        }
    }

    fn check(&mut self, key: &str, found: &Tensor) {
        let about = &self.json["tensors"][key];
        if about.is_null() {
            return;
        }
        let full: Vec<i64> = serde_json::from_value(about["full_shape"].clone()).unwrap();
        assert_eq!(found.size(), full, "{} {key}", self.name);
        let golden = self.tensors.get(key);
        let shape: Vec<i64> = golden.shape.iter().map(|n| *n as i64).collect();
        let expected = Tensor::from_slice(&golden.values).view(shape.as_slice());
        let found = sampled(found, about["sample"].as_str().unwrap()).to_kind(Kind::Double);
        let difference = (found - expected).abs().max().double_value(&[]);
        println!("{} {key}: largest difference {difference:.2e}", self.name);
        assert!(difference <= TOLERANCE, "{} {key}: {difference:.2e}", self.name);
        self.compared.push(key.to_owned());
    }

    fn check_statistics(&self, logits: &Tensor) {
        let expected = |key: &str| self.json["logits_stats"][key].as_f64().unwrap();
        for (key, found) in [
            ("mean", logits.mean(Kind::Double)),
            ("std", logits.std(false)),
            ("min", logits.min()),
            ("max", logits.max()),
        ] {
            let difference = (found.double_value(&[]) - expected(key)).abs();
            assert!(difference <= TOLERANCE, "{} {key}: {difference:.2e}", self.name);
        }
    }

    /// Every golden tensor was compared.
    fn finish(mut self) {
        self.compared.sort_unstable();
        assert_eq!(self.compared, self.tensors.names(), "{}", self.name);
    }
}

fn agrees(name: &'static str) {
    if std::env::var_os("SAM3D_FULL_TESTS").is_none() {
        println!("SKIPPED: takes a minute; runs with `cargo xtask test --full`");
        return;
    }
    let _no_grad = tch::no_grad_guard();
    let mut golden = Golden::open(name);
    let (_, mut config) = golden_networks().into_iter().find(|(other, _)| *other == name).unwrap();
    let prefix = format!("{name}.");
    let image = input(&format!("{name}.input"), config.crop());
    let network = by_name_network(&config, &prefix);
    let logits =
        network.forward_observed(&image, Mode::Evaluate, &mut |key, xs| golden.check(key, xs)).unwrap();
    if let Network::UnetrPp(network) = &network.network {
        let stage = &network.stages[0];
        golden.check("epa_0_0", &stage.blocks[0].attend(&stage.embed(&image), Mode::Evaluate).1);
    }
    drop(network);
    golden.check("logits", &logits);
    golden.check("logits_block", &logits);
    golden.check_statistics(&logits);
    if matches!(config, NetworkConfig::SwinUnetr(_)) {
        config.correct().unwrap();
        let corrected = by_name_network(&config, &prefix).forward(&image, Mode::Evaluate).unwrap();
        golden.check("logits_merge_fixed", &corrected);
    }
    golden.finish();
}

#[test]
fn nnunet() {
    agrees("nnunet");
}

#[test]
fn nnunet_v1() {
    agrees("nnunet_v1");
}

#[test]
fn transbts() {
    agrees("transbts");
}

#[test]
fn nnformer() {
    agrees("nnformer");
}

#[test]
fn swin_unetr() {
    agrees("swin_unetr");
}

#[test]
fn unetr_pp() {
    agrees("unetr_pp");
}

#[test]
fn ux_net() {
    agrees("ux_net");
}
