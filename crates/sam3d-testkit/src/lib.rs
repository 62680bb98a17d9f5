//! Golden data, deterministic inputs and memory measurements for the tests of the sam3d crates.
//!
//! Not published: only `dev-dependencies` name this crate.

mod by_name;
mod golden;
mod process;
mod volumes;

pub use by_name::{by_name, parameter};
pub use golden::{GoldenTensor, GoldenTensors, golden_json, golden_path};
pub use process::peak_memory_mib;
pub use volumes::test_volume;
