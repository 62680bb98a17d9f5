//! Prompts as Python gives them.

use pyo3::prelude::*;
use sam3d_infer::{MaskRuns, SCRIBBLE_WIDTH};

use crate::{
    arguments::{label, mask, voxel},
    errors::invalid,
};

// Signatures show the default, which they can do only with a number.
const _: () = assert!(SCRIBBLE_WIDTH == 3.0);

/// A prompt on the voxels (i, j, k) of a volume, to be given to Session.add; positive ones mark the target, others what is
/// outside.
#[pyclass(frozen, eq, module = "sam3d")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompt(pub(crate) sam3d_infer::Prompt);

#[pymethods]
impl Prompt {
    /// A click on a voxel.
    #[staticmethod]
    #[pyo3(signature = (voxel_ijk, *, positive = true))]
    pub(crate) fn click(voxel_ijk: [i64; 3], positive: bool) -> PyResult<Self> {
        Ok(Self(sam3d_infer::Prompt::click(voxel(voxel_ijk)?, label(positive))))
    }

    /// A box with its first and last voxel, in one slice or across several.
    #[staticmethod]
    #[pyo3(signature = (first_ijk, last_ijk, *, positive = true))]
    pub(crate) fn r#box(first_ijk: [i64; 3], last_ijk: [i64; 3], positive: bool) -> PyResult<Self> {
        let (first, last) = (voxel(first_ijk)?, voxel(last_ijk)?);
        Ok(Self(sam3d_infer::Prompt::Box { first, last, label: label(positive) }))
    }

    /// A stroke through voxels of one slice, of a width in voxels.
    #[staticmethod]
    #[pyo3(signature = (path_ijk, *, positive = true, width = 3.0))]
    pub(crate) fn scribble(path_ijk: Vec<[i64; 3]>, positive: bool, width: f64) -> PyResult<Self> {
        let path = path_ijk.into_iter().map(voxel).collect::<PyResult<_>>()?;
        Ok(Self(sam3d_infer::Prompt::Scribble { path, width, label: label(positive) }))
    }

    /// A closed outline in one slice: its corners, in voxels and fractions of them.
    #[staticmethod]
    #[pyo3(signature = (outline_ijk, *, positive = true))]
    pub(crate) fn lasso(outline_ijk: Vec<[f64; 3]>, positive: bool) -> Self {
        Self(sam3d_infer::Prompt::Lasso { outline: outline_ijk, label: label(positive) })
    }

    /// A mask [k, j, i] to begin from: it is the answer until another prompt corrects it.
    #[staticmethod]
    pub(crate) fn initial_mask(mask_kji: &Bound<'_, PyAny>) -> PyResult<Self> {
        let values = mask("mask_kji", mask_kji)?;
        let runs = MaskRuns::of(values.view());
        if runs.runs.is_empty() {
            return Err(invalid("the mask to begin from is empty"));
        }
        Ok(Self(sam3d_infer::Prompt::Mask(runs)))
    }

    fn __repr__(&self) -> String {
        let inside = matches!(self.0.label(), sam3d_geom::PointLabel::Positive);
        let kind = match self.0 {
            sam3d_infer::Prompt::Click { .. } => "click",
            sam3d_infer::Prompt::Box { .. } => "box",
            sam3d_infer::Prompt::Lasso { .. } => "lasso",
            sam3d_infer::Prompt::Scribble { .. } => "scribble",
            sam3d_infer::Prompt::Mask(_) => "initial_mask",
        };
        format!("<Prompt {kind}, {}>", if inside { "positive" } else { "negative" })
    }
}
