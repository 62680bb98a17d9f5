//! From a file's axes to `[D, H, W]` and back.

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;
use sam3d_geom::{Affine, Extent, GeomError, Orientation, Spacing};

use crate::{Grid, IoError};

/// A permutation and flips that turn the stored axes `(i, j, k)` into `[D, H, W]`.
///
/// No voxel is interpolated: an oblique grid keeps its own axes, each given to the body axis it is nearest to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisMap {
    /// The stored axis (0 = i, 1 = j, 2 = k) for D, H and W.
    axes: [usize; 3],
    /// Whether D, H and W run against their stored axis.
    flips: [bool; 3],
    shape_ijk: [usize; 3],
}

impl AxisMap {
    /// The map for volumes on `grid`.
    ///
    /// [`Orientation::Lps`] gives D the stored axis nearest to superior, H to posterior and W to the patient's left;
    /// [`Orientation::AsStored`] takes the axes it names, unflipped, whatever the affine says.
    pub fn new(grid: &Grid, orientation: Orientation) -> Self {
        let (axes, flips) = match orientation {
            Orientation::Lps => nearest_to_lps(grid.world_from_ijk()),
            Orientation::AsStored(stored) => (stored.axes(), [false; 3]),
        };
        Self { axes, flips, shape_ijk: grid.shape_ijk() }
    }

    /// The stored axis (0 = i, 1 = j, 2 = k) for D, for H and for W.
    pub fn axes(&self) -> [usize; 3] {
        self.axes
    }

    /// Whether D, H and W run against their stored axis.
    pub fn flips(&self) -> [bool; 3] {
        self.flips
    }

    /// Number of voxels, `[D, H, W]`.
    ///
    /// # Errors
    /// [`GeomError::ExtentInvalid`] if the grid has an axis without voxels, which no grid that was read has.
    pub fn extent(&self) -> Result<Extent, GeomError> {
        Extent::new(self.axes.map(|axis| self.shape_ijk[axis]))
    }

    /// Distance between voxels in mm, `[D, H, W]`, of a grid this map was made for.
    ///
    /// # Errors
    /// [`GeomError::SpacingNotPositive`] if the grid has none, which no grid that was read has.
    pub fn spacing(&self, grid: &Grid) -> Result<Spacing, GeomError> {
        Spacing::new(self.axes.map(|axis| grid.spacing_ijk_mm()[axis]))
    }

    /// From voxels `[D, H, W]` to RAS millimetres, of a grid this map was made for.
    ///
    /// # Errors
    /// [`GeomError::AffineSingular`] if the grid's affine is, which that of no grid that was read is.
    pub fn world_from_dhw(&self, grid: &Grid) -> Result<Affine, GeomError> {
        let rows = grid.world_from_ijk().rows().map(|row| {
            let mut turned = [0.0, 0.0, 0.0, row[3]];
            for (a, axis) in self.axes.into_iter().enumerate() {
                let last = self.shape_ijk[axis].saturating_sub(1) as f64;
                turned[a] = if self.flips[a] { -row[axis] } else { row[axis] };
                turned[3] += if self.flips[a] { last * row[axis] } else { 0.0 };
            }
            turned
        });
        Affine::new(rows)
    }

    /// The (fractional) stored index `[i, j, k]` of the point `[D, H, W]`.
    pub fn ijk_from_dhw_point(&self, dhw: [f64; 3]) -> [f64; 3] {
        let mut ijk = [0.0; 3];
        for (a, axis) in self.axes.into_iter().enumerate() {
            let last = self.shape_ijk[axis].saturating_sub(1) as f64;
            ijk[axis] = if self.flips[a] { last - dhw[a] } else { dhw[a] };
        }
        ijk
    }

