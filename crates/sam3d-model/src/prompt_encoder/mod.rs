//! The prompt encoder: clicks and dense prompts change a feature map, the deepest (spec: "Prompt encoder").

mod attention;
mod dense;
mod fourier;
mod layer;
mod sampler;

use sam3d_geom::{Point, PointLabel};
use tch::{Kind, Tensor};

pub(crate) use self::attention::PromptAttention;
use self::{dense::DenseEncoder, layer::PromptLayer};
use crate::{
    config::{LEVELS, PointFeatures, PromptConfig},
    prompt::CropPrompt,
    tch_ext::{Init, Path},
};

/// A prompt encoder for each prompted feature map. The published network has one, for the deepest.
#[derive(Debug)]
pub(crate) struct PromptEncoders {
    /// Levels, counted from 1, with their encoders.
    encoders: Vec<(usize, PromptEncoder)>,
}

impl PromptEncoders {
    /// The parameters of the deepest level's encoder live at `path` itself, as in published checkpoints; those of level n
    /// at `level_n` below it.
    pub(crate) fn new(path: &Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        let encoder = |level: &usize| {
            let encoder = if *level == LEVELS {
                PromptEncoder::new(path, config, channels)
            } else {
                // Dense prompts are added to the deepest map alone.
                let config = PromptConfig { dense_prompts: false, ..config.clone() };
                PromptEncoder::new(&(path / format!("level_{level}")), &config, channels)
            };
            (*level, encoder)
        };
        Self { encoders: config.levels.iter().map(encoder).collect() }
    }

    /// Whether prompts are inserted at `level`, counted from 1.
    pub(crate) fn has(&self, level: usize) -> bool {
        self.encoders.iter().any(|(own, _)| *own == level)
    }

    /// The map of `level`, counted from 1, with the prompts inserted; unchanged if the level is not prompted.
    ///
    /// # Shapes
    /// Feature map `[B, C, G, G, G]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, level: usize, map: &Tensor, prompts: &[CropPrompt]) -> Tensor {
        self.encoders
            .iter()
            .find(|(own, _)| *own == level)
            .map_or_else(|| map.shallow_clone(), |(_, encoder)| encoder.forward(map, prompts))
    }
}

/// Visual sampler and layers of global queries.
#[derive(Debug)]
pub(crate) struct PromptEncoder {
    layers: Vec<PromptLayer>,
    /// The random Fourier matrix, if clicks and tokens are encoded by their positions.
    places: Option<Tensor>,
    /// Embeddings of negative and positive points, added to their features, `[2, C]`.
    labels: Option<Tensor>,
    dense: Option<DenseEncoder>,
    clicks_as_scribbles: bool,
}

impl PromptEncoder {
    pub(crate) fn new(path: &Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        // A buffer of the checkpoint: the visual sampler replaces the positional encoding that would use it.
        let matrix = path.var(
            "positional_encoding_gaussian_matrix",
            &[3, config.num_pos_feats as i64],
            Init::Normal { stdev: 1.0 },
        );
        // Zero at the start: the network then begins as one without labels.
        let labels = config.point_labels.then(|| path.var("point_labels", &[2, channels], Init::Const(0.0)));
        let dense = config.dense_prompts.then(|| DenseEncoder::new(&(path / "dense"), channels));
        let layers = path / "transformer" / "layers";
        Self {
            layers: (0..config.depth).map(|i| PromptLayer::new(&layers / i, config, channels)).collect(),
            labels,
            dense,
            clicks_as_scribbles: config.clicks_as_scribbles,
            places: (config.features == PointFeatures::Positional).then_some(matrix),
        }
    }

    /// One prompt for each sample; the numbers of clicks may differ, and there may be none.
    ///
    /// # Shapes
    /// Feature map `[B, C, G, G, G]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, map: &Tensor, prompts: &[CropPrompt]) -> Tensor {
        let samples: Vec<Tensor> = prompts
            .iter()
            .enumerate()
            .map(|(index, prompt)| self.forward_sample(&map.narrow(0, index as i64, 1), prompt))
            .collect();
        Tensor::cat(&samples, 0)
    }

    fn forward_sample(&self, map: &Tensor, prompt: &CropPrompt) -> Tensor {
        let map = match &self.dense {
            None => map.shallow_clone(),
            Some(encoder) => {
                let clicks = prompt.clicks.as_ref().filter(|_| self.clicks_as_scribbles);
                let dense = clicks.map(|clicks| prompt.dense.with_clicks(clicks));
                map + encoder.forward(dense.as_ref().unwrap_or(&prompt.dense), map.size()[2], map.device())
            }
        };
        let clicks = prompt.clicks.as_ref();
        let (points, places) = match &self.places {
            None => (clicks.map(|clicks| sampler::sample(&map, clicks)), None),
            Some(matrix) => {
                let points = clicks.map(|clicks| fourier::of_points(matrix, clicks));
                (points, Some(fourier::of_grid(matrix, map.size()[2])))
            }
        };
        let mut points = points.unwrap_or_else(|| no_points(&map));
        if let Some(labels) = &self.labels {
            // Also without clicks, so that the labels have a gradient in every step.
            let rows = label_rows(clicks.map_or(&[], |clicks| clicks.points())).to_device(map.device());
            points = &points + labels.index_select(0, &rows);
        }
        let mut image = map.flatten(2, 4).transpose(1, 2);
        for layer in &self.layers {
            (image, points) = layer.forward(&image, &points, places.as_ref());
        }
        image.transpose(1, 2).reshape(map.size())
    }
}

/// The features of no clicks in `map`.
///
/// # Shapes
/// `[1, 0, C]`.
fn no_points(map: &Tensor) -> Tensor {
    Tensor::zeros([1, 0, map.size()[1]], (map.kind(), map.device()))
}

/// The row of each point's label: 0 for a negative point, 1 for a positive one.
fn label_rows(points: &[Point]) -> Tensor {
    let rows: Vec<i64> = points.iter().map(|point| i64::from(point.label == PointLabel::Positive)).collect();
    Tensor::from_slice(&rows).to_kind(Kind::Int64)
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Extent, Prompt};
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::ModelConfig;

    #[test]
    fn labels_begin_as_nothing_and_then_tell_points_apart() {
        let mut config = ModelConfig::tiny().prompt.unwrap();
        config.point_labels = true;
        let store = VarStore::new(Device::Cpu);
        let encoder = PromptEncoder::new(&Path::root(&store, 0), &config, 32);
        let map = Tensor::randn([1, 32, 4, 4, 4], (Kind::Float, Device::Cpu));
        let prompt = |label| {
            let point = Point { index: [1, 2, 3], label };
            [CropPrompt::from(Prompt::new(vec![point], Extent::new([4; 3]).unwrap()).unwrap())]
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
