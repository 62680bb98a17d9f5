//! The prompt encoder: clicks change a feature map, the deepest (spec: "Prompt encoder").

mod attention;
mod fourier;
mod layer;
mod levels;
mod sampler;

use sam3d_geom::Prompt;
use tch::{
    Tensor,
    nn::{Init, Path},
};

pub(crate) use self::attention::PromptAttention;
use self::layer::PromptLayer;
pub(crate) use self::levels::PromptEncoders;
use crate::config::{PointFeatures, PromptConfig};

/// Visual sampler and layers of global queries.
#[derive(Debug)]
pub(crate) struct PromptEncoder {
    layers: Vec<PromptLayer>,
    /// The random Fourier matrix, if clicks and tokens are known by their place.
    places: Option<Tensor>,
}

impl PromptEncoder {
    pub(crate) fn new(path: &Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        // A buffer of the checkpoint: the visual sampler replaces the positional encoding that would use it.
        let matrix = path.var(
            "positional_encoding_gaussian_matrix",
            &[3, config.num_pos_feats as i64],
            Init::Randn { mean: 0.0, stdev: 1.0 },
        );
        let layers = path / "transformer" / "layers";
        Self {
            layers: (0..config.depth).map(|i| PromptLayer::new(&layers / i, config, channels)).collect(),
            places: (config.features == PointFeatures::Positional).then_some(matrix),
        }
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
        let (mut points, places) = match &self.places {
            None => (sampler::sample(map, prompt), None),
            Some(matrix) => {
                (fourier::of_points(matrix, prompt), Some(fourier::of_grid(matrix, map.size()[2])))
            }
        };
        let mut image = map.flatten(2, 4).transpose(1, 2);
        for layer in &self.layers {
            (image, points) = layer.forward(&image, &points, places.as_ref());
        }
        image.transpose(1, 2).reshape(map.size())
    }
}
