//! ST-Adapter (Pan et al., "ST-Adapter: Parameter-efficient image-to-video transfer learning", 2022), with depth in the
//! place of time: in front of every block `x + up(gelu(conv(down(x))))`, the depth-wise convolution along depth alone.
//!
//! Readings. The bottleneck is half as wide as the tokens and there is one adapter in each block, in front of the
//! attention: the published number of tuned parameters leaves no room for a second. The convolution starts at zero, as in
//! that paper's code, so that a block starts as SAM's. Its layer norms stay SAM's.

use tch::{Tensor, nn::Path};

use super::depthwise::{DepthwiseConv, channels_first, channels_last};
use crate::tch_ext::Linear;

/// A bottleneck with a depth-wise convolution of three slices.
#[derive(Debug)]
pub(crate) struct StAdapter {
    down: Linear,
    conv: DepthwiseConv,
    up: Linear,
}

impl StAdapter {
    pub(super) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = channels / 2;
        Self {
            down: Linear::new(&path / "down", channels, hidden),
            conv: DepthwiseConv::zero(&path / "conv", hidden, [1, 1, 3]),
            up: Linear::new(&path / "up", hidden, channels),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let hidden = channels_first(&self.down.forward(xs));
        let hidden = channels_last(&self.conv.forward(&hidden)).gelu("none");
        xs + self.up.forward(&hidden)
    }
}
