//! A network in training: this project's, or one it is compared with.

use std::collections::BTreeMap;

use ndarray::{Array3, ArrayView3};
use sam3d_baselines::Baseline;
use sam3d_data::augment::Sample;
use sam3d_geom::{Extent, Point, PointLabel, Prompt};
use sam3d_io::sliding_window::{SlidingWindow, Weighting};
use sam3d_model::{CropPrompt, ModelError, ParameterCount, Precision, Sam3d};
use tch::{Device, Kind, Tensor};

use crate::{
    TrainError,
    loss::{dice_cross_entropy, soft_dice_loss},
    step::{Batch, StepConfig, add_gradients},
};

/// The interface that the optimiser and the average of weights need of a network.
pub trait Trainable {
    /// The trained parameters by name. The tensors are the network's own, not copies.
    fn trained_parameters(&self) -> BTreeMap<String, Tensor>;

    /// Beginnings of the names of the parameters that are clipped together; at most three.
    fn groups(&self) -> &'static [&'static str];

    /// The largest norm of a group's gradient that the published recipe leaves as it is.
    fn published_grad_norm(&self) -> f64;
}

/// Overlap of neighbouring windows of the comparison networks in the published validation, as a fraction of their side.
const VALIDATION_OVERLAP: f64 = 0.25;

/// The modules of this project's network, in the order of [`Module::ALL`].
const MODULES: [&str; 3] = ["image_encoder.", "prompt_encoder.", "mask_decoder."];

impl Trainable for Sam3d {
    fn trained_parameters(&self) -> BTreeMap<String, Tensor> {
        self.trained_parameters()
    }

    fn groups(&self) -> &'static [&'static str] {
        &MODULES
    }

    fn published_grad_norm(&self) -> f64 {
        if self.config().prompt.is_some() { 1.0 } else { 12.0 }
    }
}

impl Trainable for Baseline {
    fn trained_parameters(&self) -> BTreeMap<String, Tensor> {
        self.parameters()
    }

    /// One group of all parameters.
    fn groups(&self) -> &'static [&'static str] {
        &[""]
    }

    /// Not clipped.
    fn published_grad_norm(&self) -> f64 {
        f64::INFINITY
    }
}

/// A network in training.
#[derive(Debug)]
pub enum TrainableNetwork {
    /// This project's.
    Sam3d(Box<Sam3d>),
    /// One it is compared with.
    Baseline(Box<Baseline>),
}

impl Trainable for TrainableNetwork {
    fn trained_parameters(&self) -> BTreeMap<String, Tensor> {
        match self {
            Self::Sam3d(network) => network.trained_parameters(),
            Self::Baseline(network) => network.parameters(),
        }
    }

    fn groups(&self) -> &'static [&'static str] {
        match self {
            Self::Sam3d(network) => network.groups(),
            Self::Baseline(network) => network.groups(),
        }
    }

    fn published_grad_norm(&self) -> f64 {
        match self {
            Self::Sam3d(network) => network.published_grad_norm(),
            Self::Baseline(network) => network.published_grad_norm(),
        }
    }
}

