//! How volumes become the network's input, and probabilities go back into the file's grid.

use numpy::{IntoPyArray, PyArray3};
use pyo3::{prelude::*, types::PyDict};
use sam3d_data::dataset::Dataset;
use sam3d_geom::{Intensity, Interpolation, Orientation};
use sam3d_io::prepare::{self, Frame};

use crate::{
    arguments::{intensities, spacing},
    errors::{exception, invalid},
    parallel::compute,
    volume::{Volume, axes},
};

/// How a volume becomes the network's input: oriented to [D, H, W], resampled to spacing_mm, clipped to clip_hu, then
/// (value - mean) / std.
///
/// orientation and interpolation are as in a dataset's description: without an orientation the affine decides (D to superior, H to
/// posterior, W to the left); interpolation is "trilinear" or "slices-apart".
#[pyclass(frozen, eq, module = "sam3d")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preprocessing(pub(crate) sam3d_geom::Preprocessing);

#[pymethods]
impl Preprocessing {
    #[new]
    #[pyo3(signature = (*, clip_hu, mean, std, spacing_mm, orientation = None, interpolation = "trilinear"))]
    fn new(
        clip_hu: [f64; 2],
        mean: f64,
        std: f64,
        spacing_mm: [f64; 3],
        orientation: Option<[usize; 3]>,
        interpolation: &str,
    ) -> PyResult<Self> {
        let interpolation = match interpolation {
            "trilinear" => Interpolation::Trilinear,
            "slices-apart" => Interpolation::SlicesApart,
            other => {
                return Err(invalid(format!(
                    "interpolation should be 'trilinear' or 'slices-apart', not {other:?}"
                )));
            }
        };
        Ok(Self(sam3d_geom::Preprocessing {
            intensity: Intensity::new(clip_hu, mean, std).map_err(exception)?,
            spacing_mm: spacing(spacing_mm)?,
            orientation: axes(orientation)?,
            interpolation,
        }))
    }

    /// The preprocessing of a dataset: its name ("msd-colon", "kits21", ...), or the path of its description.
    #[staticmethod]
    fn of_dataset(name: &str) -> PyResult<Self> {
        Ok(Self(Dataset::named_or_open(name).map_err(exception)?.preprocessing))
    }

    /// Lower and upper clip in HU.
    #[getter]
    fn clip_hu(&self) -> (f64, f64) {
        self.0.intensity.clip_hu().into()
    }

    /// What is subtracted, in HU.
    #[getter]
    fn mean(&self) -> f64 {
        self.0.intensity.mean()
    }

    /// What is divided by, in HU.
    #[getter]
    fn std(&self) -> f64 {
        self.0.intensity.std()
    }

    /// Spacing after resampling in mm, (D, H, W).
    #[getter]
    fn spacing_mm(&self) -> (f64, f64, f64) {
        self.0.spacing_mm.mm().into()
    }

    /// The stored axes (0 = i, 1 = j, 2 = k) for D, H and W; None if the affine decides.
    #[getter]
    fn orientation(&self) -> Option<(usize, usize, usize)> {
        match self.0.orientation {
            Orientation::Lps => None,
            Orientation::AsStored(stored) => Some(stored.axes().into()),
        }
    }

    /// "trilinear" or "slices-apart".
    #[getter]
    fn interpolation(&self) -> &'static str {
        match self.0.interpolation {
            Interpolation::Trilinear => "trilinear",
            Interpolation::SlicesApart => "slices-apart",
        }
    }

    /// The volume as the network sees it: oriented, resampled, clipped and, unless normalise is False, normalised; float32
    /// [D, H, W].
    #[pyo3(signature = (volume, *, normalise = true))]
    fn image<'py>(
        &self,
        py: Python<'py>,
        volume: &Volume,
        normalise: bool,
    ) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let volume = volume.copy(py)?;
        let prepared = compute(py, || match normalise {
            true => prepare::prepare_image(&volume, &self.0),
            false => prepare::prepare_clipped(&volume, &self.0),
        })?;
        Ok(prepared.map_err(exception)?.image.into_pyarray(py))
    }

    /// The voxels of a label map that are target_class, resampled as the image is: uint8 [D, H, W], 1 where the interpolated
    /// mask exceeds one half.
    #[pyo3(signature = (label, *, target_class = 1))]
    fn label<'py>(
        &self,
        py: Python<'py>,
        label: &Volume,
        target_class: u32,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let label = label.copy(py)?;
        let prepared = compute(py, || prepare::prepare_label(&label, target_class, &self.0))?;
        Ok(prepared.map_err(exception)?.into_pyarray(py))
    }

    /// A probability in the resampled grid, [D, H, W], in the grid of `volume`'s file: float32 [k, j, i].
    fn to_file<'py>(
        &self,
        py: Python<'py>,
        volume: &Volume,
        probability: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let frame = Frame::new(volume.grid(), &self.0).map_err(exception)?;
        let probability = intensities("probability", probability)?;
        let probability = probability.view();
        let native = compute(py, || frame.to_native(probability))?;
        Ok(native.map_err(exception)?.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        let ((low, high), (d, h, w)) = (self.clip_hu(), self.spacing_mm());
        let orientation = match self.orientation() {
            None => "None".to_owned(),
            Some((d, h, w)) => format!("({d}, {h}, {w})"),
        };
        format!(
            "Preprocessing(clip_hu=({low}, {high}), mean={}, std={}, spacing_mm=({d}, {h}, {w}), \
             orientation={orientation}, interpolation='{}')",
            self.mean(),
            self.std(),
            self.interpolation()
        )
    }
}

/// A dictionary as JSON, for the crates' own checks of its fields.
pub(crate) fn to_json(value: &Bound<'_, PyDict>) -> PyResult<String> {
    value.py().import("json")?.call_method1("dumps", (value,))?.extract()
}

/// JSON as Python's objects.
pub(crate) fn from_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}
