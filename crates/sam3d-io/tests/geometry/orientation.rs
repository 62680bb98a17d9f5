use approx::assert_abs_diff_eq;
use sam3d_geom::{Affine, Orientation, StoredAxes};
use sam3d_io::{
    Grid,
    nifti::{self, ReadLimits},
    orient::AxisMap,
};
use sam3d_testkit::test_volume;

use super::distinct;

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Spacing of the test grids along D, H, W: which is which shows.
const SPACING_DHW: [f64; 3] = [5.0, 1.0, 2.0];
const SHAPE_DHW: [usize; 3] = [2, 3, 4];

/// A grid whose stored axis `axes[a]` runs along (or, with `flips[a]`, against) the axis `a` of `[D, H, W]`.
fn grid(axes: [usize; 3], flips: [bool; 3]) -> Grid {
    /// Row of the RAS affine and direction, for superior, posterior, left.
    const BODY: [(usize, f64); 3] = [(2, 1.0), (1, -1.0), (0, -1.0)];
    let mut rows = [[0.0; 4]; 3];
    let mut shape_ijk = [0; 3];
    for a in 0..3 {
        let (row, direction) = BODY[a];
        let step = direction * SPACING_DHW[a] * if flips[a] { -1.0 } else { 1.0 };
        rows[row][axes[a]] = step;
        // The voxel 0 of [D, H, W] stands at the origin in every orientation.
        rows[row][3] = if flips[a] { -step * (SHAPE_DHW[a] - 1) as f64 } else { 0.0 };
        shape_ijk[axes[a]] = SHAPE_DHW[a];
    }
    Grid::from_affine(shape_ijk, Affine::new(rows).unwrap()).unwrap()
}

#[test]
fn all_forty_eight_orientations() {
    for axes in ORDERS {
        for bits in 0..8 {
            let flips = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            let grid = grid(axes, flips);
            let map = AxisMap::new(&grid, Orientation::Lps);
            assert_eq!((map.axes(), map.flips()), (axes, flips));
            assert_eq!(map.extent().unwrap().sizes(), SHAPE_DHW);
            assert_eq!(map.spacing(&grid).unwrap().mm(), SPACING_DHW);

            let stored = distinct(grid.shape_kji());
            let oriented = map.to_dhw(stored.view()).unwrap();
            assert_eq!(oriented, map.view(stored.view()).unwrap());
            assert!(oriented.is_standard_layout());
            let back = map.to_stored(oriented.view()).unwrap();
            assert_eq!(back, stored);
            assert!(back.is_standard_layout());
            for ((d, h, w), value) in oriented.indexed_iter() {
                let [i, j, k] = map.ijk_from_dhw([d, h, w]);
                assert_eq!(stored[[k, j, i]], *value);
                assert_eq!(map.dhw_from_ijk([i, j, k]), [d, h, w]);
                // D to superior, H to posterior, W to the left, in RAS.
                let world = grid.world_from_ijk().world_from_voxel([i, j, k].map(|n| n as f64));
                assert_eq!(world, [-2.0 * w as f64, -(h as f64), 5.0 * d as f64]);
            }
        }
    }
}

#[test]
fn as_stored_ignores_the_affine() {
    for axes in ORDERS {
        let grid = grid([1, 2, 0], [true, false, true]);
        let map = AxisMap::new(&grid, Orientation::AsStored(StoredAxes::new(axes).unwrap()));
        let stored = distinct(grid.shape_kji());
        let oriented = map.to_dhw(stored.view()).unwrap();
        let (d, h, w) = oriented.dim();
        assert_eq!([d, h, w], axes.map(|axis| grid.shape_ijk()[axis]));
        let mut ijk = [0; 3];
        (ijk[axes[0]], ijk[axes[1]], ijk[axes[2]]) = (d - 1, h - 1, 0);
        assert_eq!(oriented[[d - 1, h - 1, 0]], stored[[ijk[2], ijk[1], ijk[0]]]);
        assert_eq!(map.to_stored(oriented.view()).unwrap(), stored);
    }
}

/// Eight files of one brain in eight orientations are the same array after orientation.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn one_brain_in_eight_orientations() {
    let mut first = None;
    for name in ["LPS", "RAS", "AIR", "IPL", "LSA", "PIL", "SLP", "SRA"] {
        let Some(path) = test_volume(&format!("nifti_zoo/orientations/{name}.nii.gz")) else { return };
        let volume = nifti::read(&path, ReadLimits::default()).unwrap();
        let map = AxisMap::new(&volume.grid, Orientation::Lps);
        let oriented = map.to_dhw(volume.data.view()).unwrap();
        let spacing = map.spacing(&volume.grid).unwrap();
        let (expected, expected_spacing) = first.get_or_insert_with(|| (oriented.clone(), spacing));
        assert_eq!(oriented.dim(), expected.dim(), "{name}");
        assert!(oriented == *expected, "{name}: voxels differ");
        for axis in 0..3 {
            assert_abs_diff_eq!(spacing.mm()[axis], expected_spacing.mm()[axis], epsilon = 1e-6);
        }
    }
}
