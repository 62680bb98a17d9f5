//! Orientation, resampling and crops: laws on generated arrays, and one brain in eight orientations.

#![expect(clippy::unwrap_used, reason = "a test that cannot get its input has failed")]

mod frame;
mod laws;
mod orientation;

use ndarray::Array3;

/// Values that tell every voxel from every other.
fn distinct(shape: [usize; 3]) -> Array3<f32> {
    let mut count = 0.0;
    Array3::from_shape_simple_fn(shape, || {
        count += 1.0;
        count
    })
}
