//! Reads PyTorch checkpoints without executing anything in them.
//!
//! A `.pth` file is a pickle, and a pickle is a program: opened with Python's own reader it may run any code. This
//! crate reads the part of the format that describes data (tensors, containers, numbers, strings) and refuses
//! everything else by name. It never calls what a file names, and checks every size before it allocates
//! ([`Limits`]), so that a file from anywhere can be opened.
//!
//! What is read:
//! - the zip archives that `torch.save` has written since PyTorch 1.6 (`.pth`, `.pt`, `.pth.tar`),
//! - the files it wrote before,
//! - bare pickles of protocol 2 to 5, such as the lists of file names in which training splits are published.
//!
//! Tensors stay in the file until [`Tensor::to_f32_vec`] asks for their numbers.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use sam3d_pickle::{Limits, read_file};
//!
//! let checkpoint = read_file(Path::new("sam_vit_b_01ec64.pth"), &Limits::default())?;
//! if let Some(tensor) = checkpoint.get("image_encoder.pos_embed").and_then(|value| value.as_tensor()) {
//!     assert_eq!(tensor.shape(), [1, 64, 64, 768]);
//!     let values: Vec<f32> = tensor.to_f32_vec()?;
//! }
//! # Ok::<(), sam3d_pickle::PickleError>(())
//! ```

#![forbid(unsafe_code)]

mod archive;
mod dtype;
mod error;
mod layout;
mod legacy;
mod limits;
mod pickle;
mod source;
mod tensor;
mod value;

use std::path::Path;

pub use dtype::DType;
pub use error::{PickleError, PickleErrorKind};
pub use limits::Limits;
pub use tensor::Tensor;
pub use value::{Dict, Key, Value};

use error::printable;
use source::Source;

/// Reads the checkpoint or pickle at `path`. The file stays open as long as a tensor of it is kept.
///
/// # Errors
/// If the file cannot be read, is cut short or damaged, refers to anything but data, or exceeds `limits`.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Value, PickleError> {
    Source::open(path)
        .map_err(PickleErrorKind::Io)
        .and_then(|source| read_source(source, limits))
        .map_err(|kind| PickleError::new(path, kind))
}

/// Reads the checkpoint or pickle in `bytes`; `name` stands for the path in errors.
///
/// # Errors
/// As [`read_file`].
pub fn read_bytes(bytes: Vec<u8>, name: &Path, limits: &Limits) -> Result<Value, PickleError> {
    read_source(Source::from_bytes(bytes, name), limits).map_err(|kind| PickleError::new(name, kind))
}

fn read_source(source: Source, limits: &Limits) -> Result<Value, PickleErrorKind> {
    let start = source.start(legacy::MAGIC.len() as u64).map_err(PickleErrorKind::Io)?;
    match start.as_slice() {
        [] => Err(PickleErrorKind::Empty),
        [b'P', b'K', ..] => archive::read(source, limits),
        legacy::MAGIC => legacy::read_checkpoint(&source, limits),
        [0x80, 2..=5, ..] => legacy::read_pickle(&source, limits),
        _ => Err(PickleErrorKind::UnknownFormat { start: printable(&String::from_utf8_lossy(&start)) }),
    }
}
