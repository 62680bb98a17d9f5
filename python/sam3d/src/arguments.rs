//! What Python hands over: arrays as views of numpy's memory, voxels, spacings, affines.

use ndarray::{ArrayView3, Ix3};
use numpy::{Element, PyArray3, PyArrayMethods, PyReadonlyArray3};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyModule};
use sam3d_geom::{Affine, PointLabel, Spacing};

use crate::errors::{exception, invalid};

/// The module numpy, looked up once.
pub(crate) fn numpy_module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static NUMPY: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    NUMPY
        .get_or_try_init(py, || PyModule::import(py, "numpy").map(Bound::unbind))
        .map(|module| module.bind(py))
}

/// `argument` as a numpy array of three axes, and the kind of its numbers (`b`, `u`, `i` or `f`). Tensors of PyTorch on the CPU
/// are arrays too.
pub(crate) fn volume_array<'py>(
    name: &str,
    argument: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, char)> {
    let array = numpy_module(argument.py())?.call_method1("asarray", (argument,))?;
    let dtype = array.getattr("dtype")?;
    let kind: char = dtype.getattr("kind")?.extract()?;
    if !matches!(kind, 'b' | 'u' | 'i' | 'f') {
        return Err(invalid(format!("{name} should be an array of numbers, not of {dtype}")));
    }
    let shape: Vec<usize> = array.getattr("shape")?.extract()?;
    match shape[..] {
        [_, _, _] => Ok((array, kind)),
        _ => Err(invalid(format!("{name} should have three axes, not the shape {shape:?}"))),
    }
}

/// Numbers in an array of three axes, in numpy's memory where they have this type already.
pub(crate) struct Numbers<'py, T: Element>(PyReadonlyArray3<'py, T>);

impl<'py, T: Element> Numbers<'py, T> {
    fn of(array: Bound<'py, PyAny>, dtype: &str) -> PyResult<Self> {
        let numpy = numpy_module(array.py())?;
        let array = numpy.call_method1("asarray", (array, dtype))?;
        let array = array.cast_into::<PyArray3<T>>().map_err(PyErr::from)?;
        array.try_readonly().map(Self).map_err(|error| invalid(error.to_string()))
    }

    /// Where they lie.
    pub(crate) fn view(&self) -> ArrayView3<'_, T> {
        self.0.as_array()
    }

    /// Number of voxels along each axis.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.view().dim().into()
    }
}

/// Intensities or probabilities; numbers of another type than float32 are converted.
pub(crate) fn intensities<'py>(name: &str, argument: &Bound<'py, PyAny>) -> PyResult<Numbers<'py, f32>> {
    Numbers::of(volume_array(name, argument)?.0, "float32")
}

/// A mask: 0 outside. Booleans and uint8 are used where they lie; of other whole numbers, what differs from 0 belongs to it.
pub(crate) fn mask<'py>(name: &str, argument: &Bound<'py, PyAny>) -> PyResult<Numbers<'py, u8>> {
    let (array, kind) = volume_array(name, argument)?;
    let numpy = numpy_module(argument.py())?;
    let dtype = array.getattr("dtype")?;
    let bytes = match kind {
        'f' => {
            return Err(invalid(format!(
                "{name} should be a mask of booleans or whole numbers, not of {dtype}: compare probabilities with a \
                 threshold first"
            )));
        }
        'b' | 'u' if array.getattr("itemsize")?.extract::<usize>()? == 1 => {
            array.call_method1("view", (numpy.getattr("uint8")?,))?
        }
        _ => numpy.call_method1("not_equal", (array, 0))?.call_method1("view", (numpy.getattr("uint8")?,))?,
    };
    Numbers::of(bytes, "uint8")
}

/// Copies `view` in C order.
pub(crate) fn owned<T: Clone>(view: ArrayView3<'_, T>) -> ndarray::Array<T, Ix3> {
    view.as_standard_layout().into_owned()
}

/// A voxel's index.
pub(crate) fn voxel(index: [i64; 3]) -> PyResult<[usize; 3]> {
    let indices = index.map(usize::try_from);
    match indices {
        [Ok(a), Ok(b), Ok(c)] => Ok([a, b, c]),
        _ => Err(invalid(format!("the voxel {index:?} lies outside the volume: an index is 0 or more"))),
    }
}

/// A spacing in the order of an array's axes.
pub(crate) fn spacing(mm: [f64; 3]) -> PyResult<Spacing> {
    Spacing::new(mm).map_err(exception)
}

/// An affine of three rows, or of four of which the last is 0, 0, 0, 1: an array, a tensor or lists.
pub(crate) fn affine(name: &str, argument: &Bound<'_, PyAny>) -> PyResult<Affine> {
    let rows = numpy_module(argument.py())?.call_method1("asarray", (argument, "float64"))?;
    let rows: Vec<[f64; 4]> = rows.call_method0("tolist")?.extract().unwrap_or_default();
    match rows[..] {
        [a, b, c] | [a, b, c, [0.0, 0.0, 0.0, 1.0]] => Affine::new([a, b, c]).map_err(exception),
        _ => Err(invalid(format!(
            "{name} should have three rows of four numbers, or also a fourth of 0, 0, 0, 1"
        ))),
    }
}

/// The four rows of an affine.
pub(crate) fn four_rows(affine: &Affine) -> Vec<Vec<f64>> {
    affine.rows().into_iter().chain([[0.0, 0.0, 0.0, 1.0]]).map(Vec::from).collect()
}

/// Whether a prompt marks the target or what is outside.
pub(crate) fn label(positive: bool) -> PointLabel {
    if positive { PointLabel::Positive } else { PointLabel::Negative }
}
