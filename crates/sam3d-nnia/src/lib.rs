//! Reads and writes the packed arrays of nnInteractive's remote protocol.
//!
//! A packed array begins with `NNIA`, its element type and its shape; the elements follow as chunks in the format of blosc2,
//! whose blocks are compressed by zstd or LZ4. All numbers are little-endian, elements lie in C order.
//!
//! The bytes come from a client, so nothing in them is believed: [`unpack`] takes memory only after the shape was checked
//! against a limit, and each length against what is left of the body. Damaged bodies are errors, never a panic.
//!
//! ```
//! use sam3d_nnia::{ElementType, pack, unpack};
//!
//! let body = pack(ElementType::Uint8, [1, 2, 3], [true, false, false, false, true, true]);
//! let array = unpack(&body, 6)?;
//! assert_eq!((array.shape(), array.element()), (&[1, 2, 3][..], ElementType::Uint8));
//! assert_eq!(array.is_set().collect::<Vec<_>>(), [true, false, false, false, true, true]);
//! # Ok::<(), sam3d_nnia::ArrayError>(())
//! ```

#![forbid(unsafe_code)]

mod array;
mod blosc;
mod element;
mod error;
mod head;
mod lz4;
mod pack;
mod zstd;

pub use array::{Array, unpack};
pub use element::ElementType;
pub use error::ArrayError;
pub use head::Head;
pub use pack::{known_start, pack};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
