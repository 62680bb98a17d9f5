//! Resampling and crops of arrays [D, H, W].

use ndarray::Array3;
use numpy::{Element, IntoPyArray, PyArray3};
use pyo3::prelude::*;
use sam3d_geom::Extent;
use sam3d_io::{
    crop::CropWindow,
    resample::{factors, to_shape, to_spacing},
};

use crate::{
    arguments::{intensities, mask, spacing, volume_array},
    errors::{exception, invalid},
    parallel::compute,
};

/// Resamples an array [D, H, W] from one spacing to another, trilinearly, as float32: floor(n * spacing / target) voxels along
/// each axis; the centres of the outermost voxels' faces stay where they are.
#[pyfunction]
pub(crate) fn resample<'py>(
    py: Python<'py>,
    array: &Bound<'py, PyAny>,
    spacing_mm: [f64; 3],
    target_mm: [f64; 3],
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let factors = factors(spacing(spacing_mm)?, spacing(target_mm)?);
    let values = intensities("array", array)?;
    let values = values.view();
    let resampled = compute(py, || to_spacing(values, factors))?;
    Ok(resampled.map_err(exception)?.into_pyarray(py))
}

/// Resamples an array [D, H, W] to a shape, trilinearly, as float32: the way back from `resample`.
#[pyfunction]
pub(crate) fn resize<'py>(
    py: Python<'py>,
    array: &Bound<'py, PyAny>,
    shape: [usize; 3],
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let extent = Extent::new(shape).map_err(exception)?;
    let values = intensities("array", array)?;
    let values = values.view();
    let resampled = compute(py, || to_shape(values, extent))?;
    Ok(resampled.map_err(exception)?.into_pyarray(py))
}

/// The cube of `side` voxels of an array [D, H, W] that begins at `start`, or that lies around the voxel `around` (it begins at
/// around - side // 2); `fill` where it sticks out. Masks (bool, uint8) give uint8, everything else float32.
#[pyfunction]
#[pyo3(signature = (array, side, *, start = None, around = None, fill = 0.0))]
pub(crate) fn crop<'py>(
    py: Python<'py>,
    array: &Bound<'py, PyAny>,
    side: usize,
    start: Option<[i64; 3]>,
    around: Option<[i64; 3]>,
    fill: f32,
) -> PyResult<Bound<'py, PyAny>> {
    let window = match (start, around) {
        (Some(start), None) => CropWindow::new(start, side),
        (None, Some(voxel)) => CropWindow::around(voxel, side),
        _ => return Err(invalid("a crop needs either start or around")),
    };
    if Extent::new([side; 3]).is_err() || side.checked_pow(3).is_none_or(|voxels| voxels > LARGEST) {
        return Err(invalid(format!("side should be 1 to 1024 voxels, found {side}")));
    }
    let (numbers, kind) = volume_array("array", array)?;
    let is_mask = kind == 'b' || kind == 'u' && numbers.getattr("itemsize")?.extract::<usize>()? == 1;
    if is_mask {
        if !(0.0..=255.0).contains(&fill) || fill.fract() != 0.0 {
            return Err(invalid(format!("fill should be 0 to 255 for a mask, found {fill}")));
        }
        let values = mask("array", array)?;
        let values = values.view();
        return finished(py, compute(py, || window.extract(values, fill as u8))?);
    }
    let values = intensities("array", array)?;
    let values = values.view();
    finished(py, compute(py, || window.extract(values, fill))?)
}

/// The most voxels of a crop.
const LARGEST: usize = 1 << 30;

fn finished<T: Element>(py: Python<'_>, crop: Array3<T>) -> PyResult<Bound<'_, PyAny>> {
    Ok(crop.into_pyarray(py).into_any())
}
