//! One block: adapter, windowed attention, MLP, each with a residual.

use tch::{Tensor, nn::Path};

use super::{
    adapter::Adapter,
    attention::Attention,
    window::{TokenCodes, Windows},
};
use crate::{
    config::EncoderConfig,
    tch_ext::{LayerNorm, Linear},
};

const NORM_EPS: f64 = 1e-6;

/// A transformer block of SAM with an adapter in front. Blocks with an even index attend in shifted windows.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) adapter: Adapter,
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    pub(crate) mlp: Mlp,
    windows: Windows,
    shifted: bool,
}

impl Block {
    pub(crate) fn new(path: Path<'_>, config: &EncoderConfig, index: usize) -> Self {
        let channels = config.embed_dim as i64;
        Self {
            norm1: LayerNorm::new(&path / "norm1", channels, NORM_EPS),
            attn: Attention::new(&path / "attn", config, index),
            norm2: LayerNorm::new(&path / "norm2", channels, NORM_EPS),
            mlp: Mlp::new(&path / "mlp", channels, channels * config.mlp_ratio as i64),
            adapter: Adapter::new(&path / "adapter", channels),
            windows: Windows { grid: config.token_grid as i64, side: config.window as i64 },
            shifted: index.is_multiple_of(2),
        }
    }

    pub(crate) fn reset_depth_positions(&mut self) {
        self.attn.reset_depth_positions();
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, xs: &Tensor, codes: &TokenCodes) -> Tensor {
        let xs = self.adapter.forward(xs);
        let xs = &xs + self.attend(&self.norm1.forward(&xs), codes);
        &xs + self.mlp.forward(&self.norm2.forward(&xs))
    }

    pub(crate) fn attend(&self, xs: &Tensor, codes: &TokenCodes) -> Tensor {
        if !self.shifted {
            return self.windows.merge(&self.attn.forward(&self.windows.partition(xs), codes, false));
        }
        let by = self.windows.side / 2;
        let rolled = xs.roll([-by, -by, -by], [1, 2, 3]);
        let attended = self.attn.forward(&self.windows.partition(&rolled), codes, true);
        self.windows.merge(&attended).roll([by, by, by], [1, 2, 3])
    }
}

/// `lin2(gelu(lin1(x)))`, with the exact (erf) GELU.
#[derive(Debug)]
pub(crate) struct Mlp {
    lin1: Linear,
    lin2: Linear,
}

impl Mlp {
    fn new(path: Path<'_>, channels: i64, hidden: i64) -> Self {
        Self {
            lin1: Linear::new(&path / "lin1", channels, hidden),
            lin2: Linear::new(&path / "lin2", hidden, channels),
        }
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        self.lin2.forward(&self.lin1.forward(xs).gelu("none"))
    }
}
