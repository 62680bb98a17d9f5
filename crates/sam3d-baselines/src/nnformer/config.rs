use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::check::{self, PUBLISHED_CROP};

/// Sizes of nnFormer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NnformerConfig {
    /// Sides of the crop (D, H, W); multiples of (2, 4, 4).
    pub crop: [usize; 3],
    /// Channels of the first stage; each further stage has twice as many.
    pub embedding_dim: usize,
    /// Attention heads of the four stages.
    pub num_heads: [usize; 4],
    /// Side of an attention window in each stage, at most the smallest side of the stage's grid.
    pub windows: [usize; 4],
    /// Largest rate at which training drops a residual branch.
    pub drop_path_rate: f64,
    /// Read the table of relative positions with an entry for each offset. The published index has a slip by which
    /// many offsets share an entry; weights trained with it need it.
    pub corrected: bool,
}

impl NnformerConfig {
    /// The published sizes.
    pub fn published() -> Self {
        Self {
            crop: PUBLISHED_CROP,
            embedding_dim: 192,
            num_heads: [6, 12, 24, 48],
            windows: [8, 8, 6, 4],
            drop_path_rate: 0.2,
            corrected: false,
        }
    }

    /// Every part of the network on a small crop.
    pub fn small() -> Self {
        Self {
            crop: [32, 64, 64],
            embedding_dim: 24,
            num_heads: [2, 2, 4, 4],
            windows: [4, 4, 3, 2],
            ..Self::published()
        }
    }

    /// The token grid (D, H, W) of encoder stage `stage`.
    pub(super) fn grid(&self, stage: usize) -> [i64; 3] {
        let [d, h, w] = self.crop;
        let halve = |length: usize| (0..stage).fold(length, |length, _| length.div_ceil(2)) as i64;
        [d / 2, h / 4, w / 4].map(halve)
    }

    /// The channels of encoder stage `stage`.
    pub(super) fn channels(&self, stage: usize) -> i64 {
        (self.embedding_dim << stage) as i64
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        // The decoder doubles the sides that the encoder halved.
        check::multiples("crop", self.crop, [16, 32, 32])?;
        check::positive("embedding_dim", self.embedding_dim)?;
        check::divides("embedding_dim", self.embedding_dim, "2", 2)?;
        check::rate("drop_path_rate", self.drop_path_rate)?;
        for stage in 0..4 {
            let (heads, window) = (self.num_heads[stage], self.windows[stage]);
            check::positive("num_heads", heads)?;
            check::divides("embedding_dim", self.embedding_dim << stage, "num_heads", heads)?;
            check::positive("windows", window)?;
            let shortest = self.grid(stage).into_iter().min().unwrap_or_default();
            check::check(
                window as i64 <= shortest,
                "windows",
                window,
                &format!("at most {shortest}, the smallest side of stage {stage}'s grid"),
            )?;
        }
        Ok(())
    }
}
