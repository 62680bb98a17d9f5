//! The golden checkpoints: every tensor of the good ones, and no effect of the hostile ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use sam3d_pickle::{DType, Dict, Limits, PickleErrorKind, Value, read_file};
use sam3d_testkit::{golden_json, golden_path, parameter};

fn golden(name: &str) -> Value {
    read_file(&golden_path(name), &Limits::default()).unwrap()
}

/// Asserts that each tensor of `dict` whose name is in `known` has the value of its full name; returns how many.
fn check_tensors(dict: &Dict, prefix: &str, known: &serde_json::Value) -> usize {
    let mut checked = 0;
    for (key, value) in dict.iter() {
        let name = format!("{prefix}{key}");
        let Some(shape) = known.get(&name) else {
            assert!(name.ends_with(".attn_mask"), "{name} is not a parameter");
            continue;
        };
        let shape: Vec<usize> = serde_json::from_value(shape.clone()).unwrap();
        let tensor = value.as_tensor().unwrap();
        assert_eq!((tensor.shape(), tensor.dtype()), (shape.as_slice(), DType::F32), "{name}");
        assert_eq!(tensor.to_f32_vec().unwrap(), parameter(&name, &shape), "{name}");
        checked += 1;
    }
    checked
}

#[test]
fn the_published_layout_is_read() {
    let checkpoint = golden("tiny_adapter.pth.tar");
    assert_eq!(checkpoint.get("epoch").and_then(Value::as_i64), Some(7));
    assert_eq!(checkpoint.get("best_val_loss").and_then(Value::as_f64), Some(0.4321));

    let known = &golden_json("tiny.json")["state_dict"];
    let part = |name: &str| checkpoint.get(name).and_then(Value::as_dict).unwrap();
    let prompt_encoders = checkpoint.get("feature_dict").and_then(Value::as_items).unwrap();
    assert_eq!(prompt_encoders.len(), 4);
    let checked = check_tensors(part("encoder_dict"), "image_encoder.", known)
        + check_tensors(part("decoder_dict"), "mask_decoder.", known)
        + check_tensors(prompt_encoders[3].as_dict().unwrap(), "prompt_encoder.", known);
    assert_eq!(checked, known.as_object().unwrap().len());

    let step = checkpoint.get("encoder_opt").and_then(|states| states.get("state")).unwrap();
    assert_eq!(step.as_dict().unwrap().iter().next().unwrap().0.to_string(), "0");
}

#[test]
fn sam_is_read() {
    let sam = golden("tiny_sam_2d.pth");
    let mut checked = 0;
    for (key, value) in sam.as_dict().unwrap().iter() {
        let tensor = value.as_tensor().unwrap();
        assert_eq!(tensor.to_f32_vec().unwrap(), parameter(key.as_str().unwrap(), tensor.shape()), "{key}");
        checked += 1;
    }
    assert_eq!(checked, 314);
}

#[test]
fn code_is_refused_by_name() {
    let error = read_file(&golden_path("hostile_code.pth"), &Limits::default()).unwrap_err();
    assert!(matches!(error.kind(), PickleErrorKind::GlobalRefused { name } if name == "posix.system"));
    assert!(error.to_string().contains("hostile_code.pth: refers to posix.system, "), "{error}");
    assert!(!Path::new("sam3d_checkpoint_code_ran").exists());
}

#[test]
fn a_cut_file_is_refused() {
    let error = read_file(&golden_path("hostile_truncated.pth"), &Limits::default()).unwrap_err();
    assert!(matches!(error.kind(), PickleErrorKind::ArchiveDamaged(_)), "{error}");
    assert!(error.to_string().contains("probably cut short"), "{error}");
    assert!(!Path::new("sam3d_checkpoint_code_ran").exists());
}

#[test]
fn a_missing_file_a_directory_and_other_formats_are_named() {
    let check = |name: &str, expected: &str| {
        let error = read_file(&golden_path(name), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("no_such_file.pth", "no_such_file.pth: cannot be read");
    check("", "cannot be read");
    check("tiny.json", "neither a PyTorch checkpoint nor a pickle");
    check("tiny_forward.safetensors", "neither a PyTorch checkpoint nor a pickle");
}

#[test]
fn limits_hold() {
    let path = golden_path("tiny_adapter.pth.tar");
    let check = |limits: Limits, expected: &str| {
        let error = read_file(&path, &limits).unwrap_err();
        assert!(
            matches!(error.kind(), PickleErrorKind::LimitExceeded { setting, .. } if *setting == expected)
        );
    };
    check(Limits { max_pickle_bytes: 93_329, ..Limits::default() }, "max_pickle_bytes");
    check(Limits { max_values: 1000, ..Limits::default() }, "max_values");
    check(Limits { max_depth: 4, ..Limits::default() }, "max_depth");
    check(Limits { max_tensor_bytes: 3_000_000, ..Limits::default() }, "max_tensor_bytes");
    check(Limits { max_entries: 396, ..Limits::default() }, "max_entries");

    let enough = Limits { max_pickle_bytes: 93_330, max_depth: 5, max_entries: 397, ..Limits::default() };
    read_file(&path, &enough).unwrap();
}
