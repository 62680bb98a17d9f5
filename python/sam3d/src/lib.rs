//! The native half of the Python package `sam3d`: arguments are turned into views of numpy's memory, results into Python's
//! objects, errors into exceptions. What is computed is in the crates `sam3d-io`, `sam3d-data` and `sam3d-infer`.

mod arguments;
mod crops;
mod errors;
mod parallel;
mod preprocessing;
mod prompts;
mod resampling;
mod segmenter;
mod session;
mod volume;
mod worker;

use pyo3::prelude::*;

/// CT volumes, training crops, and segmentation by prompts.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::crops::{CropIterator, Crops, Sample, augment, published_augmentation};
    #[pymodule_export]
    use crate::preprocessing::Preprocessing;
    #[pymodule_export]
    use crate::prompts::Prompt;
    #[pymodule_export]
    use crate::resampling::{crop, resample, resize};
    #[pymodule_export]
    use crate::segmenter::{Segmenter, built_in_weights};
    #[pymodule_export]
    use crate::session::{Change, Session};
    #[pymodule_export]
    use crate::volume::{Volume, read, read_label, write};
}
