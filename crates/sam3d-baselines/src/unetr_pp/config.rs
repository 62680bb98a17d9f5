use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::check::{self, PUBLISHED_CROP};

/// Sizes of UNETR++.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnetrPpConfig {
    /// Sides of the crop (D, H, W); multiples of (16, 32, 32). The number of tokens is part of the weights' shapes.
    pub crop: [usize; 3],
    /// Channels at the crop's own resolution. The encoder's stages have 2, 4, 8 and 16 times as many.
    pub feature_size: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Blocks of a stage.
    pub depth: usize,
    /// Width that keys and values of the spatial attention are projected to, in the encoder's stages and the decoder's.
    pub proj_size: [usize; 4],
    /// The same in the decoder.
    pub decoder_proj_size: usize,
    /// Rate at which training drops attention weights.
    pub attention_dropout: f64,
    /// Rate at which training drops channels before a block's last convolution.
    pub channel_dropout: f64,
}

impl UnetrPpConfig {
    /// The published sizes.
    pub fn published() -> Self {
        Self {
            crop: PUBLISHED_CROP,
            feature_size: 16,
            num_heads: 4,
            depth: 3,
            proj_size: [64, 64, 64, 32],
            decoder_proj_size: 64,
            attention_dropout: 0.15,
            channel_dropout: 0.1,
        }
    }

    /// Every part of the network on a small crop.
    pub fn small() -> Self {
        Self {
            crop: [32, 64, 64],
            feature_size: 8,
            depth: 1,
            proj_size: [16, 16, 16, 8],
            decoder_proj_size: 16,
            ..Self::published()
        }
    }

    /// The channels of encoder stage `stage`.
    pub(super) fn channels(&self, stage: usize) -> i64 {
        ((2 * self.feature_size) << stage) as i64
    }

    /// The tokens of encoder stage `stage`.
    pub(super) fn tokens(&self, stage: usize) -> i64 {
        let [d, h, w] = self.crop;
        [d / 2, h / 4, w / 4].into_iter().map(|side| (side >> stage) as i64).product()
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        check::multiples("crop", self.crop, [16, 32, 32])?;
        check::positive("feature_size", self.feature_size)?;
        check::positive("num_heads", self.num_heads)?;
        check::positive("depth", self.depth)?;
        check::positive("decoder_proj_size", self.decoder_proj_size)?;
        for size in self.proj_size {
            check::positive("proj_size", size)?;
        }
        check::divides("feature_size", 2 * self.feature_size, "num_heads", self.num_heads)?;
        check::rate("attention_dropout", self.attention_dropout)?;
        check::rate("channel_dropout", self.channel_dropout)
    }
}
