//! PyTorch checkpoints in both forms, and bare pickles.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sam3d_pickle::{Limits, Value, read_bytes};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        max_pickle_bytes: 1 << 16,
        max_values: 1 << 12,
        max_tensor_bytes: 1 << 16,
        max_entries: 64,
        ..Limits::default()
    };
    match read_bytes(bytes.to_vec(), Path::new("input"), &limits) {
        Ok(value) => read_tensors(&value),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

/// Tensors stay in the file until their numbers are asked for: ask for them.
fn read_tensors(value: &Value) {
    if let Some(tensor) = value.as_tensor() {
        if let Ok(values) = tensor.to_f32_vec() {
            assert_eq!(values.len(), tensor.shape().iter().product::<usize>());
        }
    }
    if let Some(items) = value.as_items() {
        items.iter().for_each(read_tensors);
    }
    if let Some(dict) = value.as_dict() {
        dict.iter().for_each(|(_, value)| read_tensors(value));
    }
}
