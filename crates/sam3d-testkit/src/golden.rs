//! The golden files, which lie in `golden/` beside this crate's sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};

/// Path of the golden file `name`.
pub fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// The golden JSON file `name`.
///
/// # Panics
/// If the file is missing or not JSON: a test cannot go on without it.
#[expect(clippy::panic, reason = "test support: a missing golden file is a broken checkout")]
pub fn golden_json(name: &str) -> serde_json::Value {
    let path = golden_path(name);
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One tensor of a golden file, widened to f64.
#[derive(Debug, Clone)]
pub struct GoldenTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Values in C order.
    pub values: Vec<f64>,
}

/// A golden safetensors file in memory.
#[derive(Debug)]
pub struct GoldenTensors {
    name: String,
    bytes: Vec<u8>,
}

#[expect(clippy::panic, reason = "test support: a missing golden tensor is a broken checkout")]
impl GoldenTensors {
    /// The golden file `name`.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn open(name: &str) -> Self {
        let path = golden_path(name);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), bytes }
    }

    /// The tensor `key`.
    ///
    /// # Panics
    /// If it is missing or of a type the golden data does not use.
    pub fn get(&self, key: &str) -> GoldenTensor {
        let file =
            SafeTensors::deserialize(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let view = file.tensor(key).unwrap_or_else(|error| panic!("{}: {key}: {error}", self.name));
        let values = match view.dtype() {
            Dtype::F32 => view
                .data()
                .chunks_exact(4)
                .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
                .collect(),
            Dtype::U8 => view.data().iter().map(|b| f64::from(*b)).collect(),
            other => panic!("{}: {key}: unexpected type {other:?}", self.name),
        };
        GoldenTensor { shape: view.shape().to_vec(), values }
    }

    /// The names of all tensors, sorted.
    ///
    /// # Panics
    /// If the file is not safetensors.
    pub fn names(&self) -> Vec<String> {
        let file =
            SafeTensors::deserialize(&self.bytes).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let mut names: Vec<String> = file.names().into_iter().map(|name| name.to_string()).collect();
        names.sort();
        names
    }
}
