//! The spatial adapter: `x + relu(linear2(relu(conv(relu(linear1(x))))))`.

use tch::{Tensor, nn::Path};

use crate::tch_ext::{Conv3d, Conv3dShape, Linear, add_residual, records_graph};

/// A bottleneck with a depth-wise 3 x 3 x 3 convolution, in front of each block.
#[derive(Debug)]
pub(crate) struct Adapter {
    linear1: Linear,
    conv: Conv3d,
    linear2: Linear,
}

impl Adapter {
    pub(crate) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = channels / 2;
        let shape = Conv3dShape { inputs: hidden, outputs: hidden, kernel: 3, groups: hidden, bias: true };
        Self {
            linear1: Linear::new(&path / "linear1", channels, hidden),
            conv: Conv3d::new(&path / "conv", shape),
            linear2: Linear::new(&path / "linear2", hidden, channels),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let hidden = self.linear1.forward(xs).relu_().permute([0, 4, 1, 2, 3]);
        let hidden = self.conv.forward(&hidden).relu_().permute([0, 2, 3, 4, 1]);
        let change = self.linear2.forward(&hidden).relu_();
        // The gradient of a ReLU needs its result, so only without a graph may the sum take its place.
        if records_graph() { change + xs } else { add_residual(change, xs) }
    }
}
