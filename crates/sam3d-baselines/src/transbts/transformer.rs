//! The transformer: attention over all tokens and an MLP, each on the normalised tokens and added to them.

use tch::{Kind, Tensor};

use super::TransbtsConfig;
use crate::{
    Mode,
    layers::{LayerNorm, Linear, Path, gelu},
};

#[derive(Debug)]
pub(super) struct Transformer {
    layers: Vec<Layer>,
    heads: i64,
    dropout: f64,
}

/// Entries 2i and 2i + 1 of the published list.
#[derive(Debug)]
struct Layer {
    attention_norm: LayerNorm,
    qkv: Linear,
    proj: Linear,
    mlp_norm: LayerNorm,
    hidden: Linear,
    output: Linear,
}

impl Layer {
    fn new(net: &Path<'_>, config: &TransbtsConfig, index: usize) -> Self {
        let (channels, hidden) = (config.embedding_dim as i64, config.hidden_dim as i64);
        let (attention, mlp) = (net / (2 * index) / "fn", net / (2 * index + 1) / "fn");
        Self {
            attention_norm: LayerNorm::new(&attention / "norm", channels),
            qkv: Linear::without_bias(&attention / "fn" / "qkv", channels, 3 * channels),
            proj: Linear::new(&attention / "fn" / "proj", channels, channels),
            mlp_norm: LayerNorm::new(&mlp / "norm", channels),
            hidden: Linear::new(&mlp / "fn" / "net" / 0, channels, hidden),
            output: Linear::new(&mlp / "fn" / "net" / 3, hidden, channels),
        }
    }
}

impl Transformer {
    pub(super) fn new(net: &Path<'_>, config: &TransbtsConfig) -> Self {
        Self {
            layers: (0..config.num_layers).map(|index| Layer::new(net, config, index)).collect(),
            heads: config.num_heads as i64,
            dropout: config.dropout,
        }
    }

    /// # Shapes
    /// `[B, N, E]`, unchanged.
    pub(super) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        let drop = |xs: Tensor| xs.dropout(self.dropout, mode == Mode::Train);
        self.layers.iter().fold(xs.shallow_clone(), |xs, layer| {
            let attended = self.attend(layer, &layer.attention_norm.forward(&xs), mode);
            // Published: once after the projection, once on the whole branch.
            let xs = &xs + drop(drop(attended));
            let hidden = drop(gelu(&layer.hidden.forward(&layer.mlp_norm.forward(&xs))));
            &xs + drop(layer.output.forward(&hidden))
        })
    }

    fn attend(&self, layer: &Layer, xs: &Tensor, mode: Mode) -> Tensor {
        let (batch, tokens, channels) = (xs.size()[0], xs.size()[1], xs.size()[2]);
        let width = channels / self.heads;
        let qkv = layer.qkv.forward(xs).view([batch, tokens, 3, self.heads, width]).permute([2, 0, 3, 1, 4]);
        let scores = qkv.get(0).matmul(&qkv.get(1).transpose(2, 3)) * (width as f64).powf(-0.5);
        let weights = scores.softmax(-1, None::<Kind>).dropout(self.dropout, mode == Mode::Train);
        let mixed = weights.matmul(&qkv.get(2)).transpose(1, 2).reshape([batch, tokens, channels]);
        layer.proj.forward(&mixed)
    }
}
