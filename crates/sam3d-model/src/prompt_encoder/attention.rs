//! Multi-head attention with separate projections to an internal width.

use tch::{Kind, Tensor};

use crate::{
    precision::operand,
    tch_ext::{Linear, Path},
};

/// `out_proj(softmax(q k^T / sqrt(width / heads)) v)`.
#[derive(Debug)]
pub(crate) struct PromptAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: i64,
}

impl PromptAttention {
    /// Features of `channels` are projected to `width` and back.
    pub(crate) fn new(path: Path<'_>, channels: i64, width: i64, heads: i64) -> Self {
        Self {
            q_proj: Linear::new(&path / "q_proj", channels, width),
            k_proj: Linear::new(&path / "k_proj", channels, width),
            v_proj: Linear::new(&path / "v_proj", channels, width),
            out_proj: Linear::new(&path / "out_proj", width, channels),
            heads,
        }
    }

    /// # Shapes
    /// Queries `[B, Q, C]`, keys and values `[B, K, C]`; gives `[B, Q, C]`.
    pub(crate) fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
        let query = self.split(&self.q_proj.forward(query));
        let key = self.split(&self.k_proj.forward(key));
        let value = self.split(&self.v_proj.forward(value));
        let scale = (query.size()[3] as f64).powf(-0.5);
        let weights = operand(&(query.matmul(&key.transpose(-2, -1)) * scale).softmax(-1, Kind::Float));
        self.out_proj.forward(&weights.matmul(&value).transpose(1, 2).flatten(2, 3))
    }

    /// # Shapes
    /// `[B, N, width]` to `[B, heads, N, width / heads]`.
    fn split(&self, xs: &Tensor) -> Tensor {
        let (batch, tokens) = (xs.size()[0], xs.size()[1]);
        xs.view([batch, tokens, self.heads, -1]).transpose(1, 2)
    }
}
