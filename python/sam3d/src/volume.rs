//! Volumes: read from files of any format, made of arrays, and written.

use std::path::{Path, PathBuf};

use ndarray::ArrayView3;
use numpy::{IntoPyArray, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray3};
use pyo3::{prelude::*, types::PyTuple};
use sam3d_geom::{Orientation, StoredAxes};
use sam3d_io::{
    AffineSource, Grid, IoError, LabelOptions, ReadLimits, ValueType, Voxel, atomic::Overwrite,
    orient::AxisMap,
};

use crate::{
    arguments::{self, intensities, numpy_module, owned, volume_array},
    errors::{exception, invalid},
    parallel::compute,
};

/// A volume: its values in the axes of its file, and where they lie in the patient.
///
/// Volume(array, affine) makes one of an array [k, j, i] (i, the file's first index, is the last axis; of an array
/// [i, j, k], as nibabel and MONAI have it, pass array.transpose(2, 1, 0)) and the 4 x 4 matrix from voxels (i, j, k) to
/// millimetres in RAS+.
#[pyclass(frozen, module = "sam3d")]
pub(crate) struct Volume {
    array: Py<PyArray3<f32>>,
    grid: Grid,
    nan_voxels: usize,
    stored: Option<ValueType>,
}

#[pymethods]
impl Volume {
    #[new]
    fn new<'py>(py: Python<'py>, array: &Bound<'py, PyAny>, affine: &Bound<'py, PyAny>) -> PyResult<Self> {
        let values = intensities("array", array)?;
        let [k, j, i] = values.shape();
        let affine = arguments::affine("affine", affine)?;
        let grid = Grid::from_affine([i, j, k], affine).map_err(exception)?;
        let values = values.view();
        let (data, nan_voxels) = compute(py, || finite(values))?;
        Ok(Self { array: data.into_pyarray(py).unbind(), grid, nan_voxels, stored: None })
    }

    /// The values as float32, [k, j, i]: array[k, j, i] is the voxel (i, j, k) of the file. Never NaN.
    #[getter]
    fn array<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray3<f32>> {
        self.array.bind(py).clone()
    }

    /// The 4 x 4 matrix from voxels (i, j, k) to millimetres in RAS+, as float64.
    #[getter]
    fn affine<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        Ok(PyArray2::from_vec2(py, &arguments::four_rows(self.grid.world_from_ijk()))?)
    }

    /// Number of voxels along i, j and k.
    #[getter]
    fn shape_ijk(&self) -> (usize, usize, usize) {
        self.grid.shape_ijk().into()
    }

    /// Distance between neighbouring voxels along i, j and k in mm.
    #[getter]
    fn spacing_ijk_mm(&self) -> (f64, f64, f64) {
        self.grid.spacing_ijk_mm().into()
    }

    /// Where the affine comes from: "sform", "qform", "space directions", "image positions" and so on; "spacing" if the file does not
    /// say how its axes lie in the patient; "array" for a volume that was not read from a file.
    #[getter]
    fn affine_source(&self) -> String {
        match (self.stored, self.grid.source()) {
            (None, AffineSource::Sform) => "array".to_owned(),
            (_, source) => source.to_string(),
        }
    }

    /// Type of the numbers in the file; None for a volume that was not read from a file.
    #[getter]
    fn stored_type(&self) -> Option<String> {
        self.stored.map(|stored| stored.to_string())
    }

    /// How many voxels were NaN in the file or the array; they are 0 here.
    #[getter]
    fn nan_voxels(&self) -> usize {
        self.nan_voxels
    }

    /// An array [k, j, i] of this volume's shape (the volume's own if none is given) as a contiguous array [D, H, W]: by default
    /// D runs to superior, H to posterior and W to the patient's left. orientation may also name the stored axes (0 = i, 1 = j,
    /// 2 = k) for D, H and W, which are then not flipped.
    #[pyo3(signature = (array = None, *, orientation = None))]
    fn to_dhw<'py>(
        &self,
        py: Python<'py>,
        array: Option<&Bound<'py, PyAny>>,
        orientation: Option<[usize; 3]>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let own = self.array.bind(py).as_any();
        let (array, _) = volume_array("array", array.unwrap_or(own))?;
        check_shape("array", &array, self.grid.shape_kji())?;
        let map = AxisMap::new(&self.grid, axes(orientation)?);
        let turned = array.call_method1("transpose", (map.axes().map(|axis| 2 - axis).to_vec(),))?;
        flipped(&turned, map.flips())
    }

    /// An array [D, H, W] as a contiguous array [k, j, i]: undoes to_dhw.
    #[pyo3(name = "from_dhw", signature = (array, *, orientation = None))]
    fn back_from_dhw<'py>(
        &self,
        array: &Bound<'py, PyAny>,
        orientation: Option<[usize; 3]>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (array, _) = volume_array("array", array)?;
        let map = AxisMap::new(&self.grid, axes(orientation)?);
        let shape = self.grid.shape_ijk();
        check_shape("array", &array, map.axes().map(|axis| shape[axis]))?;
        let mut back = vec![0; 3];
        for (a, axis) in map.axes().into_iter().enumerate() {
            back[2 - axis] = a;
        }
        let unflipped = flipped(&array, map.flips())?;
        flipped(&unflipped.call_method1("transpose", (back,))?, [false; 3])
    }

    /// Spacing in mm of what to_dhw returns, (D, H, W).
    #[pyo3(signature = (*, orientation = None))]
    fn spacing_dhw_mm(&self, orientation: Option<[usize; 3]>) -> PyResult<(f64, f64, f64)> {
        let map = AxisMap::new(&self.grid, axes(orientation)?);
        Ok(map.spacing(&self.grid).map_err(exception)?.mm().into())
    }

    /// The 4 x 4 matrix from voxels (D, H, W) of what to_dhw returns to millimetres in RAS+.
    #[pyo3(signature = (*, orientation = None))]
    fn affine_dhw<'py>(
        &self,
        py: Python<'py>,
        orientation: Option<[usize; 3]>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let map = AxisMap::new(&self.grid, axes(orientation)?);
        let affine = map.world_from_dhw(&self.grid).map_err(exception)?;
        Ok(PyArray2::from_vec2(py, &arguments::four_rows(&affine))?)
    }

    /// The voxel (i, j, k) nearest to a point in millimetres, RAS+ or, with lps=True, LPS+.
    ///
    /// Raises ValueError if the point lies outside the volume.
    #[pyo3(signature = (point_mm, *, lps = false))]
    fn voxel_at(&self, point_mm: [f64; 3], lps: bool) -> PyResult<(usize, usize, usize)> {
        let found = match lps {
            true => self.grid.voxel_from_lps_mm(point_mm),
            false => self.grid.voxel_from_ras_mm(point_mm),
        };
        Ok(found.map_err(exception)?.into())
    }

    fn __repr__(&self) -> String {
        let (i, j, k) = self.shape_ijk();
        let (x, y, z) = self.spacing_ijk_mm();
        format!("Volume({i} x {j} x {k} voxels of {x} x {y} x {z} mm)")
    }
}

