//! Parts of the convolutional decoder.

use tch::Tensor;

use crate::{
    Mode,
    layers::{BatchNorm, Conv, Conv3d, ConvTranspose3d, Path},
};

/// Twice a convolution, batch normalisation and ReLU.
#[derive(Debug)]
pub(super) struct DoubleConv {
    conv1: Conv3d,
    bn1: BatchNorm,
    conv2: Conv3d,
    bn2: BatchNorm,
}

impl DoubleConv {
    pub(super) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        let conv = |name: &str, inputs: i64| Conv3d::new(&path / name, Conv::same(inputs, outputs, [3; 3]));
        let norm = |name: &str| BatchNorm::new(&path / name, outputs);
        Self {
            conv1: conv("conv1", inputs),
            bn1: norm("bn1"),
            conv2: conv("conv2", outputs),
            bn2: norm("bn2"),
        }
    }

    /// # Shapes
    /// `[B, inputs, D, H, W]` to `[B, outputs, D, H, W]`.
    pub(super) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        let inner = self.bn1.forward(&self.conv1.forward(xs), mode).relu();
        self.bn2.forward(&self.conv2.forward(&inner), mode).relu()
    }

    /// The same with its input added after the last ReLU.
    pub(super) fn forward_residual(&self, xs: &Tensor, mode: Mode) -> Tensor {
        self.forward(xs, mode) + xs
    }
}

/// A step up: fewer channels, twice the sides, and the skip joined in.
#[derive(Debug)]
pub(super) struct UpCat {
    conv1: Conv3d,
    conv2: ConvTranspose3d,
    conv3: Conv3d,
}

impl UpCat {
    pub(super) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self {
            conv1: Conv3d::new(&path / "conv1", Conv::same(inputs, outputs, [1; 3])),
            conv2: ConvTranspose3d::new(&path / "conv2", Conv::patches(outputs, outputs, [2; 3])),
            conv3: Conv3d::new(&path / "conv3", Conv::same(2 * outputs, outputs, [1; 3])),
        }
    }

    /// # Shapes
    /// `[B, inputs, D, H, W]` and a skip `[B, outputs, 2D, 2H, 2W]` to the skip's shape.
    pub(super) fn forward(&self, xs: &Tensor, skip: &Tensor) -> Tensor {
        let upsampled = self.conv2.forward(&self.conv1.forward(xs));
        self.conv3.forward(&Tensor::cat(&[skip, &upsampled], 1))
    }
}
