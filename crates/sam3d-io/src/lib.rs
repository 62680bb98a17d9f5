//! CT volumes: reading and writing files, orientation, resampling, intensity, crops.
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
//! [`read()`] gives a [`Volume`]; [`prepare::prepare_image`] orients, resamples, clips and normalises it and returns
//! with it the [`prepare::Frame`] that maps voxels and probabilities between the two grids; [`crop::CropWindow`] cuts the
//! network's patch; [`write()`] writes a result in the grid of the file it came from.

pub mod atomic;
pub mod crop;
mod data_file;
pub mod dicom;
mod error;
mod format;
mod grid;
mod header_geometry;
pub mod intensity;
mod limits;
pub mod meta_image;
pub mod nifti;
pub mod nrrd;
pub mod on_grid;
pub mod orient;
pub mod overlay;
pub mod prepare;
mod read;
pub mod resample;
mod same_grid;
pub mod sliding_window;
mod source;
mod values;
mod volume;
mod write;

pub use error::IoError;
pub use format::{Format, Placeholder, VOLUME_ENDINGS, volume_ending};
pub use grid::{AffineSource, Grid};
pub use limits::ReadLimits;
pub use read::{LabelOptions, files_of_volume, read, read_label, read_label_with};
pub use same_grid::{GridDifference, check_same_grid};
pub use volume::{Rescale, ValueType, Volume};
pub use write::{OutputFormat, Voxel, write, write_segmentation};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
