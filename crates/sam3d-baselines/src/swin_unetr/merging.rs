//! Patch merging: 2 x 2 x 2 neighbouring tokens become one of twice the channels.

use tch::Tensor;

use crate::layers::{LayerNorm, Linear, Path};

/// Places (d, h, w) of the neighbours in the order of the published weights: two occur twice, (1, 1, 0) and (0, 1, 1)
/// never.
const LEGACY: [[i64; 3]; 8] =
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1]];

/// The order of later MONAI versions: every neighbour once.
const CORRECTED: [[i64; 3]; 8] =
    [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]];

#[derive(Debug)]
pub(super) struct PatchMerging {
    reduction: Linear,
    norm: LayerNorm,
    places: [[i64; 3]; 8],
}

impl PatchMerging {
    pub(super) fn new(path: Path<'_>, channels: i64, corrected: bool) -> Self {
        Self {
            reduction: Linear::without_bias(&path / "reduction", 8 * channels, 2 * channels),
            norm: LayerNorm::new(&path / "norm", 8 * channels),
            places: if corrected { CORRECTED } else { LEGACY },
        }
    }

    /// # Shapes
    /// `[B, D, H, W, C]` with even sides to `[B, D/2, H/2, W/2, 2C]`.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let neighbours = self.places.map(|[d, h, w]| {
            xs.slice(1, Some(d), None, 2).slice(2, Some(h), None, 2).slice(3, Some(w), None, 2)
        });
        self.reduction.forward(&self.norm.forward(&Tensor::cat(&neighbours, 4)))
    }
}
