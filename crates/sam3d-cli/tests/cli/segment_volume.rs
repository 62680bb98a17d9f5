//! `sam3d segment` beyond one crop: `--grow`, and the prompt-free variant.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
use sam3d_io::{
    Grid,
    atomic::Overwrite,
    nifti::{self, ReadLimits},
};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::{failure_of, sam3d, stdout_of};

/// A directory with a CT of 100 x 90 x 60 mm, random weights of both variants, and an empty `result`.
fn workplace() -> TempDir {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let affine = Affine::new([[-5.0, 0.0, 0.0, 0.0], [0.0, -5.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([20, 18, 12], affine).unwrap();
    let ct = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| (3 * k + 2 * j + i) as i16);
    nifti::write(&path("ct.nii.gz"), ct.view(), &grid, Overwrite::Refuse).unwrap();
    write_weights(&path("clicks.safetensors"), &ModelConfig::tiny());
    write_weights(&path("auto.safetensors"), &ModelConfig::tiny().auto(64));
    fs::create_dir(path("result")).unwrap();
    directory
}

fn write_weights(path: &Path, model: &ModelConfig) {
    let network = Sam3d::new(model, tch::Device::Cpu, 3).unwrap();
    let preprocessing = Preprocessing {
        intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
        spacing_mm: Spacing::new([1.0; 3]).unwrap(),
        orientation: Orientation::Lps,
        interpolation: Interpolation::Trilinear,
    };
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model: model.clone(),
        preprocessing: Some(preprocessing),
        provenance: Provenance { source: "random weights of a test".into(), ..Provenance::default() },
        base: None,
    };
    Checkpoint::write(&network, &metadata, path).unwrap();
}

fn line<'a>(weights: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut line =
        vec!["segment", "--weights", weights, "--image", "ct.nii.gz", "--out", "result/mask.nii.gz"];
    line.extend(["--force", "--json"]);
    line.extend(more);
    line
}

fn probability(place: &Path) -> Array3<f32> {
    nifti::read(&place.join("result/p.nii.gz"), ReadLimits::default()).unwrap().data
}

#[test]
fn growing_goes_on_where_the_mask_leaves_the_crop() {
    let place = workplace();
    // With random weights and so low a threshold all that is seen is mask, and the mask runs out of every crop.
    let common = ["--point", "10,9,6", "--threshold", "0.01", "--prob-out", "result/p.nii.gz"];
    let run = |more: &[&str]| {
        let mut command = sam3d(place.path());
        command.args(line("clicks.safetensors", &common)).args(more);
        let output = command.assert().success().get_output().clone();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report, String::from_utf8(output.stderr).unwrap(), probability(place.path()))
    };
    let seen = |probability: &Array3<f32>| probability.iter().filter(|p| **p > 0.01).count();

    let (one, warning, first) = run(&[]);
    assert_eq!(one["crops"], 1);
    assert!(warning.contains("--grow follows it"), "{warning}");

    let (two, warning, second) = run(&["--grow", "--max-crops", "2"]);
    assert_eq!(two["crops"], 2);
    assert!(warning.contains("--max-crops"), "{warning}");
    assert!(seen(&second) > seen(&first) + 200, "{} {}", seen(&second), seen(&first));

    let (all, warning, whole) = run(&["--grow"]);
    let crops = all["crops"].as_u64().unwrap();
    assert!((3..=27).contains(&crops), "{crops} crops");
    assert!(!warning.contains("runs on"), "{warning}");
    assert_eq!(seen(&whole), whole.len(), "the whole volume hangs together");
}

#[test]
fn growing_changes_nothing_where_the_mask_ends_within_the_crop() {
    let place = workplace();
    let read = || fs::read(place.path().join("result/p.nii.gz")).unwrap();
    // No voxel is above 0.99 with random weights: there is nothing to follow.
    let common = ["--point", "10,9,6", "--threshold", "0.99", "--prob-out", "result/p.nii.gz"];
    stdout_of(sam3d(place.path()).args(line("clicks.safetensors", &common)));
    let without = read();
    stdout_of(sam3d(place.path()).args(line("clicks.safetensors", &common)).arg("--grow"));
    assert_eq!(read(), without);
}

#[test]
fn the_prompt_free_variant_reads_the_whole_volume() {
    let place = workplace();
    let more = ["--prob-out", "result/p.nii.gz", "--overlay", "result/pictures"];
    let report = stdout_of(sam3d(place.path()).args(line("auto.safetensors", &more)));
    let report: Value = serde_json::from_str(&report).unwrap();
    // 60 x 90 x 100 voxels of 1 mm: 1 window along D, 2 along H and 3 along W.
    assert_eq!(report["crops"], 6);
    assert_eq!(report["clicks_ijk"].as_array().map(Vec::len), Some(0));
    assert!(probability(place.path()).iter().all(|p| *p > 0.0 && *p < 1.0), "every voxel was seen");
    assert!(place.path().join("result/pictures/overlay_views.png").exists());
}

#[test]
fn clicks_are_given_to_networks_that_take_them() {
    let place = workplace();
    for (weights, more, words) in [
        ("auto.safetensors", &["--point", "10,9,6"][..], "leave out --point"),
        ("auto.safetensors", &["--grow"][..], "leave out --grow"),
        ("clicks.safetensors", &[][..], "add --point"),
    ] {
        let message = failure_of(sam3d(place.path()).args(line(weights, more)), 1);
        assert!(message.contains(weights) && message.contains(words), "{message}");
    }
    assert_eq!(fs::read_dir(place.path().join("result")).unwrap().count(), 0);
}
