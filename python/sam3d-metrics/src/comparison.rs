//! Everything about one pair of masks, and about each label of two label volumes.

use std::collections::BTreeMap;

use ndarray::{ArrayView3, Ix3};
use numpy::{PyArrayDyn, PyArrayMethods};
use pyo3::{exceptions::PyValueError, prelude::*};
use sam3d_geom::Spacing;
use sam3d_metrics::{Percentile, Tolerance};

use crate::arguments::{Mask, TRUTH_AND_PREDICTION, spacing, value_error};

/// Two masks of three axes [D, H, W] compared: overlap, and distances between their surfaces in mm.
///
/// Every value but 0 belongs to a mask. Scores that have no meaning for the masks at hand are None (Dice of two empty masks); a
/// distance to an empty mask is infinite.
///
/// Raises ValueError if the masks do not have one shape of three axes, or spacing_mm is not three positive numbers.
#[pyclass(frozen, module = "sam3d_metrics")]
#[derive(Debug)]
pub(crate) struct Comparison {
    inner: sam3d_metrics::Comparison,
    spacing: Spacing,
}

#[pymethods]
impl Comparison {
    #[new]
    fn new<'py>(
        py: Python<'py>,
        truth: &Bound<'py, PyAny>,
        prediction: &Bound<'py, PyAny>,
        spacing_mm: [f64; 3],
    ) -> PyResult<Self> {
        let [truth, prediction] = Mask::pair(TRUTH_AND_PREDICTION, truth, prediction)?;
        let (truth, prediction, spacing) = (truth.volume()?, prediction.volume()?, spacing(spacing_mm)?);
        let inner = py.detach(|| sam3d_metrics::Comparison::between(truth, prediction, spacing));
        Ok(Self { inner: inner.map_err(value_error)?, spacing })
    }

    /// Number of voxels of the truth.
    #[getter]
    fn truth_voxels(&self) -> u64 {
        self.inner.overlap.truth_voxels
    }

    /// Number of voxels of the prediction.
    #[getter]
    fn prediction_voxels(&self) -> u64 {
        self.inner.overlap.prediction_voxels
    }

    /// Number of voxels of both.
    #[getter]
    fn shared_voxels(&self) -> u64 {
        self.inner.overlap.shared_voxels
    }

    /// Dice; None if both masks are empty.
    #[getter]
    fn dice(&self) -> Option<f64> {
        self.inner.overlap.dice()
    }

    /// Intersection over union (Jaccard index); None if both masks are empty.
    #[getter]
    fn iou(&self) -> Option<f64> {
        self.inner.overlap.iou()
    }

    /// Volume of the prediction minus volume of the truth, in mm³.
    #[getter]
    fn volume_error_mm3(&self) -> f64 {
        self.inner.overlap.volume_error_mm3(self.spacing)
    }

    /// The volume error as a fraction of the truth's volume; None if the truth is empty.
    #[getter]
    fn relative_volume_error(&self) -> Option<f64> {
        self.inner.overlap.relative_volume_error()
    }

    /// Average symmetric surface distance in mm; None if both masks are empty, infinite if one is.
    #[getter]
    fn average_symmetric_mm(&self) -> Option<f64> {
        self.inner.distances.average_symmetric_mm()
    }

    /// Average distances in mm from the truth's surface to the prediction's and back; None from an empty mask.
    #[getter]
    fn average_mm(&self) -> (Option<f64>, Option<f64>) {
        let distances = &self.inner.distances;
        (distances.truth_to_prediction().average_mm(), distances.prediction_to_truth().average_mm())
    }

    /// Normalized surface dice (surface dice) at tolerance_mm; None if both masks are empty.
    fn nsd(&self, tolerance_mm: f64) -> PyResult<Option<f64>> {
        Ok(self.inner.distances.nsd(Tolerance::new(tolerance_mm).map_err(value_error)?))
    }

    /// Fractions of the truth's surface and of the prediction's within tolerance_mm of the other; None of an empty mask.
    fn surface_overlap(&self, tolerance_mm: f64) -> PyResult<(Option<f64>, Option<f64>)> {
        let tolerance = Tolerance::new(tolerance_mm).map_err(value_error)?;
        let distances = &self.inner.distances;
        Ok((
            distances.truth_to_prediction().overlap(tolerance),
            distances.prediction_to_truth().overlap(tolerance),
        ))
    }

    /// Hausdorff distance in mm at a percentile of the surfaces' area; None if both masks are empty, infinite if one is.
    #[pyo3(signature = (percent = 100.0))]
    fn hausdorff_mm(&self, percent: f64) -> PyResult<Option<f64>> {
        Ok(self.inner.distances.hausdorff_mm(Percentile::new(percent).map_err(value_error)?))
    }

    fn __repr__(&self) -> String {
        let sam3d_metrics::Overlap { truth_voxels, prediction_voxels, shared_voxels } = self.inner.overlap;
        format!(
            "Comparison(truth_voxels={truth_voxels}, prediction_voxels={prediction_voxels}, shared_voxels={shared_voxels})"
        )
    }
}

