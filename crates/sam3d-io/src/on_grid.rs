//! A volume on another volume's grid.

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use crate::{Grid, Volume};

/// The values of `volume` on `grid`, by nearest neighbour in the world: each voxel takes the value of the voxel of `volume`
/// whose centre is nearest to its own, and 0 where it lies outside every voxel of `volume`.
///
/// No value is made up, so labels stay labels; the borders of a mask move by up to half a voxel of the coarser grid.
pub fn nearest_on_grid(volume: &Volume, grid: &Grid) -> Volume {
    // From one voxel index to the other is affine: the image of the first voxel, and a step for each axis.
    let source_of = |ijk: [f64; 3]| {
        volume.grid.world_from_ijk().voxel_from_world(grid.world_from_ijk().world_from_voxel(ijk))
    };
    let origin = source_of([0.0; 3]);
    let steps: [[f64; 3]; 3] = std::array::from_fn(|axis| {
        let mut one = [0.0; 3];
        one[axis] = 1.0;
        let moved = source_of(one);
        std::array::from_fn(|a| moved[a] - origin[a])
    });
    let shape = volume.grid.shape_ijk();
    let mut data = Array3::zeros(grid.shape_kji());
    data.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(k, mut plane)| {
        for ((j, i), value) in plane.indexed_iter_mut() {
            let at = [i as f64, j as f64, k as f64];
            let source: [f64; 3] = std::array::from_fn(|a| {
                (origin[a] + steps[0][a] * at[0] + steps[1][a] * at[1] + steps[2][a] * at[2] + 0.5).floor()
            });
            // Compared as floats, so that what is before the first voxel is not wrapped around.
            if source.iter().zip(shape).all(|(n, size)| *n >= 0.0 && *n < size as f64) {
                let [i, j, k] = source.map(|n| n as usize);
                *value = volume.data[[k, j, i]];
            }
        }
    });
    let Volume { nan_voxels, value_type, rescale, .. } = *volume;
    Volume { data, grid: grid.clone(), nan_voxels, value_type, rescale }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Affine;

    use super::*;
    use crate::ValueType;

    fn volume(shape_ijk: [usize; 3], rows: [[f64; 4]; 3]) -> Volume {
        let grid = Grid::from_affine(shape_ijk, Affine::new(rows).unwrap()).unwrap();
        let data = Array3::from_shape_fn(grid.shape_kji(), |(k, j, i)| (100 * k + 10 * j + i + 1) as f32);
        Volume { data, grid, nan_voxels: 0, value_type: ValueType::Uint8, rescale: None }
    }

    const UNIT: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];

    #[test]
    fn its_own_grid_changes_nothing_and_axes_find_their_way() {
        let one = volume([4, 3, 2], UNIT);
        assert_eq!(nearest_on_grid(&one, &one.grid).data, one.data);
        // The same place with i running the other way and j and k exchanged.
        let turned = [[-1.0, 0.0, 0.0, 3.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]];
        let turned = Grid::from_affine([4, 2, 3], Affine::new(turned).unwrap()).unwrap();
        let found = nearest_on_grid(&one, &turned);
        assert_eq!(found.data[[2, 1, 0]], one.data[[1, 2, 3]]);
        assert_eq!(nearest_on_grid(&found, &one.grid).data, one.data);
    }

    #[test]
    fn nearest_within_and_zero_outside() {
        let one = volume([2, 1, 1], UNIT);
        // Half as wide voxels, from -1.25 to 2.25: two before the first, two for each, two behind the last.
        let fine = [[0.5, 0.0, 0.0, -1.25], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let fine = Grid::from_affine([8, 1, 1], Affine::new(fine).unwrap()).unwrap();
        let found = nearest_on_grid(&one, &fine);
        assert_eq!(found.data.iter().copied().collect::<Vec<_>>(), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 0.0, 0.0]);
    }
}