    /// The index `[D, H, W]` of the stored voxel `[i, j, k]`, which must be inside.
    pub fn dhw_from_ijk(&self, ijk: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|a| self.flipped(a, ijk[self.axes[a]]))
    }

    /// The stored index `[i, j, k]` of the voxel `[D, H, W]`, which must be inside.
    pub fn ijk_from_dhw(&self, dhw: [usize; 3]) -> [usize; 3] {
        let mut ijk = [0; 3];
        for (a, axis) in self.axes.into_iter().enumerate() {
            ijk[axis] = self.flipped(a, dhw[a]);
        }
        ijk
    }

    /// An array `[k, j, i]` seen as `[D, H, W]`, without a copy.
    ///
    /// # Errors
    /// [`IoError::ShapeMismatch`] if the array is not of the grid's shape.
    pub fn view<'a, T>(&self, stored: ArrayView3<'a, T>) -> Result<ArrayView3<'a, T>, IoError> {
        let [i, j, k] = self.shape_ijk;
        check_shape([k, j, i], stored.dim().into())?;
        // Axis n of the array holds the stored axis 2 - n.
        let mut view = stored.permuted_axes(self.axes.map(|axis| 2 - axis));
        self.invert(&mut view);
        Ok(view)
    }

    /// An array `[k, j, i]` as a contiguous array `[D, H, W]`.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub fn to_dhw<T: Copy + Default + Send + Sync>(
        &self,
        stored: ArrayView3<'_, T>,
    ) -> Result<Array3<T>, IoError> {
        Ok(contiguous(self.view(stored)?))
    }

    /// An array `[D, H, W]` as a contiguous array `[k, j, i]`: undoes [`to_dhw`](Self::to_dhw).
    ///
    /// # Errors
    /// [`IoError::ShapeMismatch`] if the array is not of the grid's shape.
    pub fn to_stored<T: Copy + Default + Send + Sync>(
        &self,
        dhw: ArrayView3<'_, T>,
    ) -> Result<Array3<T>, IoError> {
        check_shape(self.axes.map(|axis| self.shape_ijk[axis]), dhw.dim().into())?;
        let mut view = dhw;
        self.invert(&mut view);
        let mut order = [0; 3];
        for (a, axis) in self.axes.into_iter().enumerate() {
            order[2 - axis] = a;
        }
        Ok(contiguous(view.permuted_axes(order)))
    }

    /// As [`to_stored`](Self::to_stored), for a box of voxels that begins at `start` (`[D, H, W]`) and lies inside the grid:
    /// where it begins in the stored array, `[k, j, i]`, and its values there.
    pub fn part_to_stored<T: Copy + Default + Send + Sync>(
        &self,
        start: [usize; 3],
        dhw: ArrayView3<'_, T>,
    ) -> ([usize; 3], Array3<T>) {
        let sizes: [usize; 3] = dhw.dim().into();
        let mut stored_start = [0; 3];
        let mut order = [0; 3];
        for (a, axis) in self.axes.into_iter().enumerate() {
            // The box's first voxel in the file is its last one along an axis that is flipped.
            let end = start[a] + sizes[a].saturating_sub(1);
            stored_start[2 - axis] = self.flipped(a, if self.flips[a] { end } else { start[a] });
            order[2 - axis] = a;
        }
        let mut view = dhw;
        self.invert(&mut view);
        (stored_start, contiguous(view.permuted_axes(order)))
    }

    fn flipped(&self, axis: usize, index: usize) -> usize {
        if self.flips[axis] { self.shape_ijk[self.axes[axis]] - 1 - index } else { index }
    }

    fn invert<T>(&self, view: &mut ArrayView3<'_, T>) {
        for axis in (0..3).filter(|axis| self.flips[*axis]) {
            view.invert_axis(Axis(axis));
        }
    }
}

/// Checks that an array of shape `found` lies on a grid of shape `expected`.
///
/// # Errors
/// [`IoError::ShapeMismatch`] if it does not.
pub fn check_shape(expected: [usize; 3], found: [usize; 3]) -> Result<(), IoError> {
    if expected == found { Ok(()) } else { Err(IoError::ShapeMismatch { expected, found }) }
}

