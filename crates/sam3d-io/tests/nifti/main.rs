//! NIfTI files: read, refused and written.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

mod hostile;
mod nifti2;
mod write;
mod zoo;

use std::path::Path;

use ndarray::Array3;
use sam3d_geom::Affine;
use sam3d_io::{
    Grid, IoError, Volume,
    nifti::{self, ReadLimits},
};

fn read(path: &Path) -> Result<Volume, IoError> {
    nifti::read(path, ReadLimits::default())
}

/// A grid of 4 x 5 x 6 voxels (i, j, k), in none of the usual orientations.
fn grid() -> Grid {
    let rows = [[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 9.0]];
    Grid::from_affine([4, 5, 6], Affine::new(rows).unwrap()).unwrap()
}

/// Values that tell every voxel from every other, `[k, j, i]`.
fn values() -> Array3<i16> {
    Array3::from_shape_fn([6, 5, 4], |(k, j, i)| (100 * k + 10 * j + i) as i16 - 300)
}
