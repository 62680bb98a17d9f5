//! `sam3d segment` with boxes, scribbles, lassos, a mask to begin from, and clicks outside the target.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use ndarray::Array3;
use sam3d_geom::PointLabel::{Negative, Positive};
use sam3d_infer::{LogStep, MaskRuns, Prompt, Segmenter, SegmenterOptions, SessionLog};
use sam3d_io::{ReadLimits, atomic::Overwrite, nifti};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
use tempfile::TempDir;

use crate::{
    segment::{ct_grid, workplace},
    support::{failure_of, sam3d, stdout_of},
};

/// The files of `segment`'s tests, and `dense.safetensors`, weights that every prompt sways.
fn place() -> TempDir {
    let place = workplace();
    let known = Checkpoint::read(&place.path().join("weights.safetensors")).unwrap().metadata;
    let mut model = ModelConfig::tiny();
    model.prompt.as_mut().unwrap().enable_dense_prompts();
    let network = Sam3d::new(&model, tch::Device::Cpu, 3).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in network.parameters() {
            // The encoder of dense prompts ends in zeros until it is trained.
            if name.starts_with("prompt_encoder.dense.") {
                let count = tensor.numel() as i64;
                let values = (tch::Tensor::arange(count, (tch::Kind::Float, tch::Device::Cpu)) * 0.7).sin();
                tensor.shallow_clone().copy_(&values.reshape(tensor.size()));
            }
        }
    }
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model,
        preprocessing: known.preprocessing,
        provenance: Provenance::default(),
        base: None,
    };
    Checkpoint::write(&network, &metadata, &place.path().join("dense.safetensors")).unwrap();
    place
}

/// Segments with `prompts` by the weights that know all of them; the probability, of which a mask would hide most, and the
/// log's steps.
fn segment(place: &Path, name: &str, prompts: &[&str]) -> (Array3<f32>, Vec<LogStep>) {
    let [out, probability, log] = ["nii", "p.nii", "json"].map(|ending| format!("result/{name}.{ending}"));
    let mut command = sam3d(place);
    command.args(["segment", "--weights", "dense.safetensors", "--image", "ct.nii.gz"]);
    command.args(["--out", &out, "--prob-out", &probability, "--log", &log]).args(prompts);
    stdout_of(&mut command);
    let probability = nifti::read(&place.join(probability), ReadLimits::default()).unwrap().data;
    let log = SessionLog::from_json(&fs::read_to_string(place.join(log)).unwrap()).unwrap();
    (probability, log.steps().to_vec())
}

#[test]
fn prompts_of_every_kind_are_steps_in_the_order_of_the_command_line() {
    let place = place();
    fs::write(place.path().join("outline.txt"), "3,6,8\n18.5,6,8\n12,20.5,8\n").unwrap();
    let line = [
        "--box",
        "2,6,4:16,21,12",
        "--point",
        "7,12,8",
        "--point",
        "20,22,8,-",
        "--scribble",
        "18,20,7;22,20,7,-",
        "--lasso",
        "outline.txt",
        "--point",
        "9,13,8",
    ];
    let (probability, steps) = segment(place.path(), "mixed", &line);
    let expected = [
        vec![Prompt::Box { first: [2, 6, 4], last: [16, 21, 12], label: Positive }],
        vec![Prompt::click([7, 12, 8], Positive), Prompt::click([20, 22, 8], Negative)],
        vec![Prompt::Scribble { path: vec![[18, 20, 7], [22, 20, 7]], width: 3.0, label: Negative }],
        vec![Prompt::Lasso {
            outline: vec![[3.0, 6.0, 8.0], [18.5, 6.0, 8.0], [12.0, 20.5, 8.0]],
            label: Positive,
        }],
        vec![Prompt::click([9, 13, 8], Positive)],
    ];
    assert_eq!(steps, expected.each_ref().map(|prompts| LogStep::of(prompts.clone())));

    // The library gives the same for the same steps, and something else for another order.
    let path = |name: &str| place.path().join(name);
    let segmenter = Segmenter::open(path("dense.safetensors"), &SegmenterOptions::default()).unwrap();
    let mut session =
        segmenter.session(sam3d_io::read(&path("ct.nii.gz"), ReadLimits::default()).unwrap()).unwrap();
    for step in &steps {
        session.add_step(step.clone(), &mut |_| ()).unwrap();
    }
    let answer = session.answer().unwrap().unwrap();
    assert_eq!(probability, answer.native_probability(session.image().frame()).unwrap());
    let turned = [&line[2..4], &line[..2], &line[4..]].concat();
    let (other, turned) = segment(place.path(), "turned", &turned);
    assert!(matches!(turned[0].prompts[..], [Prompt::Click { .. }]) && turned.len() == 6);
    assert_ne!(probability, other);

    let mut command = sam3d(place.path());
    command.args(["segment", "--weights", "dense.safetensors", "--image", "ct.nii.gz"]);
    command.args([
        "--session",
        "result/mixed.json",
        "--out",
        "result/again.nii",
        "--prob-out",
        "result/p.nii",
    ]);
    stdout_of(&mut command);
    assert_eq!(nifti::read(&path("result/p.nii"), ReadLimits::default()).unwrap().data, probability);
}

