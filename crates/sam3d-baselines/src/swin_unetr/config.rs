use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::check::{self, PUBLISHED_CROP};

/// Sizes of Swin-UNETR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwinUnetrConfig {
    /// Sides of the crop (D, H, W); multiples of 32.
    pub crop: [usize; 3],
    /// Channels of the first stage; each further stage has twice as many.
    pub feature_size: usize,
    /// Attention heads of the four stages.
    pub num_heads: [usize; 4],
    /// Side of an attention window; a grid with a shorter side has windows of that side.
    pub window: usize,
    /// Merge the eight neighbours of a patch once each. The published merging takes two of them twice and two never;
    /// weights trained with it need it.
    pub corrected: bool,
}

impl SwinUnetrConfig {
    /// The published sizes.
    pub fn published() -> Self {
        Self {
            crop: PUBLISHED_CROP,
            feature_size: 48,
            num_heads: [3, 6, 12, 24],
            window: 7,
            corrected: false,
        }
    }

    /// Every part of the network on a small crop.
    pub fn small() -> Self {
        Self { crop: [32, 64, 64], feature_size: 12, window: 4, ..Self::published() }
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        check::multiples("crop", self.crop, [32; 3])?;
        check::positive("feature_size", self.feature_size)?;
        check::positive("window", self.window)?;
        for (stage, heads) in self.num_heads.into_iter().enumerate() {
            check::positive("num_heads", heads)?;
            check::divides("feature_size", self.feature_size << stage, "num_heads", heads)?;
        }
        Ok(())
    }
}
