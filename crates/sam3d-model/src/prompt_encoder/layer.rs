//! One layer of the prompt encoder: self-attention over queries and points, then cross-attention of the image to the queries.

use tch::Tensor;

use super::attention::PromptAttention;
use crate::{
    config::PromptConfig,
    tch_ext::{Init, LayerNorm, Linear, Path},
};

const NORM_EPS: f64 = 1e-5;

/// Global queries with self-attention over queries and points, an MLP, and a cross-attention of the image to them.
#[derive(Debug)]
pub(crate) struct PromptLayer {
    global_query: Tensor,
    self_attn: PromptAttention,
    norm1: LayerNorm,
    norm2: LayerNorm,
    lin1: Linear,
    lin2: Linear,
    norm3: LayerNorm,
    norm4: LayerNorm,
    cross_attn_image_to_token: PromptAttention,
}

impl PromptLayer {
    pub(crate) fn new(path: Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        let heads = config.num_heads as i64;
        let narrow = channels / config.attention_downsample_rate as i64;
        let hidden = config.mlp_dim as i64;
        let norm = |name: &str| LayerNorm::with_eps(&path / name, channels, NORM_EPS);
        let mlp = &path / "mlp";
        // Checkpoints hold this attention and count it as trained, but the published forward never calls it.
        let _unused = PromptAttention::new(&path / "cross_attn_token_to_image", channels, narrow, heads);
        Self {
            global_query: path.var(
                "global_query",
                &[1, config.global_queries as i64, channels],
                Init::Normal { stdev: 1.0 },
            ),
            self_attn: PromptAttention::new(&path / "self_attn", channels, channels, heads),
            norm1: norm("norm1"),
            norm2: norm("norm2"),
            lin1: Linear::new(&mlp / "lin1", channels, hidden),
            lin2: Linear::new(&mlp / "lin2", hidden, channels),
            norm3: norm("norm3"),
            norm4: norm("norm4"),
            cross_attn_image_to_token: PromptAttention::new(
                &path / "cross_attn_image_to_token",
                channels,
                narrow,
                heads,
            ),
        }
    }

    /// # Shapes
    /// `image` `[1, G^3, C]`, `points` `[1, N, C]`; both unchanged. `places` `[1, G^3, C]` are added to the image where it
    /// asks for the queries.
    pub(crate) fn forward(
        &self,
        image: &Tensor,
        points: &Tensor,
        places: Option<&Tensor>,
    ) -> (Tensor, Tensor) {
        let queries = Tensor::cat(&[&self.global_query, points], 1);
        let attended = self.norm1.forward(&self.self_attn.forward(&queries, &queries, &queries));
        let queries = self.norm2.forward(&(queries + attended));

        let count = self.global_query.size()[1];
        let global = queries.narrow(1, 0, count);
        let points = queries.narrow(1, count, queries.size()[1] - count);
        let global = self.norm3.forward(&(&global + self.lin2.forward(&self.lin1.forward(&global).relu_())));

        let placed = places.map_or_else(|| image.shallow_clone(), |places| image + places);
        let read = self.cross_attn_image_to_token.forward(&placed, &global, &global);
        (self.norm4.forward(&(image + read)), points)
    }
}
