//! Pro-tuning (Nie et al., "Pro-tuning: Unified prompt tuning for vision tasks", 2022): behind every block a small network
//! makes a prompt from the block's features and adds it to them: `x + up(gelu(conv(gelu(down(x)))))`.
//!
//! Readings. The kernel is 3 x 3 within the slice, since the method is one for images, and the bottleneck half as wide as
//! the tokens: together they give the published number of tuned parameters. `up` starts at zero, so that training starts
//! from SAM's own features. The block's layer norms stay SAM's.

use tch::{
    Tensor,
    nn::{Init, Path},
};

use super::depthwise::{DepthwiseConv, channels_first, channels_last};
use crate::tch_ext::Linear;

/// 1 x 1 convolution, depth-wise 3 x 3 convolution, 1 x 1 convolution.
#[derive(Debug)]
pub(crate) struct PromptBlock {
    down: Linear,
    conv: DepthwiseConv,
    up: Linear,
}

impl PromptBlock {
    pub(super) fn new(path: Path<'_>, channels: i64) -> Self {
        let hidden = channels / 2;
        Self {
            down: Linear::new(&path / "down", channels, hidden),
            conv: DepthwiseConv::new(&path / "conv", hidden, [3, 3, 1]),
            up: Linear::with_init(&path / "up", hidden, channels, Init::Const(0.0)),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let hidden = self.down.forward(xs).gelu("none");
        let hidden = channels_last(&self.conv.forward(&channels_first(&hidden))).gelu("none");
        xs + self.up.forward(&hidden)
    }
}
