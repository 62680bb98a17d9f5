//! The prompt encoder: clicks change a feature map, the deepest (spec: "Prompt encoder").

mod attention;
mod fourier;
mod layer;
mod levels;
mod sampler;

use sam3d_geom::{PointLabel, Prompt};
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
    /// What is added to the feature of a negative and of a positive point, `[2, C]`.
    labels: Option<Tensor>,
}

impl PromptEncoder {
    pub(crate) fn new(path: &Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        // A buffer of the checkpoint: the visual sampler replaces the positional encoding that would use it.
        let matrix = path.var(
            "positional_encoding_gaussian_matrix",
            &[3, config.num_pos_feats as i64],
            Init::Randn { mean: 0.0, stdev: 1.0 },
        );
        // Zero at the start: the network then begins as one without labels.
        let labels = config.point_labels.then(|| path.var("point_labels", &[2, channels], Init::Const(0.0)));
        let layers = path / "transformer" / "layers";
        Self {
            layers: (0..config.depth).map(|i| PromptLayer::new(&layers / i, config, channels)).collect(),
            labels,
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
        if let Some(labels) = &self.labels {
            let rows = label_rows(prompt).to_device(map.device());
            points = &points + labels.index_select(0, &rows);
        }
        let mut image = map.flatten(2, 4).transpose(1, 2);
        for layer in &self.layers {
            (image, points) = layer.forward(&image, &points, places.as_ref());
        }
        image.transpose(1, 2).reshape(map.size())
    }
}

/// The row of each point's label: 0 for a negative point, 1 for a positive one.
fn label_rows(prompt: &Prompt) -> Tensor {
    let rows: Vec<i64> =
        prompt.points().iter().map(|point| i64::from(point.label == PointLabel::Positive)).collect();
    Tensor::from_slice(&rows)
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Extent, Point};
    use tch::{Device, Kind, nn::VarStore};

    use super::*;
    use crate::ModelConfig;

    #[test]
    fn labels_begin_as_nothing_and_then_tell_points_apart() {
        let mut config = ModelConfig::tiny().prompt.unwrap();
        config.point_labels = true;
        let store = VarStore::new(Device::Cpu);
        let encoder = PromptEncoder::new(&store.root(), &config, 32);
        let map = Tensor::randn([1, 32, 4, 4, 4], (Kind::Float, Device::Cpu));
        let prompt = |label| {
            let point = Point { index: [1, 2, 3], label };
            [Prompt::new(vec![point], Extent::new([4; 3]).unwrap()).unwrap()]
        };
        let [positive, negative] = [PointLabel::Positive, PointLabel::Negative].map(prompt);
        assert!(encoder.forward(&map, &positive).equal(&encoder.forward(&map, &negative)));

        let before = encoder.forward(&map, &positive);
        let labels = encoder.labels.as_ref().unwrap();
        {
            let _no_grad = tch::no_grad_guard();
            let _ = labels.get(0).fill_(1.0);
        }
        // The first row is that of negative points.
        assert!(encoder.forward(&map, &positive).equal(&before));
        assert!(!encoder.forward(&map, &negative).equal(&before));
    }
}
