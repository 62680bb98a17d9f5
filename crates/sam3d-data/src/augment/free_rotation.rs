use std::array::from_fn;

use ndarray::{Array3, ArrayView3};

use super::warp::Tap;

/// `image` turned about all three axes, in a grid that has grown to hold all corners; edges are repeated.
///
/// The output's centre is the input's; its voxel at the offset `x` from there is read trilinearly at `M x`, with `M` the
/// product of the turns by `radians` about D, about H and about W: `(h, w)` to `(h cos - w sin, h sin + w cos)`, then
/// `(d, w)` to `(d cos + w sin, w cos - d sin)`, then `(d, h)` to `(d cos - h sin, d sin + h cos)`.
///
/// # Shapes
/// `[D, H, W]` to the extent of the turned box along each axis plus one half, rounded down, at least 1.
pub fn rotate(image: ArrayView3<'_, f32>, radians: [f64; 3]) -> Array3<f32> {
    let sizes: [usize; 3] = image.dim().into();
    if image.is_empty() {
        return Array3::zeros(sizes);
    }
    let matrix = matrix(radians);
    // Output axes are the columns: the inverse of a rotation is its transpose.
    let grown: [usize; 3] = from_fn(|column| {
        let extent: f64 = (0..3).map(|row| matrix[row][column].abs() * sizes[row] as f64).sum();
        ((extent + 0.5).floor() as usize).max(1)
    });
    let centre = |sizes: [usize; 3]| sizes.map(|size| (size - 1) as f64 / 2.0);
    let (from, to) = (centre(sizes), centre(grown));
    Array3::from_shape_fn(grown, |(d, h, w)| {
        let offset = [d as f64 - to[0], h as f64 - to[1], w as f64 - to[2]];
        let taps: [Tap; 3] = from_fn(|axis| {
            let position: f64 = (0..3).map(|column| matrix[axis][column] * offset[column]).sum();
            Tap::at(position + from[axis], sizes[axis])
        });
        trilinear(&image, &taps)
    })
}

/// The value between the eight neighbours that `taps` name.
fn trilinear(image: &ArrayView3<'_, f32>, [d, h, w]: &[Tap; 3]) -> f32 {
    let row = |d: usize, h: usize| w.between(image[[d, h, w.lower]], image[[d, h, w.upper]]);
    let plane = |d: usize| h.between(row(d, h.lower), row(d, h.upper));
    d.between(plane(d.lower), plane(d.upper))
}

/// The turns about D, H and W, multiplied.
fn matrix(radians: [f64; 3]) -> [[f64; 3]; 3] {
    let [(sin_d, cos_d), (sin_h, cos_h), (sin_w, cos_w)] = radians.map(f64::sin_cos);
    let about_d = [[1.0, 0.0, 0.0], [0.0, cos_d, -sin_d], [0.0, sin_d, cos_d]];
    let about_h = [[cos_h, 0.0, sin_h], [0.0, 1.0, 0.0], [-sin_h, 0.0, cos_h]];
    let about_w = [[cos_w, -sin_w, 0.0], [sin_w, cos_w, 0.0], [0.0, 0.0, 1.0]];
    product(product(about_d, about_h), about_w)
}

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    from_fn(|row| from_fn(|column| (0..3).map(|inner| a[row][inner] * b[inner][column]).sum()))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use super::*;
    use crate::augment::rotate_about_depth;

    fn numbered(sizes: [usize; 3]) -> Array3<f32> {
        let mut next = 0.0;
        Array3::from_shape_simple_fn(sizes, || {
            next += 1.0;
            next
        })
    }

    fn assert_close(found: &Array3<f32>, expected: &Array3<f32>) {
        assert_eq!(found.dim(), expected.dim());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn about_depth_it_is_the_rotation_in_the_plane() {
        let image = numbered([3, 7, 5]);
        for degrees in [0.0f64, 12.0, -30.0, 90.0] {
            let radians = degrees.to_radians();
            let plane = rotate_about_depth(image.view(), radians);
            assert_close(&rotate(image.view(), [radians, 0.0, 0.0]), &plane);
        }
    }

    #[test]
    fn a_quarter_turn_about_each_axis_is_a_permutation() {
        let image = numbered([2, 3, 4]);
        let mut about_height = image.clone().permuted_axes([2, 1, 0]);
        about_height.invert_axis(ndarray::Axis(0));
        assert_close(&rotate(image.view(), [0.0, FRAC_PI_2, 0.0]), &about_height);
        let mut about_width = image.clone().permuted_axes([1, 0, 2]);
        about_width.invert_axis(ndarray::Axis(1));
        assert_close(&rotate(image.view(), [0.0, 0.0, FRAC_PI_2]), &about_width);
    }

    #[test]
    fn the_grid_holds_every_corner() {
        let image = Array3::from_elem([9, 9, 9], 1.0f32);
        let turned = rotate(image.view(), [0.5, -0.4, 0.3]);
        assert!(turned.shape().iter().all(|side| *side > 9), "{:?}", turned.shape());
    }
}
