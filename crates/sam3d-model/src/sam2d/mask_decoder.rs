//! SAM's mask decoder: two-way attention between tokens (of masks and clicks) and the image, then a mask for each mask token.

use tch::Tensor;

use super::{
    config::{MASKS, Sam2dConfig},
    layers::{Doubled, Perceptron, norm_channels},
};
use crate::{
    prompt_encoder::PromptAttention,
    tch_ext::{Init, LayerNorm, Linear, Path},
};

const NORM_EPS: f64 = 1e-5;

/// Two-way transformer, upscaling, and a small network for each mask and for the masks' quality.
#[derive(Debug)]
pub(super) struct MaskDecoder2d {
    layers: Vec<TwoWayLayer>,
    final_attn_token_to_image: PromptAttention,
    norm_final_attn: LayerNorm,
    iou_token: Tensor,
    mask_tokens: Tensor,
    upscale1: Doubled,
    norm: LayerNorm,
    upscale2: Doubled,
    hypernetworks: Vec<Perceptron>,
    iou_prediction_head: Perceptron,
}

impl MaskDecoder2d {
    pub(super) fn new(path: &Path<'_>, config: &Sam2dConfig) -> Self {
        let (channels, heads) = (config.channels as i64, config.decoder_heads as i64);
        let token = |name: &str, count: i64| {
            (path / name).var("weight", &[count, channels], Init::Normal { stdev: 1.0 })
        };
        let transformer = path / "transformer";
        let layers = &transformer / "layers";
        let upscaling = path / "output_upscaling";
        let hypernetworks = path / "output_hypernetworks_mlps";
        let hidden = config.iou_hidden as i64;
        // One more than MASKS: SAM's first token is for unambiguous prompts.
        let tokens = MASKS + 1;
        Self {
            layers: (0..config.decoder_depth).map(|i| TwoWayLayer::new(&layers / i, config, i)).collect(),
            final_attn_token_to_image: PromptAttention::new(
                &transformer / "final_attn_token_to_image",
                channels,
                channels / 2,
                heads,
            ),
            norm_final_attn: LayerNorm::with_eps(&transformer / "norm_final_attn", channels, NORM_EPS),
            iou_token: token("iou_token", 1),
            mask_tokens: token("mask_tokens", tokens),
            upscale1: Doubled::new(&upscaling / 0, channels, channels / 4),
            norm: LayerNorm::with_eps(&upscaling / 1, channels / 4, 1e-6),
            upscale2: Doubled::new(&upscaling / 3, channels / 4, channels / 8),
            hypernetworks: (0..tokens)
                .map(|i| Perceptron::new(&hypernetworks / i, &[channels, channels, channels, channels / 8]))
                .collect(),
            iou_prediction_head: Perceptron::new(
                path / "iou_prediction_head",
                &[channels, hidden, hidden, tokens],
            ),
        }
    }

    /// The logits of three masks and the IoU that each is predicted to have.
    ///
    /// # Shapes
    /// Image embedding (with the mask prompt added) and places `[1, C, G, G]`, prompt tokens `[1, N, C]`; gives
    /// `[1, 3, 4 G, 4 G]` and `[1, 3]`.
    pub(super) fn forward(&self, image: &Tensor, places: &Tensor, prompts: &Tensor) -> (Tensor, Tensor) {
        let size = image.size();
        let tokens = Tensor::cat(&[&self.iou_token, &self.mask_tokens], 0).unsqueeze(0);
        let tokens = Tensor::cat(&[&tokens, prompts], 1);
        let places = places.flatten(2, 3).transpose(1, 2);
        let (mut queries, mut keys) = (tokens.shallow_clone(), image.flatten(2, 3).transpose(1, 2));
        for layer in &self.layers {
            (queries, keys) = layer.forward(&queries, &keys, &tokens, &places);
        }
        let read = self.final_attn_token_to_image.forward(&(&queries + &tokens), &(&keys + &places), &keys);
        let queries = self.norm_final_attn.forward(&(queries + read));

        let map = keys.transpose(1, 2).reshape(size);
        let map = norm_channels(&self.norm, &self.upscale1.forward(&map)).gelu("none");
        let map = self.upscale2.forward(&map.contiguous()).gelu("none");
        // The tokens of the masks follow that of the IoU; the first of them is the one left out.
        let kernels: Vec<Tensor> = (1..=MASKS)
            .map(|mask| self.hypernetworks[mask as usize].forward(&queries.select(1, 1 + mask)))
            .collect();
        let [_, channels, height, width] = map.size()[..] else { return (map, queries) };
        let masks = Tensor::stack(&kernels, 1).matmul(&map.view([1, channels, height * width]));
        let iou = self.iou_prediction_head.forward(&queries.select(1, 0));
        (masks.view([1, MASKS, height, width]), iou.narrow(1, 1, MASKS))
    }
}

/// Tokens attend to themselves and to the image, then the image to them.
#[derive(Debug)]
struct TwoWayLayer {
    self_attn: PromptAttention,
    norm1: LayerNorm,
    cross_attn_token_to_image: PromptAttention,
    norm2: LayerNorm,
    lin1: Linear,
    lin2: Linear,
    norm3: LayerNorm,
    cross_attn_image_to_token: PromptAttention,
    norm4: LayerNorm,
    /// The first layer's self-attention sees the tokens alone and replaces them.
    is_first: bool,
}

impl TwoWayLayer {
    fn new(path: Path<'_>, config: &Sam2dConfig, index: usize) -> Self {
        let (channels, heads) = (config.channels as i64, config.decoder_heads as i64);
        let hidden = config.decoder_mlp_dim as i64;
        let norm = |name: &str| LayerNorm::with_eps(&path / name, channels, NORM_EPS);
        let attention = |name: &str, width: i64| PromptAttention::new(&path / name, channels, width, heads);
        let mlp = &path / "mlp";
        Self {
            self_attn: attention("self_attn", channels),
            norm1: norm("norm1"),
            cross_attn_token_to_image: attention("cross_attn_token_to_image", channels / 2),
            norm2: norm("norm2"),
            lin1: Linear::new(&mlp / "lin1", channels, hidden),
            lin2: Linear::new(&mlp / "lin2", hidden, channels),
            norm3: norm("norm3"),
            cross_attn_image_to_token: attention("cross_attn_image_to_token", channels / 2),
            norm4: norm("norm4"),
            is_first: index == 0,
        }
    }

    /// # Shapes
    /// Queries and their places `[1, N, C]`, keys and theirs `[1, G^2, C]`; both unchanged.
    fn forward(&self, queries: &Tensor, keys: &Tensor, tokens: &Tensor, places: &Tensor) -> (Tensor, Tensor) {
        let queries = if self.is_first {
            self.self_attn.forward(queries, queries, queries)
        } else {
            let placed = queries + tokens;
            queries + self.self_attn.forward(&placed, &placed, queries)
        };
        let queries = self.norm1.forward(&queries);

        let placed_keys = keys + places;
        let read = self.cross_attn_token_to_image.forward(&(&queries + tokens), &placed_keys, keys);
        let queries = self.norm2.forward(&(queries + read));

        let hidden = self.lin1.forward(&queries).relu();
        let queries = self.norm3.forward(&(&queries + self.lin2.forward(&hidden)));

        let read = self.cross_attn_image_to_token.forward(&placed_keys, &(&queries + tokens), &queries);
        (queries, self.norm4.forward(&(keys + read)))
    }
}