/// Compares each label of two label volumes of uint8 or uint16 and three axes [D, H, W].
///
/// Returns a dictionary from label to Comparison: of the labels asked for, else of every label but 0 in either volume. A label that is
/// in neither is compared as two empty masks. Each voxel is read once, however many labels there are.
///
/// Raises ValueError if the volumes do not have one type and one shape.
#[pyfunction]
#[pyo3(signature = (truth, prediction, spacing_mm, labels = None))]
pub(crate) fn compare_labels<'py>(
    py: Python<'py>,
    truth: &Bound<'py, PyAny>,
    prediction: &Bound<'py, PyAny>,
    spacing_mm: [f64; 3],
    labels: Option<Vec<u16>>,
) -> PyResult<BTreeMap<u16, Comparison>> {
    let spacing = spacing(spacing_mm)?;
    if let (Ok(truth), Ok(prediction)) = (truth.cast::<PyArrayDyn<u8>>(), prediction.cast::<PyArrayDyn<u8>>())
    {
        let too_large = |_| value_error("the volumes are of uint8: no label is above 255");
        let labels = labels.map(|labels| labels.into_iter().map(u8::try_from).collect::<Result<Vec<_>, _>>());
        let labels = labels.transpose().map_err(too_large)?;
        let (truth, prediction) =
            (truth.try_readonly().map_err(value_error)?, prediction.try_readonly().map_err(value_error)?);
        return by_label(py, truth.as_array(), prediction.as_array(), spacing, labels.as_deref());
    }
    if let (Ok(truth), Ok(prediction)) =
        (truth.cast::<PyArrayDyn<u16>>(), prediction.cast::<PyArrayDyn<u16>>())
    {
        let (truth, prediction) =
            (truth.try_readonly().map_err(value_error)?, prediction.try_readonly().map_err(value_error)?);
        return by_label(py, truth.as_array(), prediction.as_array(), spacing, labels.as_deref());
    }
    Err(PyValueError::new_err("truth and prediction should both be numpy arrays of uint8, or both of uint16"))
}

fn by_label<T>(
    py: Python<'_>,
    truth: ndarray::ArrayViewD<T>,
    prediction: ndarray::ArrayViewD<T>,
    spacing: Spacing,
    labels: Option<&[T]>,
) -> PyResult<BTreeMap<u16, Comparison>>
where
    T: Copy + PartialEq + Send + Sync + Into<u32> + Into<u16> + TryFrom<u32>,
{
    let shape = format!("{:?} and {:?}", truth.shape(), prediction.shape());
    let axes =
        |_| value_error(format!("truth and prediction should have three axes, not the shapes {shape}"));
    let truth: ArrayView3<T> = truth.into_dimensionality::<Ix3>().map_err(axes)?;
    let prediction: ArrayView3<T> = prediction.into_dimensionality::<Ix3>().map_err(axes)?;
    let compared = py.detach(|| sam3d_metrics::compare_labels(truth, prediction, spacing, labels));
    let compared = compared.map_err(value_error)?;
    Ok(compared
        .into_iter()
        .map(|one| (one.label.into(), Comparison { inner: one.comparison, spacing }))
        .collect())
}
