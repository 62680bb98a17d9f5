//! Contours as masks.
//!
//! Contours are filled in their own planes, whatever the orientation and spacing of those, and every voxel takes what the
//! nearest plane has at the place of its centre. Where the planes are the slices of the grid this is filling slice by slice.

mod fill;
mod gaps;
mod lattice;
mod nesting;
mod planes;
mod warning;

use ndarray::Array3;

use self::{fill::fill_stack, lattice::Lattice, planes::stacks};
use super::{DicomError, Roi};
use crate::Grid;

pub use warning::ContourWarning;

/// How contours become a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MaskOptions {
    /// Fill slices between contours that lie several slices apart, by interpolating the signed distance to both outlines.
    pub fill_gaps: bool,
}

/// The mask of a structure, and what a user should know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoiMask {
    /// The voxels inside the structure, 0 and 1, indexed `[k, j, i]`.
    pub mask: Array3<u8>,
    /// What was left out or is doubtful.
    pub warnings: Vec<ContourWarning>,
}

impl Roi {
    /// The voxels of `grid` inside the structure.
    ///
    /// Contours are filled in their own planes: a voxel is inside if the perpendicular from its centre to the nearest
    /// plane of contours meets that plane inside them. A plane counts up to half of the usual distance of planes; a single
    /// one up to half of a slice of `grid`. Closed contours of one plane are united; one that lies inside another one is
    /// a hole, and one that lies in a hole is an island. A contour that runs into a hole and back along a keyhole leaves
    /// the hole out, copies of a contour change nothing, and contours of the type `CLOSEDPLANAR_XOR` are combined by
    /// exclusive or.
    ///
    /// # Errors
    /// [`DicomError::RoiEmpty`] if no contour encloses an area, [`DicomError::RoiElsewhere`] if none meets the grid.
    pub fn mask(&self, grid: &Grid, options: MaskOptions) -> Result<RoiMask, DicomError> {
        let lattice = Lattice::new(grid);
        let mut warnings = warning::skipped(self);
        let stacks = stacks(&self.contours, &lattice);
        if stacks.is_empty() {
            return Err(DicomError::RoiEmpty { name: self.label() });
        }
        let mut mask = lattice.empty_mask();
        let mut meets = false;
        for stack in &stacks {
            warnings.extend(warning::of_stack(stack, &lattice, options));
            meets |= fill_stack(stack, &lattice, options, &mut mask);
        }
        if !meets {
            return Err(DicomError::RoiElsewhere { name: self.label() });
        }
        let mask = lattice.to_stored(mask)?;
        Ok(RoiMask { mask, warnings })
    }
}

#[cfg(test)]
mod tests;
