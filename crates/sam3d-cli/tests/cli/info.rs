//! `sam3d info` on files, and what every command says of files it cannot read.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
use serde_json::Value;
use tch::Device;
use tempfile::tempdir;

use crate::support::{failure_of, grid, sam3d, stdout_of, write_box};

#[test]
fn text_and_json_of_a_label_map() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "labels.nii.gz", &grid(), ([2, 2, 2], [4, 5, 6]), 5);
    insta::assert_snapshot!(stdout_of(sam3d(directory.path()).args(["info", "labels.nii.gz"])));

    let json = stdout_of(sam3d(directory.path()).args(["--json", "info", "labels.nii.gz"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["shape_ijk"], serde_json::json!([8, 7, 6]));
    assert_eq!(json["orientation"], "LPS");
    assert_eq!(json["labels"], serde_json::json!({"0": 312, "5": 24}));
    assert_eq!(json["value_type"], "uint8");
}

/// Writes a checkpoint of random weights to `path`.
fn write_checkpoint(model: ModelConfig, path: &Path) {
    let network = Sam3d::new(&model, Device::Cpu, 0).unwrap();
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model,
        preprocessing: None,
        provenance: Provenance {
            written_by: "a test".into(),
            source: "random weights".into(),
            epoch: Some(3),
            validation_loss: Some(0.25),
        },
        base: None,
    };
    Checkpoint::write(&network, &metadata, path).unwrap();
}

#[test]
fn prompts_that_weights_understand_are_named() {
    let directory = tempdir().unwrap();
    let mut model = ModelConfig::tiny();
    let named = |model: &ModelConfig| {
        write_checkpoint(model.clone(), &directory.path().join("a.safetensors"));
        let text = stdout_of(sam3d(directory.path()).args(["info", "a.safetensors"]));
        text.lines().find_map(|line| line.strip_prefix("model          tiny, crop 64, ")).unwrap().to_owned()
    };
    model.prompt.as_mut().unwrap().point_labels = true;
    assert_eq!(named(&model), "prompted by labelled clicks");
    model.prompt.as_mut().unwrap().enable_dense_prompts();
    assert_eq!(named(&model), "prompted by labelled clicks, masks, regions and scribbles");
    model.prompt.as_mut().unwrap().clicks_as_scribbles = true;
    let drawn = "prompted by labelled clicks (also drawn as scribbles), masks, regions and scribbles";
    assert_eq!(named(&model), drawn);
}

#[test]
fn a_checkpoint_and_the_directory_it_is_in() {
    let directory = tempdir().unwrap();
    write_checkpoint(ModelConfig::tiny(), &directory.path().join("best.safetensors"));
    fs::write(directory.path().join("optimiser.safetensors"), "of another kind").unwrap();
    let text = stdout_of(sam3d(directory.path()).args(["info", "best.safetensors"]));
    insta::assert_snapshot!(text);

    let json = stdout_of(sam3d(directory.path()).args(["info", ".", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(1));
    assert_eq!(json[0]["model"]["encoder"]["embed_dim"], 48);
    assert_eq!(json[0]["preset"], "tiny");
}

#[test]
fn files_that_are_neither_are_one_line_and_exit_1() {
    let directory = tempdir().unwrap();
    let whole = write_box(directory.path(), "whole.nii.gz", &grid(), ([2, 2, 2], [4, 5, 6]), 5);
    let bytes = fs::read(whole).unwrap();
    fs::write(directory.path().join("cut.nii.gz"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(directory.path().join("text.nii.gz"), "not a volume\n").unwrap();
    fs::write(directory.path().join("other.safetensors"), "not tensors\n").unwrap();
    fs::create_dir(directory.path().join("empty")).unwrap();
    for name in ["missing.nii.gz", "cut.nii.gz", "text.nii.gz", "other.safetensors", "empty"] {
        let error = failure_of(sam3d(directory.path()).args(["info", name]), 1);
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with("error: ") && error.contains(name), "{error}");
    }
}

#[test]
fn a_reader_that_stops_is_no_failure() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "labels.nii", &grid(), ([2, 2, 2], [4, 5, 6]), 5);
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("sam3d"))
        .args(["info", "labels.nii"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn threads_do_not_change_the_answer() {
    let directory = tempdir().unwrap();
    write_box(directory.path(), "labels.nii", &grid(), ([2, 2, 2], [4, 5, 6]), 5);
    let info =
        |threads: &str| stdout_of(sam3d(directory.path()).args(["info", "labels.nii", "--threads", threads]));
    assert_eq!(info("1"), info("2"));
}

#[test]
fn a_volume_without_orientation_has_axes_by_its_spacing_alone() {
    let file_cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sam3d-io/tests/fixtures/file_cases");
    let text = stdout_of(sam3d(&file_cases).args(["info", "n30_nocode.nii.gz"]));
    assert!(text.contains("orientation  LPS (from the spacing)"), "{text}");
}
