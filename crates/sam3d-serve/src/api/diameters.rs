//! The diameters of a mask that a radiologist measures, in the file's voxel indices.

use ndarray::Array3;
use sam3d_geom::{Affine, Orientation};
use sam3d_infer::MaskPart;
use sam3d_io::{Grid, orient::AxisMap};
use sam3d_metrics::{AxialDiameters, Diameter};
use serde::Serialize;

use crate::refusal::Refusal;

/// The longest axial diameter and the one perpendicular to it in its slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Diameters {
    /// The slice: an axis of `ijk`, from 0, and the index along it.
    axis: usize,
    slice: usize,
    longest: Line,
    perpendicular: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Line {
    length_mm: f64,
    /// Its ends in (fractional) voxels; whole numbers are centres.
    ends_ijk: [[f64; 3]; 2],
}

impl Diameters {
    /// The diameters of `mask` on `grid`; `None` if it is empty.
    pub(super) fn of(mask: &MaskPart, grid: &Grid) -> Result<Option<Self>, Refusal> {
        let failed = |error: &dyn std::error::Error| Refusal::internal("measure the mask", error);
        if mask.values.is_empty() {
            return Ok(None);
        }
        let [k, j, i] = mask.start;
        let shift = [i, j, k].map(|at| at as f64);
        // The part has a grid of its own, so that nothing of the size of the volume is needed.
        let rows = grid.world_from_ijk().rows().map(|row| {
            let moved: f64 = (0..3).map(|axis| row[axis] * shift[axis]).sum();
            [row[0], row[1], row[2], row[3] + moved]
        });
        let (depth, height, width) = mask.values.dim();
        let affine = Affine::new(rows).map_err(|error| failed(&error))?;
        let part = Grid::from_affine([width, height, depth], affine).map_err(|error| failed(&error))?;
        let axes = AxisMap::new(&part, Orientation::Lps);
        let world = axes.world_from_dhw(&part).map_err(|error| failed(&error))?;
        let oriented: Array3<u8> = axes.to_dhw(mask.values.view()).map_err(|error| failed(&error))?;
        let Some(found) = AxialDiameters::of(oriented.view(), &world) else { return Ok(None) };
        let line = |diameter: Diameter| Line {
            length_mm: diameter.length_mm,
            ends_ijk: diameter.ends.map(|end| {
                let end = axes.ijk_from_dhw_point(end);
                std::array::from_fn(|axis| end[axis] + shift[axis])
            }),
        };
        let axis = axes.axes()[0];
        let slice = axes.ijk_from_dhw([found.slice, 0, 0])[axis] + [i, j, k][axis];
        Ok(Some(Self { axis, slice, longest: line(found.longest), perpendicular: line(found.perpendicular) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_it_is_wide() {
        // 2 x 1 x 3 mm, from left and posterior: the slices lie across k.
        let affine =
            Affine::new([[-2.0, 0.0, 0.0, 7.0], [0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 3.0, -4.0]]).unwrap();
        let grid = Grid::from_affine([20, 20, 20], affine).unwrap();
        let mut values = Array3::zeros([2, 3, 8]);
        values.slice_mut(ndarray::s![1, 1, 1..7]).fill(1);
        let mask = MaskPart { start: [4, 5, 6], values };
        let found = Diameters::of(&mask, &grid).unwrap().unwrap();
        assert_eq!((found.axis, found.slice), (2, 5));
        // Six voxels of 2 mm; ends in the middles of the outer edges.
        assert!((found.longest.length_mm - 12.0).abs() < 0.1, "{found:?}");
        let mut ends = found.longest.ends_ijk.map(|end| end[0]);
        ends.sort_by(f64::total_cmp);
        assert_eq!(ends, [6.5, 12.5]);
        assert!(found.longest.ends_ijk.iter().all(|end| (end[1] - 6.0).abs() <= 0.5 && end[2] == 5.0));
        assert!((found.perpendicular.length_mm - 1.0).abs() < 0.1, "{found:?}");
        assert_eq!(Diameters::of(&MaskPart::default(), &grid).unwrap(), None);
    }
}
