use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::check::{self, PUBLISHED_CROP};

/// Sizes of TransBTS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransbtsConfig {
    /// Sides of the crop (D, H, W); multiples of 8. The number of tokens is part of the weights' shapes.
    pub crop: [usize; 3],
    /// Channels at the crop's own resolution, a multiple of 8; each of the three steps down doubles them.
    pub base_channels: usize,
    /// Channels of a token.
    pub embedding_dim: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Layers of attention and MLP.
    pub num_layers: usize,
    /// Hidden channels of the MLPs.
    pub hidden_dim: usize,
    /// Rate at which training drops values in the transformer.
    pub dropout: f64,
    /// Rate at which training drops channels after the first convolution.
    pub stem_dropout: f64,
    /// Drop them in evaluation too, as the published code does: its predictions are random.
    pub stem_dropout_in_evaluation: bool,
}

impl TransbtsConfig {
    /// The published sizes.
    pub fn published() -> Self {
        Self {
            crop: PUBLISHED_CROP,
            base_channels: 16,
            embedding_dim: 512,
            num_heads: 8,
            num_layers: 4,
            hidden_dim: 4096,
            dropout: 0.1,
            stem_dropout: 0.2,
            stem_dropout_in_evaluation: false,
        }
    }

    /// Every part of the network on a small crop.
    pub fn small() -> Self {
        Self {
            crop: [32, 64, 64],
            base_channels: 8,
            embedding_dim: 64,
            num_heads: 4,
            num_layers: 2,
            hidden_dim: 128,
            ..Self::published()
        }
    }

    /// The number of tokens.
    pub(super) fn tokens(&self) -> i64 {
        self.crop.iter().map(|side| *side as i64 / 8).product()
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        check::multiples("crop", self.crop, [8; 3])?;
        check::positive("base_channels", self.base_channels)?;
        check::divides("base_channels", self.base_channels, "the groups of its norms", 8)?;
        check::positive("embedding_dim", self.embedding_dim)?;
        check::positive("num_heads", self.num_heads)?;
        check::divides("embedding_dim", self.embedding_dim, "num_heads", self.num_heads)?;
        check::positive("num_layers", self.num_layers)?;
        check::positive("hidden_dim", self.hidden_dim)?;
        check::rate("dropout", self.dropout)?;
        check::rate("stem_dropout", self.stem_dropout)
    }
}
