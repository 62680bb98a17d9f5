//! The two functions of the package `surface-distance` that look at voxels; those that look at their results are Python.

use ndarray::{ArrayViewD, Axis, Ix2, Ix3};
use numpy::IntoPyArray;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};
use sam3d_metrics::{Overlap, SurfaceElement, SurfaceElements};

use crate::arguments::{Mask, spacing, value_error};

const NAMES: [&str; 2] = ["mask_gt", "mask_pred"];

/// Distances in mm between the surfaces of two masks of three axes, or between the contours of two of two axes, element by
/// element.
///
/// Arguments and result are those of the function of this name in the package surface-distance: a dictionary of four arrays,
/// "distances_gt_to_pred" with "surfel_areas_gt" and "distances_pred_to_gt" with "surfel_areas_pred", both ascending by
/// distance and then by area (in mm² in three dimensions, a length in mm in two). Distances to an empty mask are infinite.
///
/// Comparison gives the same scores faster, since it keeps each distinct distance once.
///
/// Raises ValueError if shapes and spacing do not fit, or if there are neither two nor three axes.
#[pyfunction]
pub(crate) fn compute_surface_distances<'py>(
    py: Python<'py>,
    mask_gt: &Bound<'py, PyAny>,
    mask_pred: &Bound<'py, PyAny>,
    spacing_mm: Vec<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let [truth, prediction] = Mask::pair(NAMES, mask_gt, mask_pred)?;
    let axes = [truth.shape().len(), prediction.shape().len(), spacing_mm.len()];
    if axes.iter().any(|count| *count != axes[0]) {
        return Err(PyValueError::new_err(format!(
            "The arguments must be of compatible shape: mask_gt has {:?} voxels, mask_pred {:?}, and spacing_mm {} numbers",
            truth.shape(),
            prediction.shape(),
            axes[2],
        )));
    }
    let (truth, prediction) = (truth.view(), prediction.view());
    let elements = match spacing_mm[..] {
        [h, w] => {
            let spacing = spacing([h, h, w])?;
            let [truth, prediction] = [truth, prediction].map(|mask| mask.into_dimensionality::<Ix2>());
            let (truth, prediction) = (truth.map_err(value_error)?, prediction.map_err(value_error)?);
            py.detach(|| SurfaceElements::of_slices(truth, prediction, spacing))
        }
        [d, h, w] => {
            let spacing = spacing([d, h, w])?;
            let [truth, prediction] = [truth, prediction].map(|mask| mask.into_dimensionality::<Ix3>());
            let (truth, prediction) = (truth.map_err(value_error)?, prediction.map_err(value_error)?);
            py.detach(|| SurfaceElements::of_volumes(truth, prediction, spacing))
        }
        _ => {
            return Err(PyValueError::new_err(format!(
                "Only 2D and 3D masks are supported, not {}D",
                spacing_mm.len()
            )));
        }
    };
    let SurfaceElements { truth, prediction } = elements.map_err(value_error)?;
    let result = PyDict::new(py);
    let keys = ["distances_gt_to_pred", "distances_pred_to_gt", "surfel_areas_gt", "surfel_areas_pred"];
    for (key, elements) in keys[..2].iter().zip([&truth, &prediction]) {
        result.set_item(key, column(elements, |element| element.distance_mm).into_pyarray(py))?;
    }
    for (key, elements) in keys[2..].iter().zip([&truth, &prediction]) {
        result.set_item(key, column(elements, |element| element.size).into_pyarray(py))?;
    }
    Ok(result)
}

fn column(elements: &[SurfaceElement], value: impl Fn(&SurfaceElement) -> f64) -> Vec<f64> {
    elements.iter().map(value).collect()
}

/// Dice of two masks with any number of axes: twice the shared voxels over the voxels of both; NaN if both are empty.
///
/// Raises ValueError if the masks do not have one shape.
#[pyfunction]
pub(crate) fn compute_dice_coefficient<'py>(
    py: Python<'py>,
    mask_gt: &Bound<'py, PyAny>,
    mask_pred: &Bound<'py, PyAny>,
) -> PyResult<f64> {
    let [truth, prediction] = Mask::pair(NAMES, mask_gt, mask_pred)?;
    if truth.shape() != prediction.shape() {
        let (truth, prediction) = (truth.shape(), prediction.shape());
        return Err(PyValueError::new_err(format!(
            "mask_gt of {truth:?} voxels and mask_pred of {prediction:?} voxels do not lie on one grid"
        )));
    }
    let (truth, prediction) = (truth.view(), prediction.view());
    let overlap = py.detach(|| overlap(truth, prediction)).map_err(value_error)?;
    Ok(overlap.dice().unwrap_or(f64::NAN))
}

/// The overlap of two masks of one shape with any number of axes.
fn overlap(
    mut truth: ArrayViewD<u8>,
    mut prediction: ArrayViewD<u8>,
) -> Result<Overlap, sam3d_metrics::MetricsError> {
    if truth.ndim() > 3 {
        let mut sum = Overlap::default();
        for (truth, prediction) in truth.outer_iter().zip(prediction.outer_iter()) {
            let part = overlap(truth, prediction)?;
            sum.truth_voxels += part.truth_voxels;
            sum.prediction_voxels += part.prediction_voxels;
            sum.shared_voxels += part.shared_voxels;
        }
        return Ok(sum);
    }
    while truth.ndim() < 3 {
        (truth, prediction) = (truth.insert_axis(Axis(0)), prediction.insert_axis(Axis(0)));
    }
    match (truth.into_dimensionality::<Ix3>(), prediction.into_dimensionality::<Ix3>()) {
        (Ok(truth), Ok(prediction)) => Overlap::between(truth, prediction),
        _ => Ok(Overlap::default()),
    }
}
