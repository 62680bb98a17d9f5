use std::array::from_fn;

use rand::{Rng, RngExt, seq::SliceRandom};
use sam3d_geom::Affine;

use super::shape::{Point, random_rotation};
use sam3d_io::{Grid, IoError};

/// Where a phantom's voxels lie, and how the file stores them.
///
/// The canonical array is `[D, H, W]` with D superior, H posterior and W left (tilted by a few degrees); the stored one
/// is the same voxels with the axes in another order and direction.
#[derive(Debug, Clone)]
pub(super) struct PhantomGrid {
    /// Voxels of the canonical array.
    pub(super) sizes: [usize; 3],
    /// Spacing of the canonical array in mm.
    pub(super) spacing_mm: [f64; 3],
    /// Rows map the canonical array's axes, in mm, to patient `[z, y, x]`.
    tilt: [Point; 3],
    /// Patient position of the middle of the grid in RAS mm, which a scanner sets as it likes.
    middle_ras_mm: [f64; 3],
    /// Stored axis `a` of `[k, j, i]` is the canonical axis `order[a]`.
    order: [usize; 3],
    /// Whether the stored axis `a` runs against its canonical axis.
    flipped: [bool; 3],
}

impl PhantomGrid {
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let in_plane_mm = round_to(rng.random_range(0.9..1.3), 0.01);
        let between_slices_mm = round_to(rng.random_range(1.5..3.0), 0.1);
        let spacing_mm = [between_slices_mm, in_plane_mm, in_plane_mm];
        let field_mm =
            [rng.random_range(110.0..124.0), rng.random_range(110.0..118.0), rng.random_range(130.0..140.0)];
        let tilt = random_rotation(rng, 5f64.to_radians());
        let middle_ras_mm = from_fn(|_| round_to(rng.random_range(-200.0..200.0), 0.1));
        let mut order = [0, 1, 2];
        order.shuffle(rng);
        Self {
            sizes: from_fn(|axis| (field_mm[axis] / spacing_mm[axis]) as usize),
            spacing_mm,
            tilt,
            middle_ras_mm,
            order,
            flipped: from_fn(|_| rng.random_bool(0.5)),
        }
    }

    /// Patient position of the canonical (fractional) voxel `index`.
    pub(super) fn patient_from_voxel(&self, index: [f64; 3]) -> Point {
        let offset: [f64; 3] =
            from_fn(|axis| (index[axis] - (self.sizes[axis] - 1) as f64 / 2.0) * self.spacing_mm[axis]);
        from_fn(|row| (0..3).map(|column| self.tilt[row][column] * offset[column]).sum())
    }

    /// Where the stored voxels lie.
    pub(super) fn stored_grid(&self) -> Result<Grid, IoError> {
        let [i, j, k] = [2, 1, 0].map(|axis: usize| self.sizes[self.order[axis]]);
        Grid::from_affine([i, j, k], Affine::new(self.affine_rows())?)
    }

    /// Upper rows of the map from the stored voxel `[i, j, k]` to RAS mm.
    fn affine_rows(&self) -> [[f64; 4]; 3] {
        let canonical_of = |ijk: [f64; 3]| {
            let kji = [ijk[2], ijk[1], ijk[0]];
            let mut index = [0.0; 3];
            for (axis, (position, flipped)) in kji.into_iter().zip(self.flipped).enumerate() {
                let target = self.order[axis];
                let last = (self.sizes[target] - 1) as f64;
                index[target] = if flipped { last - position } else { position };
            }
            index
        };
        let ras_of = |ijk| {
            let [z, y, x] = self.patient_from_voxel(canonical_of(ijk));
            let ras = [-x, -y, z];
            from_fn::<f64, 3, _>(|axis| ras[axis] + self.middle_ras_mm[axis])
        };
        let origin = ras_of([0.0; 3]);
        let columns: [[f64; 3]; 3] =
            from_fn(|column| ras_of(from_fn(|axis| f64::from(u8::from(axis == column)))));
        from_fn(|row| {
            from_fn(|column| match columns.get(column) {
                Some(end) => end[row] - origin[row],
                None => origin[row],
            })
        })
    }
}

fn round_to(value: f64, step: f64) -> f64 {
    (value / step).round() * step
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::Array3;
    use sam3d_geom::Orientation;

    use super::*;
    use crate::sampling::rng_for;
    use sam3d_io::orient::AxisMap;

    #[test]
    fn the_affine_follows_a_voxel_into_the_stored_array() {
        for case in 0..8 {
            let mut rng = rng_for(5, case, "grid");
            let grid = PhantomGrid::draw(&mut rng);
            let mut canonical = Array3::zeros(grid.sizes);
            canonical[[7, 31, 64]] = 1u8;
            let stored_grid = grid.stored_grid().unwrap();
            let map = AxisMap::new(&stored_grid, Orientation::Lps);
            assert_eq!(map.extent().unwrap().sizes(), grid.sizes);
            let stored = map.to_stored(canonical.view()).unwrap();
            let ((k, j, i), _) = stored.indexed_iter().find(|(_, value)| **value == 1).unwrap();
            let affine = stored_grid.world_from_ijk();
            let world = affine.world_from_voxel([i as f64, j as f64, k as f64]);
            let [z, y, x] = grid.patient_from_voxel([7.0, 31.0, 64.0]);
            for (axis, expected) in [-x, -y, z].into_iter().enumerate() {
                assert_abs_diff_eq!(world[axis], expected + grid.middle_ras_mm[axis], epsilon = 1e-3);
            }
            assert!(!stored_grid.is_sheared());
        }
    }
}
