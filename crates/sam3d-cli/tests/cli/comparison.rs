//! The comparison networks, as one uses them.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::path::Path;

use sam3d_baselines::{Baseline, BaselineCheckpoint, BaselineMetadata, FORMAT_VERSION, Method, Size};
use sam3d_data::{
    dataset::{Dataset, PreparedDataset, Splits, find_cases},
    phantom,
    splits::Split,
};
use sam3d_model::{Provenance, TensorFile};
use serde_json::Value;
use tch::Device;
use tempfile::tempdir;

use crate::support::{failure_of, sam3d, stdout_of};

/// One phantom, for everything.
fn prepare(directory: &Path) -> Dataset {
    phantom::write_demo(directory, 0, 1).unwrap();
    let dataset = Dataset::named("demo").unwrap();
    let cases = find_cases(&dataset, directory).unwrap();
    let ids = vec![cases[0].id.clone()];
    let split = Split { train: ids.clone(), validation: ids.clone(), test: ids };
    let splits = Splits { seed: 0, folds: vec![split] };
    PreparedDataset { dataset: dataset.clone(), cases, splits }.write(directory).unwrap();
    dataset
}

/// Weights as the published training code names them, in a file of tensors: converted, described, evaluated.
#[test]
fn published_weights_become_a_checkpoint() {
    let place = tempdir().unwrap();
    prepare(&place.path().join("data/demo"));
    let config = Method::Transbts.config(Size::Small);
    let tensors = Baseline::new(&config, Device::Cpu, 0).unwrap().tensors();
    let saved = TensorFile { tensors, ..TensorFile::default() };
    saved.write(&place.path().join("published.safetensors")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = sam3d(place.path());
        command.args(arguments);
        command
    };
    let convert = ["convert", "--in", "published.safetensors", "--out", "w.safetensors", "--method"];
    let error = failure_of(run(&convert).arg("unetr_pp"), 1);
    assert!(error.contains("does not fit UNETR++") && error.contains("published.safetensors"), "{error}");
    let error = failure_of(run(&convert).args(["transbts", "--corrected"]), 1);
    assert!(error.contains("--corrected") && error.contains("no fault to correct"), "{error}");
    assert!(!place.path().join("w.safetensors").exists());

    let text = stdout_of(run(&convert).arg("transbts"));
    assert!(text.contains("TransBTS, crop 32 x 64 x 64"), "{text}");
    insta::assert_snapshot!(stdout_of(&mut run(&["info", "w.safetensors"])));
    let listed: Value = serde_json::from_str(&stdout_of(&mut run(&["info", ".", "--json"]))).unwrap();
    assert_eq!(listed[0]["network"]["method"], "transbts");
    assert_eq!(listed.as_array().unwrap().len(), 1);

    let eval = ["eval", "--weights", "w.safetensors", "--method", "transbts", "--data", "data/demo"];
    let error = failure_of(&mut run(&eval), 1);
    assert!(error.contains("--dataset"), "{error}");
    let scores = stdout_of(run(&eval).args(["--dataset", "demo", "--overlap=0", "--json"]));
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert!(scores["summary"][0]["dice"]["cases"]["mean"].is_number(), "{scores}");
}

#[test]
fn untrained_weights_are_evaluated_without_clicks() {
    let place = tempdir().unwrap();
    let dataset = prepare(&place.path().join("data/demo"));
    let config = Method::UnetrPp.config(Size::Small);
    let network = Baseline::new(&config, Device::Cpu, 0).unwrap();
    let metadata = BaselineMetadata {
        format_version: FORMAT_VERSION,
        network: config,
        preprocessing: Some(sam3d_data::dataset::comparison_preprocessing(&dataset).unwrap()),
        provenance: Provenance::default(),
    };
    BaselineCheckpoint::write(&network, &metadata, &place.path().join("w.safetensors")).unwrap();
    let eval = |extra: &[&str]| {
        let mut command = sam3d(place.path());
        command.args(["eval", "--weights", "w.safetensors", "--data", "data/demo"]).args(extra);
        command
    };
    let chosen = ["--method", "unetr_pp", "--overlap", "0.25", "--window-weights", "gaussian", "--json"];
    let scores: Value = serde_json::from_str(&stdout_of(&mut eval(&chosen))).unwrap();
    assert_eq!(scores["identity"]["method"], "unetr_pp");
    assert_eq!(scores["identity"]["details"], "sliding window, overlap 0.25, gaussian weights");
    assert_eq!(scores["tuned_parameters"], network.count_parameters());
    assert_eq!(scores["summary"].as_array().unwrap().len(), 1);
    assert_eq!(scores["summary"][0]["points"], 0);
    let dice = scores["summary"][0]["dice"]["cases"]["mean"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&dice), "{dice}");

    for (arguments, word) in [
        (["--method", "ux_net"], "weights of unetr_pp"),
        (["--method", "sam3d"], "w.safetensors"),
        (["--overlap=1.0", "--method=unetr_pp"], "overlap"),
        (["--precision=bf16", "--method=unetr_pp"], "--precision"),
    ] {
        let error = failure_of(&mut eval(&arguments), 1);
        assert!(error.contains(word) && error.trim_end().lines().count() == 1, "{error}");
    }
}
