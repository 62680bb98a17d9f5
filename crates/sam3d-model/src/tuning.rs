//! How the image encoder is tuned.

use serde::{Deserialize, Serialize};

/// A way of tuning SAM's image encoder: the modules added to it and the weights trained. The paper compares the first with the
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// This method: an adapter with a depth-wise 3 x 3 x 3 convolution before each block, and the layer norms.
    #[default]
    SpatialAdapter,
    /// Full fine-tuning: nothing is added, everything is trained.
    Full,
    /// Bottlenecks after attention and MLP (Houlsby et al. 2019), and the layer norms.
    Adapter,
    /// A prompt made from each block's features (Nie et al. 2022).
    ProTuning,
    /// A bottleneck with a convolution along depth before each block (Pan et al. 2022).
    StAdapter,
    /// An adapter with convolutions at two scales and a filter of the spectrum after each block (Shen et al. 2023).
    MedTuning,
    /// This method's adapters with everything trained, for networks that do not begin from SAM's weights. Not in the paper.
    FromScratch,
}

impl Tuning {
    /// Every way of tuning.
    pub const ALL: [Self; 7] = [
        Self::SpatialAdapter,
        Self::Full,
        Self::Adapter,
        Self::ProTuning,
        Self::StAdapter,
        Self::MedTuning,
        Self::FromScratch,
    ];

    /// Whether all of SAM's weights are trained.
    pub(crate) fn trains_all(self) -> bool {
        matches!(self, Self::Full | Self::FromScratch)
    }

    /// Whether the layer norms of SAM's blocks are trained.
    pub(crate) fn trains_norms(self) -> bool {
        self.trains_all() || matches!(self, Self::SpatialAdapter | Self::Adapter)
    }
}
