//! The prompt encoder: clicks change the deepest feature map (spec: "Prompt encoder").

mod attention;
mod layer;
mod sampler;

use sam3d_geom::Prompt;
use tch::{
    Tensor,
    nn::{Init, Path},
};

pub(crate) use self::attention::PromptAttention;
use self::layer::PromptLayer;
use crate::config::PromptConfig;

/// Visual sampler and layers of global queries.
#[derive(Debug)]
pub(crate) struct PromptEncoder {
    layers: Vec<PromptLayer>,
}

impl PromptEncoder {
    pub(crate) fn new(path: &Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        // A buffer of the checkpoint: the visual sampler replaces the positional encoding that would use it.
        let _unused = path.var(
            "positional_encoding_gaussian_matrix",
            &[3, config.num_pos_feats as i64],
            Init::Randn { mean: 0.0, stdev: 1.0 },
        );
        let layers = path / "transformer" / "layers";
        Self { layers: (0..config.depth).map(|i| PromptLayer::new(&layers / i, config, channels)).collect() }
    }

    /// One prompt for each sample; the numbers of clicks may differ.
    ///
    /// # Shapes
    /// Feature map `[B, C, G, G, G]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, map: &Tensor, prompts: &[Prompt]) -> Tensor {
        let samples: Vec<Tensor> = prompts
            .iter()
            .enumerate()
            .map(|(index, prompt)| self.forward_sample(&map.narrow(0, index as i64, 1), prompt))
            .collect();
        Tensor::cat(&samples, 0)
    }

    fn forward_sample(&self, map: &Tensor, prompt: &Prompt) -> Tensor {
        let mut points = sampler::sample(map, prompt);
        let mut image = map.flatten(2, 4).transpose(1, 2);
        for layer in &self.layers {
            (image, points) = layer.forward(&image, &points);
        }
        image.transpose(1, 2).reshape(map.size())
    }
}
