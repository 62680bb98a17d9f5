//! Connected components, error components and corrective clicks.

use numpy::{IntoPyArray, PyArray3};
use pyo3::{exceptions::PyValueError, prelude::*};
use sam3d_geom::PointLabel;
use sam3d_metrics::{ClickRule, Connectivity};

use crate::arguments::{Mask, TRUTH_AND_PREDICTION, spacing, value_error};

/// One connected part of a mask.
#[pyclass(frozen, get_all, eq, module = "sam3d_metrics")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    /// Number of voxels.
    voxels: u64,
    /// First voxel of the box around it, (D, H, W).
    start: (usize, usize, usize),
    /// One past the last voxel of the box around it, (D, H, W).
    end: (usize, usize, usize),
}

#[pymethods]
impl Component {
    fn __repr__(&self) -> String {
        let Self { voxels, start, end } = self;
        format!("Component(voxels={voxels}, start={start:?}, end={end:?})")
    }
}

impl From<sam3d_metrics::Component> for Component {
    fn from(component: sam3d_metrics::Component) -> Self {
        let sam3d_metrics::Component { voxels, start, end } = component;
        Self { voxels, start: start.into(), end: end.into() }
    }
}

fn connectivity_named(name: &str) -> PyResult<Connectivity> {
    match name {
        "faces" => Ok(Connectivity::Faces),
        "edges" => Ok(Connectivity::Edges),
        "corners" => Ok(Connectivity::Corners),
        _ => Err(PyValueError::new_err(format!(
            "unknown connectivity {name}: expected faces (6 neighbours), edges (18) or corners (26)"
        ))),
    }
}

/// The connected components of a mask [D, H, W], in the C order of their first voxels.
///
/// connectivity is "faces" (6 neighbours), "edges" (18) or "corners" (26).
#[pyfunction]
#[pyo3(signature = (mask, connectivity = "corners"))]
pub(crate) fn components<'py>(
    py: Python<'py>,
    mask: &Bound<'py, PyAny>,
    connectivity: &str,
) -> PyResult<Vec<Component>> {
    let connectivity = connectivity_named(connectivity)?;
    let mask = Mask::new("mask", mask)?;
    let mask = mask.volume()?;
    let found = py.detach(|| sam3d_metrics::components(mask, connectivity));
    Ok(found.into_iter().map(Component::from).collect())
}

/// Voxels in which truth and prediction differ and that are connected by 26 neighbours.
#[pyclass(frozen, module = "sam3d_metrics")]
#[derive(Debug)]
pub(crate) struct ErrorComponent {
    inner: sam3d_metrics::ErrorComponent,
}

#[pymethods]
impl ErrorComponent {
    /// Number of voxels.
    #[getter]
    fn voxels(&self) -> u64 {
        self.inner.voxels()
    }

    /// First voxel of the box around it, (D, H, W).
    #[getter]
    fn start(&self) -> (usize, usize, usize) {
        self.inner.start().into()
    }

    /// One past the last voxel of the box around it, (D, H, W).
    #[getter]
    fn end(&self) -> (usize, usize, usize) {
        self.inner.end().into()
    }

    /// Whether the voxel (D, H, W) of the volume is in it.
    fn contains(&self, voxel: (usize, usize, usize)) -> bool {
        self.inner.contains(voxel.into())
    }

    /// By voxel of the component's box, the distance in mm to the nearest voxel that is not in it; 0 where the voxel itself
    /// is not. Beyond the volume no voxel is in it.
    fn depth_map_mm<'py>(
        &self,
        py: Python<'py>,
        spacing_mm: [f64; 3],
    ) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let spacing = spacing(spacing_mm)?;
        let map = py.detach(|| self.inner.depth_map_mm(spacing)).map_err(value_error)?;
        Ok(map.as_standard_layout().into_owned().into_pyarray(py))
    }

    /// The voxel (D, H, W) farthest in mm from everything outside the component, of equal ones the first in C order; and that
    /// distance.
    fn deepest(&self, py: Python<'_>, spacing_mm: [f64; 3]) -> PyResult<((usize, usize, usize), f64)> {
        let spacing = spacing(spacing_mm)?;
        let deepest = py.detach(|| self.inner.deepest(spacing)).map_err(value_error)?;
        Ok((deepest.voxel.into(), deepest.depth_mm))
    }

    fn __repr__(&self) -> String {
        format!("ErrorComponent(voxels={}, start={:?}, end={:?})", self.voxels(), self.start(), self.end())
    }
}

