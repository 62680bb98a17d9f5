//! Paired attention: between channels, and between tokens and a few projected keys, with shared queries and keys.

use tch::{Kind, Tensor};

use super::{UnetrPpConfig, block::BlockShape};
use crate::{
    Mode,
    layers::{Init, Linear, Path},
};

#[derive(Debug)]
pub(super) struct PairedAttention {
    /// Scale of the channel attention, for each head.
    temperature: Tensor,
    /// Scale of the spatial attention.
    temperature2: Tensor,
    /// Queries, keys, values of the channels, values of the tokens.
    qkvv: Linear,
    /// Projects the tokens to a few. Published files hold it twice, as `E` and `F`.
    project: Linear,
    out_proj: Linear,
    out_proj2: Linear,
    heads: i64,
    dropout: f64,
}

impl PairedAttention {
    pub(super) fn new(path: Path<'_>, config: &UnetrPpConfig, shape: &BlockShape) -> Self {
        let BlockShape { channels, tokens, width, start } = *shape;
        let heads = config.num_heads as i64;
        let linear =
            |name: &str, inputs: i64, outputs: i64| Linear::starting(&path / name, inputs, outputs, start);
        Self {
            temperature: path.var("temperature", &[heads, 1, 1], Init::Const(1.0)),
            temperature2: path.var("temperature2", &[heads, 1, 1], Init::Const(1.0)),
            qkvv: Linear::starting_without_bias(&path / "qkvv", channels, 4 * channels, start),
            project: linear("E", tokens, width),
            out_proj: linear("out_proj", channels, channels / 2),
            out_proj2: linear("out_proj2", channels, channels / 2),
            heads,
            dropout: config.attention_dropout,
        }
    }

    /// # Shapes
    /// `[B, N, C]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        let (batch, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
        let width = channels / self.heads;
        // Each [B, heads, d, N].
        let parts =
            self.qkvv.forward(xs).view([batch, tokens, 4, self.heads, width]).permute([2, 0, 3, 4, 1]);
        let [query, key, value_channels, value_tokens] = std::array::from_fn(|part| parts.get(part as i64));
        let key_few = self.project.forward(&key);
        let value_few = self.project.forward(&value_tokens);
        let (query, key) = (unit(&query), unit(&key));
        let drop = |weights: Tensor| weights.dropout(self.dropout, mode == Mode::Train);

        let scores = query.matmul(&key.transpose(2, 3)) * &self.temperature;
        let channel = drop(scores.softmax(-1, None::<Kind>)).matmul(&value_channels);
        let channel = channel.permute([0, 3, 1, 2]).reshape([batch, tokens, channels]);

        let scores = query.transpose(2, 3).matmul(&key_few) * &self.temperature2;
        let spatial = drop(scores.softmax(-1, None::<Kind>)).matmul(&value_few.transpose(2, 3));
        // As published: [heads, N, d] is laid out as [d, heads, N] and read as [N, C], which mixes tokens and channels.
        let spatial = spatial.permute([0, 3, 1, 2]).reshape([batch, tokens, channels]);

        Tensor::cat(&[self.out_proj.forward(&spatial), self.out_proj2.forward(&channel)], 2)
    }
}

/// Rows of length 1 along the last axis.
fn unit(xs: &Tensor) -> Tensor {
    xs / xs.norm_scalaropt_dim(2.0, [-1].as_slice(), true).clamp_min(1e-12)
}