impl Volume {
    fn of(py: Python<'_>, volume: sam3d_io::Volume) -> Self {
        let sam3d_io::Volume { data, grid, nan_voxels, value_type, .. } = volume;
        Self { array: data.into_pyarray(py).unbind(), grid, nan_voxels, stored: Some(value_type) }
    }

    /// Where its voxels lie.
    pub(crate) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// A copy for the crates below, with what a user wrote into the array since.
    pub(crate) fn copy(&self, py: Python<'_>) -> PyResult<sam3d_io::Volume> {
        let values: PyReadonlyArray3<'_, f32> =
            self.array.bind(py).try_readonly().map_err(|_| {
                invalid("the volume's array is being written to by another part of the program")
            })?;
        let values = values.as_array();
        let (data, nan_voxels) = compute(py, || finite(values))?;
        let value_type = self.stored.unwrap_or(ValueType::Float32);
        Ok(sam3d_io::Volume { data, grid: self.grid.clone(), nan_voxels, value_type, rescale: None })
    }
}

/// A copy without NaN or infinity, as files are read: NaN is 0, and infinities are the largest numbers. With the count of NaN.
fn finite(values: ArrayView3<'_, f32>) -> (ndarray::Array3<f32>, usize) {
    let mut nan_voxels = 0;
    let mut data = owned(values);
    data.map_inplace(|value| {
        if value.is_nan() {
            *value = 0.0;
            nan_voxels += 1;
        } else {
            *value = value.clamp(f32::MIN, f32::MAX);
        }
    });
    (data, nan_voxels)
}

/// The orientation of a call: by the affine, or stored axes.
pub(crate) fn axes(stored: Option<[usize; 3]>) -> PyResult<Orientation> {
    match stored {
        None => Ok(Orientation::Lps),
        Some(axes) => Ok(Orientation::AsStored(StoredAxes::new(axes).map_err(exception)?)),
    }
}

/// A contiguous copy with some axes reversed.
fn flipped<'py>(array: &Bound<'py, PyAny>, flips: [bool; 3]) -> PyResult<Bound<'py, PyAny>> {
    let numpy = numpy_module(array.py())?;
    let reversed: Vec<usize> = (0..3).filter(|axis| flips[*axis]).collect();
    let reversed = PyTuple::new(array.py(), reversed)?;
    let array = numpy.call_method1("flip", (array, reversed))?;
    // Not ascontiguousarray: what is contiguous already is to be copied as well.
    let order = pyo3::types::PyDict::new(array.py());
    order.set_item("order", "C")?;
    numpy.call_method("array", (array,), Some(&order))
}

