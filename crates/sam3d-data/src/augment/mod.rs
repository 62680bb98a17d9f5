//! Training and validation samples: the published augmentation chain, crops, and the prompts that go with them.
//!
//! Every step is determined by its arguments; chance enters in [`training_sample`] and [`validation_sample`] alone.
//! All arrays are `[D, H, W]`.

mod comparison;
mod config;
mod free_rotation;
mod rotation;
mod sample;
mod target;
mod transform;
mod warp;
mod zoom;

pub use comparison::{ComparisonAugment, ComparisonSample, comparison_sample, comparison_volume};
pub use config::{AugmentConfig, AugmentError, Resampling};
pub use free_rotation::rotate;
pub use rotation::rotate_about_depth;
pub use sample::{Sample, Source, training_sample, validation_sample};
pub use transform::{centred_crop, flip, pad_symmetric, quarter_turns, shift_intensity};
pub use zoom::zoom_keeping_size;
