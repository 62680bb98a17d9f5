//! A 3 x 3 x 3 convolution over features that were just doubled in size, computed at their own size.
//!
//! Doubling is linear along each axis: `up(x) = U x` with a fixed `2G x G` matrix. Tap t of the convolution reads one
//! voxel aside, so along an axis it is `U` moved by a row, `U_t`. Hence the 27 taps are first products of channels at side
//! G, an eighth of the work, and then go through `U_t` axis by axis.

use tch::{Device, Kind, Tensor};

use crate::{
    precision::{full, operand},
    tch_ext::conv3d,
};

/// The three matrices `U_t` (transposed) of one grid.
#[derive(Debug)]
pub(crate) struct Doubling {
    /// `[G, 2G]` for the taps before, at and after a voxel.
    taps: [Tensor; 3],
}

impl Doubling {
    /// For grids of side `grid`: linear interpolation with coinciding centres of the corner voxels, and zeros beyond the
    /// doubled grid, as a padded convolution sees them.
    pub(crate) fn new(grid: i64, device: Device) -> Self {
        let doubled = 2 * grid;
        let tap = |offset: i64| {
            let mut weights = vec![0f32; (grid * doubled) as usize];
            for voxel in 0..doubled {
                let read = voxel + offset;
                if !(0..doubled).contains(&read) {
                    continue;
                }
                let position = read as f64 * (grid - 1) as f64 / (doubled - 1) as f64;
                let left = (position.floor() as i64).min(grid - 2).max(0);
                let share = position - left as f64;
                weights[(left * doubled + voxel) as usize] += (1.0 - share) as f32;
                if share > 0.0 {
                    weights[((left + 1) * doubled + voxel) as usize] += share as f32;
                }
            }
            Tensor::from_slice(&weights).view([grid, doubled]).to_kind(Kind::Float).to_device(device)
        };
        Self { taps: [tap(-1), tap(0), tap(1)] }
    }

    /// # Shapes
    /// Features `[B, C, G, G, G]` and a kernel `[O, C, 3, 3, 3]`; gives `[B, O, 2G, 2G, 2G]`.
    pub(crate) fn convolve(&self, features: &Tensor, kernel: &Tensor) -> Tensor {
        let size = features.size();
        let (batch, channels, grid) = (size[0], size[1], size[2]);
        let outputs = kernel.size()[0];
        let features = operand(features);
        let kernel = operand(kernel);
        sum((0..3).map(|x| {
            let plane = sum((0..3).map(|y| {
                let taps = kernel.select(2, x).select(2, y).permute([2, 0, 1]);
                let products = conv3d(&features, &taps.reshape([3 * outputs, channels, 1, 1, 1]), None, 0, 1);
                let products = full(&products).view([batch, 3, outputs, grid, grid, grid]);
                let line = sum((0..3).map(|z| products.select(1, z).matmul(self.tap(z))));
                self.tap(y).tr().matmul(&line)
            }));
            self.tap(x).tr().matmul(&plane.flatten(3, 4))
        }))
        .view([batch, outputs, 2 * grid, 2 * grid, 2 * grid])
    }

    fn tap(&self, index: i64) -> &Tensor {
        &self.taps[index as usize]
    }
}

fn sum(terms: impl Iterator<Item = Tensor>) -> Tensor {
    terms.reduce(|sum, term| sum + term).unwrap_or_default()
}

#[cfg(test)]
mod tests {
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