/// Checks the shape of an array.
pub(crate) fn check_shape(name: &str, array: &Bound<'_, PyAny>, expected: [usize; 3]) -> PyResult<()> {
    let found: Vec<usize> = array.getattr("shape")?.extract()?;
    if found == expected {
        return Ok(());
    }
    Err(invalid(format!("{name} should have the shape {expected:?} of the volume, found {found:?}")))
}

fn limits(max_voxels: Option<usize>) -> ReadLimits {
    max_voxels.map_or_else(ReadLimits::default, |max_voxels| ReadLimits { max_voxels })
}

/// Reads a volume of any format, recognised by content: NIfTI, NRRD, MetaImage, DICOM (a directory, or one of its slices; series
/// is the Series Instance UID where there are several), DICOM SEG.
///
/// Raises OSError if the file cannot be read, and ValueError with the reason if it is no volume.
#[pyfunction]
#[pyo3(signature = (path, *, series = None, max_voxels = None))]
pub(crate) fn read(
    py: Python<'_>,
    path: PathBuf,
    series: Option<String>,
    max_voxels: Option<usize>,
) -> PyResult<Volume> {
    let limits = limits(max_voxels);
    let volume = compute(py, || match &series {
        Some(series) => sam3d_io::dicom::read(&path, Some(series), limits),
        None => sam3d_io::read(&path, limits),
    })?;
    Ok(Volume::of(py, volume.map_err(exception)?))
}

/// Reads a mask or label map that belongs to the image `like`: a volume of whole numbers in any format, the only structure of an
/// RT structure set as 0 and 1, or a DICOM SEG. With a threshold, values above it are 1 and all others 0.
///
/// Raises ValueError if the values are not whole numbers and no threshold is given, or if it lies on another grid.
#[pyfunction]
#[pyo3(signature = (path, like, *, threshold = None, max_voxels = None))]
pub(crate) fn read_label(
    py: Python<'_>,
    path: PathBuf,
    like: &Volume,
    threshold: Option<f32>,
    max_voxels: Option<usize>,
) -> PyResult<Volume> {
    let (limits, options) = (limits(max_voxels), LabelOptions { threshold, ..LabelOptions::default() });
    let grid = like.grid();
    let label = compute(py, || -> Result<_, IoError> {
        let label = sam3d_io::read_label_with(&path, grid, limits, options)?;
        sam3d_io::check_same_grid((Path::new("the image"), grid), (&path, &label.grid))?;
        Ok(label)
    })?;
    Ok(Volume::of(py, label.map_err(exception)?))
}

/// Writes an array [k, j, i] of booleans, uint8, int16, uint16 or float32 in the grid of the volume `like`, in its own type; the
/// name's ending (.nii, .nii.gz, .nrrd, .seg.nrrd) decides the format. The file is complete or not there.
///
/// Raises FileExistsError if the file is there and overwrite is not set.
#[pyfunction]
#[pyo3(signature = (path, array, like, *, overwrite = false))]
pub(crate) fn write<'py>(
    py: Python<'py>,
    path: PathBuf,
    array: &Bound<'py, PyAny>,
    like: &Volume,
    overwrite: bool,
) -> PyResult<()> {
    let (array, _) = volume_array("array", array)?;
    check_shape("array", &array, like.grid().shape_kji())?;
    let to = Target { path, grid: like.grid(), overwrite };
    if let Ok(values) = array.cast::<PyArray3<f32>>() {
        return to.write(py, values);
    }
    if let Ok(values) = array.cast::<PyArray3<i16>>() {
        return to.write(py, values);
    }
    if let Ok(values) = array.cast::<PyArray3<u16>>() {
        return to.write(py, values);
    }
    let dtype = array.getattr("dtype")?;
    let bytes = match dtype.getattr("kind")?.extract::<char>()? {
        'b' => array.call_method1("view", (numpy_module(py)?.getattr("uint8")?,))?,
        _ => array,
    };
    match bytes.cast::<PyArray3<u8>>() {
        Ok(values) => to.write(py, values),
        Err(_) => Err(invalid(format!(
            "array should be of bool, uint8, int16, uint16 or float32, not of {dtype}: convert it with astype"
        ))),
    }
}

/// Where an array is written.
struct Target<'a> {
    path: PathBuf,
    grid: &'a Grid,
    overwrite: bool,
}

impl Target<'_> {
    fn write<T: Voxel + numpy::Element + Sync>(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyArray3<T>>,
    ) -> PyResult<()> {
        let values = values.try_readonly().map_err(|error| invalid(error.to_string()))?;
        let values = values.as_array();
        let overwrite = if self.overwrite { Overwrite::Replace } else { Overwrite::Refuse };
        compute(py, || sam3d_io::write(&self.path, values, self.grid, overwrite))?.map_err(exception)
    }
}
