//! A stage of the decoder: twice the sides, a block that joins the skip, and an ordinary shifted block.

use tch::Tensor;

use super::{NnformerConfig, block::Block};
use crate::{
    Mode,
    layers::{Conv, ConvTranspose3d, LayerNorm, Path, channels_first, channels_last},
    window_attention::Queries,
};

#[derive(Debug)]
pub(super) struct DecoderStage {
    norm: LayerNorm,
    up: ConvTranspose3d,
    joining: Block,
    shifted: Block,
}

impl DecoderStage {
    /// The stage on the grid of encoder stage `stage`.
    pub(super) fn new(path: Path<'_>, config: &NnformerConfig, stage: usize, drop_rates: [f64; 2]) -> Self {
        let (upsample, blocks) = (&path / "Upsample", &path / "blocks");
        let (inputs, channels) = (config.channels(stage + 1), config.channels(stage));
        let [first, second] = drop_rates;
        Self {
            norm: LayerNorm::new(&upsample / "norm", inputs),
            up: ConvTranspose3d::new(&upsample / "up", Conv::patches(inputs, channels, [2; 3])),
            joining: Block::new(&blocks / 0, config, stage, 0, Queries::Given, first),
            shifted: Block::new(&blocks / 1, config, stage, 1, Queries::Projected, second),
        }
    }

    /// # Shapes
    /// `[B, D, H, W, 2C]` and a skip `[B, 2D, 2H, 2W, C]` to the skip's shape.
    pub(super) fn forward(&self, xs: &Tensor, skip: &Tensor, mode: Mode) -> Tensor {
        let upsampled = channels_last(&self.up.forward(&channels_first(&self.norm.forward(xs))));
        self.shifted.forward(&self.joining.forward_joining(&upsampled, skip, mode), mode)
    }
}
