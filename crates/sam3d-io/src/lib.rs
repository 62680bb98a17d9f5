//! CT volumes: reading and writing NIfTI, orientation, resampling, intensity, crops.
//!
//! # Axes
//! Three index orders meet in this crate, and a name says which one is meant:
//!
//! | order | where | meaning |
//! |---|---|---|
//! | `ijk` | [`Grid`], points as users type them | a file's own voxel index, `i` stored fastest |
//! | `[k, j, i]` | [`Volume::data`], arrays that are written | the same axes as a C-order array: index order reversed |
//! | `[D, H, W]` | everything after [`orient::AxisMap`] | depth, height, width; by default D to superior, H to posterior, W to the left |
//!
//! World coordinates are millimetres, RAS+ (x to the patient's right, y to anterior, z to superior) unless a name says LPS.
//!
//! # From a file to the network's input and back
//! [`nifti::read`] gives a [`Volume`]; [`prepare::prepare_image`] orients, resamples, clips and normalises it and returns
//! with it the [`prepare::Frame`] that maps voxels and probabilities between the two grids; [`crop::CropWindow`] cuts the
//! network's patch; [`nifti::write_mask`] writes a result in the grid of the file it came from.

pub mod atomic;
pub mod augment;
pub mod crop;
pub mod dataset;
mod error;
mod grid;
mod header_geometry;
pub mod intensity;
pub mod nifti;
pub mod orient;
pub mod overlay;
pub mod phantom;
pub mod prepare;
pub mod resample;
pub mod sampling;
pub mod splits;
mod volume;

pub use error::IoError;
pub use grid::{AffineSource, Grid};
pub use volume::{Rescale, ValueType, Volume};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