impl TrainableNetwork {
    /// Every tensor by name. The tensors are the network's own, not copies.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        match self {
            Self::Sam3d(network) => network.parameters(),
            Self::Baseline(network) => network.tensors(),
        }
    }

    /// The tensors that training changes: trained parameters and running statistics.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        match self {
            Self::Sam3d(network) => network.trained_parameters(),
            Self::Baseline(network) => network.tensors(),
        }
    }

    /// Copies `state` into the tensors of the same names.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if names, shapes or types differ; the network is then unchanged.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        match self {
            Self::Sam3d(network) => network.load_some(state),
            Self::Baseline(network) => network.load(state),
        }
    }

    /// Number of values trained and frozen.
    pub fn count_parameters(&self) -> ParameterCount {
        match self {
            Self::Sam3d(network) => network.count_parameters(),
            Self::Baseline(network) => ParameterCount { trained: network.count_parameters(), frozen: 0 },
        }
    }

    /// Its device.
    pub fn device(&self) -> Device {
        match self {
            Self::Sam3d(network) => network.device(),
            Self::Baseline(network) => network.device(),
        }
    }

    /// Sets the number format of products; comparison networks always use float32.
    pub(crate) fn set_precision(&mut self, precision: Precision) {
        if let Self::Sam3d(network) = self {
            network.set_precision(precision);
        }
    }

    /// The batch of `samples`, on the network's device.
    ///
    /// # Errors
    /// [`TrainError::Geometry`] if a prompt does not lie in its crop.
    pub(crate) fn batch(&self, samples: &[Sample]) -> Result<Batch, TrainError> {
        let prompts = match self {
            Self::Sam3d(network) => {
                // The prompt-free variant takes none.
                let prompted = network.config().prompt.as_ref().map(|prompt| (prompt.point_labels, samples));
                let prompts = prompted.map(|(labelled, samples)| {
                    samples.iter().map(|sample| prompt(sample, labelled)).collect::<Result<Vec<_>, _>>()
                });
                prompts.transpose()?.unwrap_or_default()
            }
            Self::Baseline(_) => Vec::new(),
        };
        let [d, h, w] = samples.first().map_or([0; 3], |sample| sample.image.dim().into()).map(|n| n as i64);
        let count = samples.len() as i64;
        let image: Vec<f32> = samples.iter().flat_map(|sample| sample.image.iter().copied()).collect();
        let label: Vec<i64> =
            samples.iter().flat_map(|sample| sample.label.iter().map(|value| i64::from(*value))).collect();
        Ok(Batch {
            image: Tensor::from_slice(&image).view([count, 1, d, h, w]).to_device(self.device()),
            label: Tensor::from_slice(&label).view([count, d, h, w]).to_device(self.device()),
            prompts,
        })
    }

    /// As [`add_gradients`]. `seed` seeds a comparison network's dropout.
    ///
    /// # Errors
    /// [`ModelError`] if the batch does not fit the network.
    pub(crate) fn add_gradients(
        &self,
        batch: &Batch,
        config: &StepConfig,
        share: f64,
        seed: u64,
    ) -> Result<f64, ModelError> {
        match self {
            Self::Sam3d(network) => add_gradients(network, batch, config, share),
            Self::Baseline(network) => {
                // libtorch draws from one generator for the process; a resumed run must draw the same.
                tch::manual_seed(seed as i64);
                network.backward(&batch.image, |logits| {
                    dice_cross_entropy(logits, &batch.label, &config.loss) * share
                })
            }
        }
    }

    /// The soft Dice loss of a validation sample: of this project's network on its crop, of a comparison network on the
    /// blended windows of the whole volume.
    ///
    /// # Errors
    /// [`TrainError`] if the sample does not fit the network.
    pub(crate) fn validation_loss(&self, sample: &Sample) -> Result<f64, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let batch = self.batch(std::slice::from_ref(sample))?;
        let logits = match self {
            Self::Sam3d(network) => network.forward(&batch.image, &batch.prompts)?,
            Self::Baseline(network) => {
                let logit = window_logits(network, sample.image.view())?;
                let values: Vec<f32> = logit.iter().copied().collect();
                let logit = Tensor::from_slice(&values).view_as(&batch.image).to_device(self.device());
                // The difference of logits is all that their softmax depends on.
                Tensor::cat(&[&logit.zeros_like(), &logit], 1)
            }
        };
        Ok(soft_dice_loss(&logits, &batch.label).mean(Kind::Float).double_value(&[]))
    }
}

/// The target's logit less the background's on a whole volume, by the windows of the published validation.
fn window_logits(network: &Baseline, image: ArrayView3<'_, f32>) -> Result<Array3<f32>, TrainError> {
    let sides = network.config().crop();
    let mut predict = |window: Array3<f32>| {
        let values = window.as_slice().ok_or(TrainError::Internal("layout of a window"))?;
        Array3::from_shape_vec(sides, network.target_logit(values)?)
            .map_err(|_| TrainError::Internal("shape of a window"))
    };
    SlidingWindow::new(sides, VALIDATION_OVERLAP, Weighting::Gaussian)?.blend(
        image,
        &mut predict,
        &mut |_, _| (),
    )
}

/// The sample's prompt. Points carry the true label of their voxel if they are `labelled`, else all are positive.
fn prompt(sample: &Sample, labelled: bool) -> Result<CropPrompt, TrainError> {
    let point = |index: &[usize; 3]| {
        let negative = labelled && sample.label[*index] == 0;
        let label = if negative { PointLabel::Negative } else { PointLabel::Positive };
        Point { index: *index, label }
    };
    let extent = Extent::new(sample.image.dim().into())?;
    Ok(Prompt::new(sample.points.iter().map(point).collect(), extent)?.into())
}

#[cfg(test)]
mod tests {
    use sam3d_model::Module;

    use super::*;

    #[test]
    fn groups_are_the_modules() {
        assert_eq!(Module::ALL.map(Module::prefix), MODULES);
    }
}
