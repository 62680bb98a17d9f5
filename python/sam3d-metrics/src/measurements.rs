//! Measurements of one mask, intensities inside it, and the distance transform.

use ndarray::{ArrayView3, Ix3};
use numpy::{AllowTypeChange, IntoPyArray, PyArray3, PyArrayLikeDyn};
use pyo3::{prelude::*, types::PyDict};
use sam3d_geom::Affine;
use sam3d_metrics::{Diameter, IntensityStatistics, MaskMeasurements};

use crate::arguments::{Mask, spacing, value_error};

/// Distance in mm from the centre of each voxel to the centre of the nearest voxel of a mask [D, H, W], as float32.
///
/// 0 on the mask, infinite everywhere if it is empty. Exact: computed in double precision and rounded once.
#[pyfunction]
pub(crate) fn distance_transform_mm<'py>(
    py: Python<'py>,
    mask: &Bound<'py, PyAny>,
    spacing_mm: [f64; 3],
) -> PyResult<Bound<'py, PyArray3<f32>>> {
    let spacing = spacing(spacing_mm)?;
    let mask = Mask::new("mask", mask)?;
    let mask = mask.volume()?;
    let distances = py.detach(|| sam3d_metrics::distance_transform_mm(mask, spacing)).map_err(value_error)?;
    Ok(distances.into_pyarray(py))
}

/// Measures a mask [D, H, W]; None if it is empty.
///
/// world_from_voxel has three rows (or four) of four numbers and maps (D, H, W) to millimetres: any spacing, oblique or
/// sheared. D should be the axis across axial slices. Returns a dictionary of voxels, volume_mm3, bounding_box (start and
/// end), bounding_box_mm, axial_slice, axial_longest_mm and axial_perpendicular_mm (RECIST and WHO), longest_mm (in any direction),
/// components and largest_component_voxels; the ends of each diameter, in voxels, are in axial_longest_ends and so on.
#[pyfunction]
pub(crate) fn measure_mask<'py>(
    py: Python<'py>,
    mask: &Bound<'py, PyAny>,
    world_from_voxel: Vec<[f64; 4]>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let affine = match world_from_voxel[..] {
        [a, b, c] | [a, b, c, [0.0, 0.0, 0.0, 1.0]] => Affine::new([a, b, c]).map_err(value_error)?,
        _ => {
            return Err(value_error(
                "world_from_voxel should have three rows of four numbers, or also a fourth of 0, 0, 0, 1",
            ));
        }
    };
    let mask = Mask::new("mask", mask)?;
    let mask = mask.volume()?;
    let Some(found) = py.detach(|| MaskMeasurements::of(mask, &affine)) else { return Ok(None) };
    let result = PyDict::new(py);
    result.set_item("voxels", found.voxels)?;
    result.set_item("volume_mm3", found.volume_mm3)?;
    result.set_item("bounding_box", (found.bounding_box.start(), found.bounding_box.end()))?;
    result.set_item("bounding_box_mm", found.bounding_box_mm)?;
    result.set_item("axial_slice", found.axial.slice)?;
    for (name, Diameter { length_mm, ends }) in [
        ("axial_longest", found.axial.longest),
        ("axial_perpendicular", found.axial.perpendicular),
        ("longest", found.longest),
    ] {
        result.set_item(format!("{name}_mm"), length_mm)?;
        result.set_item(format!("{name}_ends"), ends)?;
    }
    result.set_item("components", found.components)?;
    result.set_item("largest_component_voxels", found.largest_component_voxels)?;
    Ok(Some(result))
}

/// Mean, median, standard deviation, minimum and maximum of an image's values inside a mask of its shape [D, H, W], as a dictionary;
/// None if the mask is empty. Values are read in single precision.
#[pyfunction]
pub(crate) fn intensity_statistics<'py>(
    py: Python<'py>,
    image: PyArrayLikeDyn<'py, f32, AllowTypeChange>,
    mask: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let mask = Mask::new("mask", mask)?;
    let mask = mask.volume()?;
    let image: ArrayView3<f32> = image
        .as_array()
        .into_dimensionality::<Ix3>()
        .map_err(|_| value_error("image should have three axes [D, H, W]"))?;
    let found = py.detach(|| IntensityStatistics::of(image, mask)).map_err(value_error)?;
    let Some(IntensityStatistics { mean, median, std, minimum, maximum }) = found else { return Ok(None) };
    let result = PyDict::new(py);
    for (name, value) in
        [("mean", mean), ("median", median), ("std", std), ("minimum", minimum), ("maximum", maximum)]
    {
        result.set_item(name, value)?;
    }
    Ok(Some(result))
}
