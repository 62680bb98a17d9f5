//! Segmentation metrics in millimetres.
//!
//! - [`Comparison`]: everything below for one pair of masks; [`compare_labels`] for every label of a pair of volumes.
//! - [`Overlap`]: Dice, intersection over union and volume error, from voxel counts.
//! - [`SurfaceDistances`]: normalized surface dice, surface overlap, Hausdorff and average distances, between surfaces
//!   whose elements carry an area; [`SurfaceElements`] has the elements themselves, also of contours in a slice.
//! - [`components`]: connected components.
//! - [`error_components`] and [`corrective_click`]: where a prediction is wrong, and where a simulated user clicks next.
//! - [`MaskMeasurements`] and [`IntensityStatistics`]: volume, diameters, bounding box and intensities of one mask.
//! - [`ClickAuc`] and [`ClicksToReach`]: scores over corrective clicks.
//! - [`statistics`]: means, bootstrap intervals, Wilcoxon's signed-rank test, Holm's adjustment.
//! - [`distance_transform_mm`]: the exact Euclidean distance transform they rest on.
//!
//! # Masks
//! A mask is an `ArrayView3<u8>` indexed `[D, H, W]`; every value but 0 belongs to the target. The first mask of a pair is
//! the truth, the second the prediction; both lie on one grid.
//!
//! # Undefined and infinite
//! No metric is ever NaN. One that has no meaning for the masks at hand is `None` (the Dice of two empty masks); a
//! distance to an empty mask is [`f64::INFINITY`]. Each method says when.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod area;
mod bits;
mod click_scores;
mod comparison;
mod components;
mod correction;
mod directed;
mod distance;
mod elements;
mod envelope;
mod error;
mod error_components;
mod measure;
mod nearest;
mod overlap;
mod parameters;
mod runs;
pub mod statistics;
mod surface_distances;
mod survey;

pub use click_scores::{ClickAuc, ClicksToReach, DICE_TARGETS, clicks_to_reach, imed3d_nsd};
pub use comparison::{Comparison, LabelComparison, compare_labels};
pub use components::{Component, Connectivity, components};
pub use correction::{ClickRule, CorrectiveClick, corrective_click};
pub use directed::DirectedDistances;
pub use distance::distance_transform_mm;
pub use elements::{SurfaceElement, SurfaceElements};
pub use error::MetricsError;
pub use error_components::{DeepestVoxel, ErrorComponent, error_components, largest_component};
pub use measure::{AxialDiameters, Diameter, IntensityStatistics, MaskMeasurements};
pub use overlap::Overlap;
pub use parameters::{Percentile, Tolerance};
pub use statistics::Summary;
pub use surface_distances::SurfaceDistances;
