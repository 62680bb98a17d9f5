use std::sync::Arc;

use sam3d_pickle::Key;
use sam3d_testkit::{golden_json, golden_path, parameter};

use super::*;

fn golden(name: &str) -> ImportedState {
    read_state(&golden_path(name), &Limits::default()).unwrap()
}

/// Names and shapes of the tiny network.
fn expected() -> BTreeMap<String, Vec<usize>> {
    serde_json::from_value(golden_json("tiny.json")["state_dict"].clone()).unwrap()
}

fn shapes(state: &ImportedState) -> BTreeMap<String, Vec<usize>> {
    state.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
}

fn published() -> Value {
    read_file(&golden_path("tiny_adapter.pth.tar"), &Limits::default()).unwrap()
}

/// `value` with each entry of its dictionary replaced by what `change` makes of it.
fn changed(value: &Value, change: impl Fn(&str, &Value) -> Option<(String, Value)>) -> Value {
    let entries = value.as_dict().unwrap().iter();
    let entries = entries.filter_map(|(key, value)| change(&key.to_string(), value));
    dict(entries)
}

fn dict(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (Key::Str(key.into()), value));
    Value::Dict(Arc::new(entries.collect::<Dict>()))
}

fn import_value(value: &Value) -> Result<ImportedState, ImportError> {
    import(Path::new("a.pth"), value)
}

#[test]
fn a_published_checkpoint_has_every_name_of_the_network() {
    let state = golden("tiny_adapter.pth.tar");
    assert_eq!(
        (state.kind, state.epoch, state.best_val_loss),
        (CheckpointKind::Published, Some(7), Some(0.4321))
    );
    assert_eq!(shapes(&state), expected());
    for name in ["image_encoder.depth_embed", "prompt_encoder.transformer.layers.1.global_query"] {
        let tensor = &state.tensors[name];
        assert_eq!(tensor.to_f32_vec().unwrap(), parameter(name, tensor.shape()), "{name}");
    }
    assert_eq!(
        state.ignored,
        [
            "encoder_dict.blocks.0.attn_mask",
            "encoder_dict.blocks.2.attn_mask",
            "encoder_dict.blocks.4.attn_mask",
            "encoder_dict.blocks.6.attn_mask",
            "encoder_dict.blocks.8.attn_mask",
            "encoder_dict.blocks.10.attn_mask",
            "feature_dict.0",
            "feature_dict.1",
            "feature_dict.2",
            "encoder_opt",
            "feature_opt",
            "decoder_opt",
        ]
    );
}

#[test]
fn sam_gives_the_image_encoder_without_its_neck() {
    let state = golden("tiny_sam_2d.pth");
    let expected = expected();
    assert_eq!((state.kind, state.epoch, state.best_val_loss), (CheckpointKind::Sam, None, None));
    for (name, shape) in shapes(&state) {
        assert_eq!(Some(&shape), expected.get(&name), "{name}");
    }
    // Per block: two norms, qkv and proj, two linear layers (weight and bias each) and two position tables.
    assert_eq!(state.tensors.len(), 12 * (12 + 2) + 3);
    assert_eq!(state.tensors.len() + state.ignored.len(), 314);
    assert!(state.ignored.contains(&"image_encoder.neck.0.weight".to_owned()));
    assert!(state.ignored.contains(&"mask_decoder.iou_token.weight".to_owned()));
}

#[test]
fn parallel_training_and_a_single_prompt_encoder_change_nothing() {
    let wrapped = |value: &Value| changed(value, |key, value| Some((format!("module.{key}"), value.clone())));
    let variant = changed(&published(), |key, value| {
        let value = match key {
            "encoder_dict" | "decoder_dict" => wrapped(value),
            "feature_dict" => value.as_items().unwrap()[3].clone(),
            _ => value.clone(),
        };
        Some((key.to_owned(), value))
    });
    assert_eq!(shapes(&import_value(&variant).unwrap()), expected());
}

#[test]
fn the_prompt_free_variant_has_no_prompt_encoder() {
    let variant = changed(&published(), |key, value| {
        (!key.starts_with("feature")).then(|| (key.to_owned(), value.clone()))
    });
    let state = import_value(&variant).unwrap();
    let mut expected = expected();
    expected.retain(|name, _| !name.starts_with("prompt_encoder."));
    assert_eq!(shapes(&state), expected);
}

#[test]
fn a_loss_kept_as_a_tensor_is_a_number() {
    let step = published().get("encoder_opt").and_then(|states| states.get("state")).cloned().unwrap();
    let step = step.as_dict().unwrap().iter().next().unwrap().1.get("step").unwrap().clone();
    let expected = f64::from(step.as_tensor().unwrap().to_f32_vec().unwrap()[0]);
    let variant = changed(&published(), |key, value| {
        Some((key.to_owned(), if key == "best_val_loss" { step.clone() } else { value.clone() }))
    });
    assert_eq!(import_value(&variant).unwrap().best_val_loss, Some(expected));
}

#[test]
fn other_layouts_are_refused() {
    let check = |value: Value, expected: &str| {
        let error = import_value(&value).unwrap_err().to_string();
        assert!(error.starts_with("a.pth: ") && error.contains(expected), "{error}");
    };
    let tensor = golden("tiny_sam_2d.pth").tensors["image_encoder.pos_embed"].clone();
    let weight = |name: &str| (name.to_owned(), Value::Tensor(tensor.clone()));
    check(Value::List([Value::None].into()), "found a list");
    check(dict([weight("backbone.weight")]), "found a dictionary of 1 entries: \"backbone.weight\"");
    check(
        dict([("image_encoder.x".to_owned(), Value::Int(1))]),
        "expected a tensor \"image_encoder.x\", found an integer",
    );
    check(
        dict([weight("image_encoder.x"), weight("module.image_encoder.x")]),
        "holds \"image_encoder.x\" twice",
    );

    let empty = || dict([]);
    let part = |name: &str, value: Value| (name.to_owned(), value);
    check(dict([part("encoder_dict", empty())]), "expected a dictionary decoder_dict, found nothing");
    check(dict([part("encoder_dict", Value::None)]), "expected a dictionary encoder_dict, found None");
    let levels = Value::List([].into());
    check(
        dict([part("encoder_dict", empty()), part("feature_dict", levels)]),
        "feature_dict, found an empty list",
    );
    let levels = Value::List([empty(), Value::Int(1)].into());
    check(
        dict([part("encoder_dict", empty()), part("feature_dict", levels)]),
        "feature_dict.1, found an integer",
    );
}

#[test]
fn code_is_refused() {
    let error = read_state(&golden_path("hostile_code.pth"), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("refers to posix.system"), "{error}");
}