#[test]
fn the_same_shapes_in_voxels_and_millimetres() {
    let place = place();
    let mm = |[i, j, k]: [usize; 3], sign: f64| {
        let [x, y, z] = ct_grid().world_from_ijk().world_from_voxel([i as f64, j as f64, k as f64]);
        format!("{},{},{z}", sign * x, sign * y)
    };
    let corners = [[2, 6, 8], [16, 21, 8], [9, 25, 8]];
    let typed = |point: &dyn Fn([usize; 3]) -> String| {
        let [a, b, c] = corners.map(point);
        [format!("{a}:{b}"), format!("{a};{b},-"), format!("{a};{b};{c}")]
    };
    let steps = |space: &str, [a_box, stroke, outline]: [String; 3]| {
        let line = ["--space", space, "--box", &a_box, "--scribble", &stroke, "--lasso", &outline];
        segment(place.path(), space, &line).1
    };
    let voxel = steps("voxel", typed(&|[i, j, k]| format!("{i},{j},{k}")));
    assert_eq!(voxel.len(), 3);
    assert_eq!(steps("ras", typed(&|ijk| mm(ijk, 1.0))), voxel);
    assert_eq!(steps("lps", typed(&|ijk| mm(ijk, -1.0))), voxel);
}

#[test]
fn a_mask_to_begin_from_is_the_answer_until_a_prompt_corrects_it() {
    let place = place();
    let (probability, steps) = segment(place.path(), "begun", &["--initial", "truth.nii.gz"]);
    let truth = nifti::read(&place.path().join("truth.nii.gz"), ReadLimits::default()).unwrap();
    let whole = truth.data.mapv(|value| value as u8);
    assert_eq!(steps, [LogStep::of([Prompt::Mask(MaskRuns::of(whole.view()))])]);
    let mask = nifti::read(&place.path().join("result/begun.nii"), ReadLimits::default()).unwrap().data;
    let both = mask.iter().zip(&truth.data).filter(|(a, b)| **a == 1.0 && **b == 1.0).count() as f64;
    let dice = 2.0 * both / f64::from(mask.sum() + truth.data.sum());
    assert!(dice > 0.9, "{dice}");
    let line = ["--initial", "truth.nii.gz", "--point", "22,24,8,-"];
    let (corrected, steps) = segment(place.path(), "corrected", &line);
    assert_eq!(steps.len(), 2);
    assert_ne!(corrected, probability);

    let bad = |name: &str, words: &[&str]| {
        let mut command = sam3d(place.path());
        command.args(["segment", "--weights", "dense.safetensors", "--image", "ct.nii.gz"]);
        let message = failure_of(command.args(["--out", "result/no.nii", "--initial", name]), 1);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    let cut = truth.data.slice(ndarray::s![..9, .., ..]).mapv(|value| value as u8);
    let affine = *ct_grid().world_from_ijk();
    let grid = sam3d_io::Grid::from_affine([30, 28, 9], affine).unwrap();
    nifti::write(&place.path().join("cut.nii"), cut.view(), &grid, Overwrite::Refuse).unwrap();
    nifti::write(&place.path().join("empty.nii"), whole.mapv(|_| 0u8).view(), &ct_grid(), Overwrite::Refuse)
        .unwrap();
    bad("cut.nii", &["--initial", "cut.nii", "ct.nii.gz"]);
    bad("empty.nii", &["--initial", "empty.nii", "empty"]);
    bad("none.nii", &["--initial", "none.nii"]);
}

#[test]
fn what_the_weights_do_not_accept_is_named_with_what_they_do() {
    let place = place();
    let refused = |prompts: &[&str], words: &[&str]| {
        let mut command = sam3d(place.path());
        command.args(["segment", "--weights", "weights.safetensors", "--image", "ct.nii.gz"]);
        let message = failure_of(command.args(["--out", "result/no.nii"]).args(prompts), 1);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{prompts:?}: {message}");
    };
    let accepted = "they accept clicks inside the target\n";
    for option in [
        ["--box", "2,6,4:16,21,12"],
        ["--scribble", "7,12,8;9,12,8"],
        ["--lasso", "3,6,8;18,6,8;12,20,8"],
        ["--initial", "truth.nii.gz"],
    ] {
        let named = format!("weights.safetensors: {}: ", option[0]);
        refused(&[&["--point", "7,12,8"], &option[..]].concat(), &[&named, "dense_prompts", accepted]);
    }
    refused(&["--point", "7,12,8", "--point", "9,12,8,-"], &["--point: ", "point_labels", accepted]);
    // What is wrong with a prompt is said before the weights are read.
    refused(&["--box", "2,6,4:30,21,12"], &["ct.nii.gz", "--box 30,21,12", "i runs from 0 to 29"]);
    refused(&["--scribble", "2,6,4.5"], &["--scribble 2,6,4.5", "whole numbers"]);
    refused(&["--lasso", "none.txt"], &["--lasso", "cannot read none.txt"]);
    refused(&["--scribble", "2,6,4,-"], &["every prompt is outside"]);
    refused(&["--scribble", "2,6,4,-", "--point", "7,12,8"], &["--scribble", "begin with one inside"]);
    for (option, value) in [("--box", "1,2,3"), ("--scribble", "1,2"), ("--lasso", "1,2,3;4")] {
        let mut command = sam3d(place.path());
        command.args(["segment", "--weights", "w", "--image", "i", "--out", "o", option, value]);
        assert!(failure_of(&mut command, 2).contains(option));
    }
    let mut command = sam3d(place.path());
    command.args([
        "segment",
        "--weights",
        "w",
        "--image",
        "i",
        "--out",
        "o",
        "--session",
        "s",
        "--box",
        "1,2,3:4,5,6",
    ]);
    assert!(failure_of(&mut command, 2).contains("--box"));
}

#[test]
fn shapes_that_do_not_lie_in_one_slice_are_refused() {
    let place = place();
    for (option, value, words) in [
        ("--scribble", "2,6,4;9,12,8", "one slice"),
        ("--lasso", "2,6,4;9,12,8;3,3,3", "one slice"),
        ("--lasso", "2,6,4;9,12,4", "three corners"),
        ("--lasso", "2,6,4;9,12,4;40,3,4", "outside the volume"),
    ] {
        let mut command = sam3d(place.path());
        command.args(["segment", "--weights", "dense.safetensors", "--image", "ct.nii.gz"]);
        let message = failure_of(command.args(["--out", "result/no.nii", option, value]), 1);
        assert!(message.contains(words), "{message}");
        assert_eq!(fs::read_dir(place.path().join("result")).unwrap().count(), 0);
    }
}
