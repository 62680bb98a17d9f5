//! What Python hands over: masks as views of numpy's memory, spacings, and errors as `ValueError`.

use std::fmt::Display;

use ndarray::{ArrayView3, Ix3};
use numpy::{PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::{exceptions::PyValueError, prelude::*, sync::PyOnceLock, types::PyModule};
use sam3d_geom::Spacing;

/// A mask, borrowed while this lives: one byte a voxel, every value but 0 belongs to it.
pub(crate) struct Mask<'py> {
    name: &'static str,
    bytes: PyReadonlyArrayDyn<'py, u8>,
}

impl<'py> Mask<'py> {
    /// The array `argument`, called `name` in messages. Booleans and integers of one byte, in any order of the axes and with
    /// any strides, are not copied; of another type, what differs from 0 is a copy.
    pub(crate) fn new(name: &'static str, argument: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = argument.py();
        let numpy = numpy_module(py)?;
        let array = numpy.call_method1("asarray", (argument,))?;
        let item: usize = array.getattr("itemsize")?.extract()?;
        let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
        let of_bytes = if item == 1 && matches!(kind.as_str(), "b" | "u" | "i") {
            array
        } else if matches!(kind.as_str(), "u" | "i" | "f") {
            numpy.call_method1("not_equal", (array, 0))?
        } else {
            let dtype = array.getattr("dtype")?;
            return Err(PyValueError::new_err(format!(
                "{name} should be an array of booleans or numbers, not of {dtype}"
            )));
        };
        let bytes = of_bytes.call_method1("view", (numpy.getattr("uint8")?,))?;
        let bytes = bytes.cast_into::<PyArrayDyn<u8>>().map_err(PyErr::from)?;
        let bytes = bytes.try_readonly().map_err(value_error)?;
        Ok(Self { name, bytes })
    }

    /// A pair of masks.
    pub(crate) fn pair(
        names: [&'static str; 2],
        truth: &Bound<'py, PyAny>,
        prediction: &Bound<'py, PyAny>,
    ) -> PyResult<[Self; 2]> {
        Ok([Self::new(names[0], truth)?, Self::new(names[1], prediction)?])
    }

    /// Its shape.
    pub(crate) fn shape(&self) -> &[usize] {
        self.bytes.shape()
    }

    /// A view of it, whatever its number of axes.
    pub(crate) fn view(&self) -> ndarray::ArrayViewD<'_, u8> {
        self.bytes.as_array()
    }

    /// A view of a mask of three axes.
    pub(crate) fn volume(&self) -> PyResult<ArrayView3<'_, u8>> {
        let with_axes = || {
            let (name, shape) = (self.name, self.shape());
            value_error(format!("{name} should have three axes [D, H, W], not the shape {shape:?}"))
        };
        self.view().into_dimensionality::<Ix3>().map_err(|_| with_axes())
    }
}

/// The names of most pairs.
pub(crate) const TRUTH_AND_PREDICTION: [&str; 2] = ["truth", "prediction"];

/// A spacing in the order of a volume's axes.
pub(crate) fn spacing(mm: [f64; 3]) -> PyResult<Spacing> {
    Spacing::new(mm).map_err(value_error)
}

/// An error as Python's `ValueError`.
pub(crate) fn value_error(error: impl Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The module numpy, looked up once.
fn numpy_module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    NUMPY
        .get_or_try_init(py, || PyModule::import(py, "numpy").map(Bound::unbind))
        .map(|module| module.bind(py))
}
