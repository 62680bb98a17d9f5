//! Geometry types shared by the sam3d crates: spacing, extent, affine, bounding box, prompt, preprocessing.
//!
//! # Axes
//! Every array is indexed `[D, H, W]`: depth (slices), height (rows), width (columns). Every triple in this crate is in
//! that order too. World coordinates are millimetres in NIfTI's RAS+ convention (x left to right,
//! y posterior to anterior, z inferior to superior), unless a name says LPS.
//!
//! # Validity
//! A value of one of these types is valid: each has one constructor that checks, and no setters.

mod affine;
mod bounding_box;
mod error;
mod extent;
mod hash;
mod preprocessing;
mod prompt;
mod spacing;

pub use affine::Affine;
pub use bounding_box::BoundingBox;
pub use error::GeomError;
pub use extent::Extent;
pub use hash::{digest_of_file, hexadecimal, sha256_of_file};
pub use preprocessing::{Intensity, Interpolation, Orientation, Preprocessing, StoredAxes};
pub use prompt::{Point, PointLabel, Prompt};
pub use spacing::Spacing;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