/// A copy in C order, in blocks of planes, so that a transposing copy reads whole cache lines.
pub(crate) fn contiguous<T: Copy + Default + Send + Sync>(view: ArrayView3<'_, T>) -> Array3<T> {
    /// Voxels of a cache line of four-byte numbers.
    const BLOCK: usize = 16;
    let mut copy = Array3::from_elem(view.dim(), T::default());
    copy.axis_chunks_iter_mut(Axis(0), BLOCK)
        .into_par_iter()
        .zip(view.axis_chunks_iter(Axis(0), BLOCK).into_par_iter())
        .for_each(|(mut copy, view)| {
            for (mut copy, view) in
                copy.axis_chunks_iter_mut(Axis(1), BLOCK).zip(view.axis_chunks_iter(Axis(1), BLOCK))
            {
                copy.assign(&view);
            }
        });
    copy
}

/// The stored axes nearest to superior, posterior and left, and whether each runs the other way.
fn nearest_to_lps(world_from_ijk: &Affine) -> ([usize; 3], [bool; 3]) {
    /// Row of the RAS affine and direction along it, for D, H and W.
    const LPS: [(usize, f64); 3] = [(2, 1.0), (1, -1.0), (0, -1.0)];
    const ORDERS: [[usize; 3]; 6] = [[2, 1, 0], [2, 0, 1], [1, 2, 0], [1, 0, 2], [0, 2, 1], [0, 1, 2]];
    let (rows, lengths) = (world_from_ijk.rows(), world_from_ijk.column_lengths_mm());
    let cosine = |a: usize, axis: usize| LPS[a].1 * rows[LPS[a].0][axis] / lengths[axis];
    let agreement = |order: [usize; 3]| (0..3).map(|a| cosine(a, order[a]).abs()).sum::<f64>();
    // All six orders are compared, because axis by axis two body axes can claim the same stored one.
    let axes = ORDERS
        .into_iter()
        .fold(ORDERS[0], |best, order| if agreement(order) > agreement(best) { order } else { best });
    (axes, std::array::from_fn(|a| cosine(a, axes[a]) < 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_through_one_voxel() {
        // RAS as stored: i to the right, j to anterior, k to superior.
        let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]).unwrap();
        let grid = Grid::from_affine([2, 3, 4], affine).unwrap();
        let map = AxisMap::new(&grid, Orientation::Lps);
        assert_eq!((map.axes(), map.flips()), ([2, 1, 0], [false, true, true]));
        assert_eq!(map.extent().unwrap().sizes(), [4, 3, 2]);
        assert_eq!(map.spacing(&grid).unwrap().mm(), [2.0, 1.0, 1.0]);
        assert_eq!(map.dhw_from_ijk([0, 0, 1]), [1, 2, 1]);
        assert_eq!(map.ijk_from_dhw_point([1.0, 2.0, 1.0]), [0.0, 0.0, 1.0]);
        let world_from_dhw = map.world_from_dhw(&grid).unwrap();
        for (dhw, ijk) in [([1.0, 2.0, 1.0], [0.0, 0.0, 1.0]), ([0.0; 3], [1.0, 2.0, 0.0])] {
            assert_eq!(world_from_dhw.world_from_voxel(dhw), grid.world_from_ijk().world_from_voxel(ijk));
        }
        let stored = Array3::from_shape_fn([4, 3, 2], |(k, j, i)| 100 * k + 10 * j + i);
        assert_eq!(map.to_dhw(stored.view()).unwrap()[[1, 2, 1]], 100);
        assert!(map.to_dhw(Array3::<u8>::zeros([4, 2, 3]).view()).is_err());
    }

    #[test]
    fn oblique_axes_go_to_distinct_body_axes() {
        // Both i and j are nearest to the x axis; only one of them can have it.
        let affine =
            Affine::new([[0.8, 0.75, 0.0, 0.0], [0.6, -0.66, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
        let grid = Grid::from_affine([2, 3, 4], affine).unwrap();
        let map = AxisMap::new(&grid, Orientation::Lps);
        assert_eq!((map.axes(), map.flips()), ([2, 1, 0], [false, false, true]));
    }
}
