//! Resampling within slices, and the nearest slice along the depth: what is published for the comparison networks where
//! slices are so far apart that a mixture of two of them shows neither.
//!
//! Positions are those of [`to_spacing`](super::to_spacing); the slice of output voxel `o` is `floor(o / factor)`.

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;
use sam3d_geom::Extent;

use super::{Blend, blend, resampled_extent};
use crate::IoError;

/// Curvature of the cubic convolution kernel, the one image libraries use by default (Keys 1981 has -0.5).
const CURVATURE: f64 = -0.75;

/// Resamples an image (`[D, H, W]`) by `factors`: cubic convolution along H and W with clamped edges, the nearest slice along
/// D.
///
/// # Errors
/// As [`to_spacing`](super::to_spacing).
pub fn image_slices_apart(volume: ArrayView3<'_, f32>, factors: [f64; 3]) -> Result<Array3<f32>, IoError> {
    let sizes: [usize; 3] = volume.dim().into();
    let resampled = resampled_extent(Extent::new(sizes)?, factors)?.sizes();
    let [_, height, width] =
        std::array::from_fn(|axis| Cubic::along(sizes[axis], resampled[axis], factors[axis]));
    let slices: Vec<usize> = (0..resampled[0]).map(|o| nearest(o, sizes[0], factors[0])).collect();
    let mut image = Array3::zeros(resampled);
    image.axis_iter_mut(Axis(0)).into_par_iter().zip(slices).for_each_init(
        || vec![0.0; sizes[2]],
        |row, (mut output, slice)| {
            let source = volume.index_axis(Axis(0), slice);
            for (mut output, along_height) in output.axis_iter_mut(Axis(0)).zip(&height) {
                for (x, value) in row.iter_mut().enumerate() {
                    *value = along_height.of(|y| source[[y, x]]);
                }
                for (value, along_width) in output.iter_mut().zip(&width) {
                    *value = along_width.of(|x| row[x]);
                }
            }
        },
    );
    Ok(image)
}

/// Resamples a label (`[D, H, W]`) by `factors`: linear along H and W, the nearest slice along D.
///
/// # Errors
/// As [`to_spacing`](super::to_spacing).
pub fn label_slices_apart<S>(volume: ArrayView3<'_, S>, factors: [f64; 3]) -> Result<Array3<f32>, IoError>
where
    S: Copy + Into<f32> + Sync,
{
    let sizes: [usize; 3] = volume.dim().into();
    let resampled = resampled_extent(Extent::new(sizes)?, factors)?.sizes();
    let slice = |o| {
        let low = nearest(o, sizes[0], factors[0]);
        Blend { low, high: low, weight: 0.0 }
    };
    let within = |axis| Blend::by_factor(sizes[axis], resampled[axis], factors[axis]);
    Ok(blend(volume, &[(0..resampled[0]).map(slice).collect(), within(1), within(2)]))
}

/// The source slice of output slice `o`.
fn nearest(o: usize, n_in: usize, factor: f64) -> usize {
    ((o as f64 / factor) as usize).min(n_in - 1)
}

/// Where one output position takes its value from along one axis, and how much of each.
#[derive(Debug, Clone, Copy)]
struct Cubic {
    index: [usize; 4],
    weight: [f32; 4],
}

impl Cubic {
    fn along(n_in: usize, n_out: usize, factor: f64) -> Vec<Self> {
        (0..n_out).map(|o| Self::at((o as f64 + 0.5) / factor - 0.5, n_in)).collect()
    }

    /// The taps around `position`, which may be outside: each tap is clamped, not the position.
    fn at(position: f64, n_in: usize) -> Self {
        let floor = position.floor();
        let part = position - floor;
        let near = |x: f64| ((CURVATURE + 2.0) * x - (CURVATURE + 3.0)) * x * x + 1.0;
        let far = |x: f64| ((CURVATURE * x - 5.0 * CURVATURE) * x + 8.0 * CURVATURE) * x - 4.0 * CURVATURE;
        let weight = [far(1.0 + part), near(part), near(1.0 - part), far(2.0 - part)];
        let tap = |offset: f64| (floor + offset).clamp(0.0, (n_in - 1) as f64) as usize;
        Self { index: [-1.0, 0.0, 1.0, 2.0].map(tap), weight: weight.map(|weight| weight as f32) }
    }

    fn of(&self, value: impl Fn(usize) -> f32) -> f32 {
        self.index.iter().zip(self.weight).map(|(index, weight)| weight * value(*index)).sum()
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use ndarray::s;

    use super::*;

    const FACTORS: [f64; 3] = [5.0 / 2.5, 0.9 / 1.5, 2.7 / 1.5];

    fn source() -> Array3<f32> {
        Array3::from_shape_fn([3, 4, 5], |(z, y, x)| {
            let n = (z * 4 + y) * 5 + x;
            ((7 * n * n + 3 * n) % 23) as f32
        })
    }

    /// Slices 0 and 2 of the result against PyTorch 2.13 (`interpolate` by scale factor: bicubic or bilinear, then nearest).
    #[track_caller]
    fn check(found: &Array3<f32>, expected: [[[f32; 9]; 2]; 2]) {
        assert_eq!(found.dim(), (6, 2, 9));
        for (slice, expected) in [0, 2].into_iter().zip(expected) {
            // Twice as many slices: each appears twice.
            assert_eq!(found.slice(s![slice, .., ..]), found.slice(s![slice + 1, .., ..]));
            for (row, expected) in found.index_axis(Axis(0), slice).rows().into_iter().zip(expected) {
                assert_abs_diff_eq!(row.to_vec()[..], expected[..], epsilon = 2e-5);
            }
        }
    }

    #[test]
    fn images_are_bicubic_within_slices() {
        let found = image_slices_apart(source().view(), FACTORS).unwrap();
        check(
            &found,
            [
                [
                    [0.11458, 4.83985, 11.67157, 15.18989, 14.07408, 9.18026, 6.39893, 10.19205, 13.22367],
                    [18.10906, 13.37037, 6.81344, 6.6749, 9.0, 5.04938, 3.3402, 8.14815, 11.80659],
                ],
                [
                    [7.79238, 11.29287, 15.56483, 11.95382, 5.01852, 0.86354, 2.09181, 8.97497, 13.97802],
                    [19.70576, 16.4074, 12.18244, 14.50755, 19.0, 19.58299, 15.85734, 9.35185, 4.89095],
                ],
            ],
        );
    }

    #[test]
    fn labels_are_bilinear_within_slices() {
        let label = source().mapv(|value| u8::from(value > 11.0));
        check(
            &label_slices_apart(label.view(), FACTORS).unwrap(),
            [
                [
                    [0.0, 0.11111, 0.2963, 0.33333, 0.33333, 0.33333, 0.33333, 0.33333, 0.33333],
                    [1.0, 0.66667, 0.11111, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                ],
                [
                    [0.0, 0.22222, 0.59259, 0.37037, 0.0, 0.0, 0.03704, 0.22222, 0.33333],
                    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.88889, 0.33333, 0.0],
                ],
            ],
        );
    }
}
