//! Training and validation samples: the published augmentation chain, crops, and the prompts that go with them.
//!
//! Every step is determined by its arguments; chance enters in [`training_sample`] and [`validation_sample`] alone.
//! All arrays are `[D, H, W]`.

mod config;
mod sample;
mod transform;

pub use config::{AugmentConfig, AugmentError, Resampling};
pub use sample::{Sample, Source, training_sample, validation_sample};
pub use transform::{
    bounding_box_above, centred_crop, flip, pad_symmetric, quarter_turns, rotate_about_depth,
    shift_intensity, zoom_keeping_size,
};
