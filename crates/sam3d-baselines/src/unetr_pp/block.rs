//! A block: paired attention on the tokens, and a residual convolution block on the map.

use tch::Tensor;

use super::{UnetrPpConfig, attention::PairedAttention};
use crate::{
    Mode,
    blocks::ResBlock,
    layers::{Conv, Conv3d, Init, LayerNorm, Path, Start},
};

/// Sizes of a stage's blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    pub(super) channels: i64,
    pub(super) tokens: i64,
    /// Width of the projected keys and values.
    pub(super) width: i64,
    /// Initial values of the linear layers.
    pub(super) start: Start,
}

#[derive(Debug)]
pub(crate) struct Block {
    pos_embed: Tensor,
    norm: LayerNorm,
    gamma: Tensor,
    epa_block: PairedAttention,
    conv51: ResBlock,
    conv8: Conv3d,
    channel_dropout: f64,
}

impl Block {
    pub(super) fn new(path: Path<'_>, config: &UnetrPpConfig, shape: &BlockShape) -> Self {
        let BlockShape { channels, tokens, .. } = *shape;
        Self {
            pos_embed: path.var("pos_embed", &[1, tokens, channels], Init::Const(0.0)),
            norm: LayerNorm::new(&path / "norm", channels),
            gamma: path.var("gamma", &[channels], Init::Const(1e-6)),
            epa_block: PairedAttention::new(&path / "epa_block", config, shape),
            conv51: ResBlock::batch_normalised(&path / "conv51", channels),
            conv8: Conv3d::new(&path / "conv8" / 1, Conv::same(channels, channels, [1; 3])),
            channel_dropout: config.channel_dropout,
        }
    }

    /// The tokens with their positions, and what the attention makes of them.
    ///
    /// # Shapes
    /// `[B, C, D, H, W]` to twice `[B, N, C]`.
    pub(crate) fn attend(&self, xs: &Tensor, mode: Mode) -> (Tensor, Tensor) {
        let tokens = xs.flatten(2, 4).transpose(1, 2) + &self.pos_embed;
        let attended = self.epa_block.forward(&self.norm.forward(&tokens), mode);
        (tokens, attended)
    }

    /// # Shapes
    /// `[B, C, D, H, W]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        let (tokens, attended) = self.attend(xs, mode);
        let tokens = tokens + attended * &self.gamma;
        let map = tokens.transpose(1, 2).reshape(xs.size().as_slice());
        let inner = self.conv51.forward(&map, mode);
        let inner = inner.feature_dropout(self.channel_dropout, mode == Mode::Train);
        map + self.conv8.forward(&inner)
    }
}