/// The connected components (26 neighbours) of the voxels in which truth and prediction, both [D, H, W], differ, in the C order
/// of their first voxels.
#[pyfunction]
pub(crate) fn error_components<'py>(
    py: Python<'py>,
    truth: &Bound<'py, PyAny>,
    prediction: &Bound<'py, PyAny>,
) -> PyResult<Vec<ErrorComponent>> {
    let [truth, prediction] = Mask::pair(TRUTH_AND_PREDICTION, truth, prediction)?;
    let (truth, prediction) = (truth.volume()?, prediction.volume()?);
    let found = py.detach(|| sam3d_metrics::error_components(truth, prediction)).map_err(value_error)?;
    Ok(found.into_iter().map(|inner| ErrorComponent { inner }).collect())
}

/// A click that corrects a prediction.
#[pyclass(frozen, get_all, eq, module = "sam3d_metrics")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CorrectiveClick {
    /// The voxel, (D, H, W).
    voxel: (usize, usize, usize),
    /// Whether the voxel belongs to the truth: a positive click, where the prediction misses it; else a negative one.
    positive: bool,
    /// Number of voxels of the error component that holds the click.
    component_voxels: u64,
    /// Distance in mm from the click to the nearest voxel outside that component.
    depth_mm: f64,
}

#[pymethods]
impl CorrectiveClick {
    fn __repr__(&self) -> String {
        let Self { voxel, positive, component_voxels, depth_mm } = self;
        let positive = if *positive { "True" } else { "False" };
        format!(
            "CorrectiveClick(voxel={voxel:?}, positive={positive}, component_voxels={component_voxels}, depth_mm={depth_mm})"
        )
    }
}

/// Where a simulated user who sees truth and prediction, both [D, H, W], clicks next; None if they are equal.
///
/// rule is "largest" (the deepest voxel in mm of the largest error component), "imed3d" (the same with depth in voxels),
/// "deepest" (the deepest voxel in mm of everything that is missing or of everything that is too much) or "random" (any
/// voxel of the error), which draws from rng, a numpy.random.Generator. Ties go to the first voxel in C order.
#[pyfunction]
#[pyo3(signature = (truth, prediction, spacing_mm, rule = "largest", rng = None))]
pub(crate) fn corrective_click<'py>(
    py: Python<'py>,
    truth: &Bound<'py, PyAny>,
    prediction: &Bound<'py, PyAny>,
    spacing_mm: [f64; 3],
    rule: &str,
    rng: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<CorrectiveClick>> {
    let rule: ClickRule = rule.parse().map_err(value_error)?;
    if rule == ClickRule::Random && rng.is_none() {
        return Err(PyValueError::new_err("the rule random draws: give it rng, a numpy.random.Generator"));
    }
    let [truth, prediction] = Mask::pair(TRUTH_AND_PREDICTION, truth, prediction)?;
    let (truth, prediction, spacing) = (truth.volume()?, prediction.volume()?, spacing(spacing_mm)?);
    let rng = rng.map(Bound::unbind);
    let mut drawn = Ok(0);
    let below = |n: u64| {
        drawn = Python::attach(|py| match &rng {
            Some(rng) => rng.bind(py).call_method1("integers", (n,))?.extract::<u64>(),
            None => Ok(0),
        });
        drawn.as_ref().map_or(0, |number| *number)
    };
    let click = py.detach(|| sam3d_metrics::corrective_click(truth, prediction, spacing, rule, below));
    drawn?;
    let click = click.map_err(value_error)?.map(|click| CorrectiveClick {
        voxel: click.point.index.into(),
        positive: click.point.label == PointLabel::Positive,
        component_voxels: click.component_voxels,
        depth_mm: click.depth_mm,
    });
    Ok(click)
}
