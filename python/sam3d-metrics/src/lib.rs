//! The native half of the Python package `sam3d_metrics`: arguments are turned into views of numpy's memory, results into
//! Python's objects. What is computed is in the crate `sam3d-metrics`.

mod arguments;
mod comparison;
mod corrections;
mod measurements;
mod statistics;
mod surface_distance;

use pyo3::prelude::*;

/// Segmentation metrics in millimetres.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::comparison::{Comparison, compare_labels};
    #[pymodule_export]
    use crate::corrections::{
        Component, CorrectiveClick, ErrorComponent, components, corrective_click, error_components,
    };
    #[pymodule_export]
    use crate::measurements::{distance_transform_mm, intensity_statistics, measure_mask};
    #[pymodule_export]
    use crate::statistics::{
        SignedRank, Summary, bootstrap_mean, bootstrap_ratio, click_auc, clicks_to_reach, holm, summary,
        wilcoxon_signed_rank,
    };
    #[pymodule_export]
    use crate::surface_distance::{compute_dice_coefficient, compute_surface_distances};
}
