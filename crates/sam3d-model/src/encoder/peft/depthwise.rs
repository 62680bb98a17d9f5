//! A depth-wise convolution whose kernel need not be a cube.

use tch::{
    Tensor,
    nn::{Init, Path},
};

use crate::precision::operand;

/// One kernel for each channel; the size is kept.
#[derive(Debug)]
pub(super) struct DepthwiseConv {
    weight: Tensor,
    bias: Tensor,
}

impl DepthwiseConv {
    /// Kernels of odd sides `sides` along (H, W, D), with PyTorch's initial values.
    pub(super) fn new(path: Path<'_>, channels: i64, sides: [i64; 3]) -> Self {
        let bound = 1.0 / (sides.iter().product::<i64>() as f64).sqrt();
        Self::with_init(path, channels, sides, Init::Uniform { lo: -bound, up: bound })
    }

    /// The same, all zero at the start.
    pub(super) fn zero(path: Path<'_>, channels: i64, sides: [i64; 3]) -> Self {
        Self::with_init(path, channels, sides, Init::Const(0.0))
    }

    fn with_init(path: Path<'_>, channels: i64, [h, w, d]: [i64; 3], init: Init) -> Self {
        Self {
            weight: path.var("weight", &[channels, 1, h, w, d], init),
            bias: path.var("bias", &[channels], init),
        }
    }

    /// # Shapes
    /// `[B, channels, H, W, D]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let size = self.weight.size();
        let padding = [size[2] / 2, size[3] / 2, size[4] / 2];
        operand(xs).conv3d(&operand(&self.weight), Some(operand(&self.bias)), 1, padding, 1, size[0])
    }
}

/// # Shapes
/// Tokens `[B, H, W, D, C]` to a map `[B, C, H, W, D]`.
pub(super) fn channels_first(xs: &Tensor) -> Tensor {
    xs.permute([0, 4, 1, 2, 3])
}

/// # Shapes
/// A map `[B, C, H, W, D]` to tokens `[B, H, W, D, C]`.
pub(super) fn channels_last(xs: &Tensor) -> Tensor {
    xs.permute([0, 2, 3, 4, 1])
}
