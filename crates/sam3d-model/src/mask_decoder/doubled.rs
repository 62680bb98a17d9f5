//! A 3 x 3 x 3 convolution over features that were just doubled in size, computed at their own size.
//!
//! Doubling is linear along each axis: `up(x) = U x` with a fixed `2G x G` matrix. Tap t of the convolution reads the
//! voxel beside, so along an axis it is `U` shifted by a row, `U_t`. Hence the 27 taps are computed as products over channels
//! at side G, an eighth of the work, and then multiplied by `U_t` axis by axis. Along the last axis `[U_0 U_1 U_2]` is one matrix with
//! three columns for each place, and the sum over taps is part of its product; along the others, where a tap's
//! products are a whole plane or volume, they are summed one by one.

use tch::{Device, Tensor};

use crate::{precision::full, tch_ext::linear};

/// The matrices `U_0`, `U_1` and `U_2` of one grid.
#[derive(Debug)]
pub(crate) struct Doubling {
    /// The three matrices, `[2G, G]` each.
    by_tap: [Tensor; 3],
    /// The same side by side, `[2G, 3G]`, with columns sorted by place, then tap.
    by_place: Tensor,
}

impl Doubling {
    /// For grids of side `grid`: linear interpolation with coinciding centres of the corner voxels, and zeros beyond the
    /// doubled grid, as a padded convolution sees them.
    pub(crate) fn new(grid: i64, device: Device) -> Self {
        let doubled = 2 * grid;
        let mut weights = vec![0f32; (3 * doubled * grid) as usize];
        for (tap, offset) in (-1..=1).enumerate() {
            for voxel in 0..doubled {
                let read = voxel + offset;
                if !(0..doubled).contains(&read) {
                    continue;
                }
                let position = read as f64 * (grid - 1) as f64 / (doubled - 1) as f64;
                let left = (position.floor() as i64).min(grid - 2).max(0);
                let fraction = position - left as f64;
                let at = ((tap as i64 * doubled + voxel) * grid + left) as usize;
                weights[at] += (1.0 - fraction) as f32;
                if fraction > 0.0 {
                    weights[at + 1] += fraction as f32;
                }
            }
        }
        // Indexed by tap, doubled voxel and voxel.
        let weights = Tensor::from_slice(&weights).view([3, doubled, grid]).to_device(device);
        Self {
            by_tap: [0, 1, 2].map(|tap| weights.get(tap)),
            by_place: weights.permute([1, 2, 0]).reshape([doubled, 3 * grid]),
        }
    }

    /// # Shapes
    /// Features `[B, C, G, G, G]` and a kernel `[O, C, 3, 3, 3]`; gives `[B, O, 2G, 2G, 2G]`, channels last in
    /// memory.
    pub(crate) fn convolve(&self, features: &Tensor, kernel: &Tensor) -> Tensor {
        let size = features.size();
        let (batch, channels, grid, doubled) = (size[0], size[1], size[2], 2 * size[2]);
        let outputs = kernel.size()[0];
        let features = features.permute([0, 2, 3, 4, 1]).contiguous();
        let line = |x: i64, y: i64| {
            let taps = kernel.select(2, x).select(2, y).permute([2, 0, 1]).reshape([3 * outputs, channels]);
            let products = full(&linear(&features, &taps, None));
            // A place has its three taps one after the other.
            self.by_place.matmul(&products.view([batch, grid, grid, 3 * grid, outputs]))
        };
        let plane = |x| {
            let lines = |y| line(x, y).view([batch * grid, grid, doubled * outputs]);
            self.sum_of_taps(lines).view([batch, grid, doubled * doubled * outputs])
        };
        self.sum_of_taps(plane).view([batch, doubled, doubled, doubled, outputs]).permute([0, 4, 1, 2, 3])
    }

    /// The sum of `U_t` times the products of tap t, each `[N, G, M]`; gives `[N, 2G, M]`.
    fn sum_of_taps(&self, products: impl Fn(i64) -> Tensor) -> Tensor {
        let [first, others @ ..] = &self.by_tap;
        let mut sum = first.matmul(&products(0));
        for (matrix, tap) in others.iter().zip(1..) {
            let products = products(tap);
            sum = sum.baddbmm_(&matrix.unsqueeze(0).expand([products.size()[0], -1, -1], false), &products);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::tch_ext::{Corners, resize};

    #[test]
    fn equals_doubling_and_then_convolving() {
        tch::manual_seed(3);
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        for grid in [2, 5, 8] {
            let features = random(&[2, 3, grid, grid, grid]).set_requires_grad(true);
            let kernel = random(&[4, 3, 3, 3, 3]).set_requires_grad(true);
            let plain =
                resize(&features, 2 * grid, Corners::Centres).conv3d(&kernel, None::<Tensor>, 1, 1, 1, 1);
            let found = Doubling::new(grid, Device::Cpu).convolve(&features, &kernel);
            let difference = (&found - &plain).abs().max().double_value(&[]);
            assert!(difference < 1e-4, "side {grid}: {difference}");

            let weights = random(&plain.size());
            let gradients = |ys: &Tensor| {
                Tensor::run_backward(&[(ys * &weights).sum(None)], &[&features, &kernel], false, false)
            };
            for (a, b) in gradients(&found).iter().zip(gradients(&plain)) {
                let relative = (a - &b).norm().double_value(&[]) / b.norm().double_value(&[]);
                assert!(relative < 1e-5, "side {grid}: gradient differs by {relative}");
            }
        }
    }
}
