//! Training and validation samples: the published augmentation chain, crops, and the prompts that go with them.
//!
//! Every step is determined by its arguments; chance enters in [`training_sample`], [`validation_sample`] and
//! [`comparison_sample`] alone.
//! All arrays are `[D, H, W]`.

mod config;
mod rotation;
mod sample;
mod transform;
mod volume;
mod warp;
mod zoom;

pub use config::{AugmentConfig, AugmentError, ComparisonAugment, Resampling};
pub use rotation::{rotate, rotate_about_depth};
pub use sample::{Sample, comparison_sample, comparison_volume, training_sample, validation_sample};
pub use transform::{centred_crop, flip, pad_symmetric, quarter_turns, shift_intensity};
pub use volume::CaseVoxels;
pub use zoom::zoom_keeping_size;
