//! One training step: forward, loss, backward, clip, update.

use sam3d_model::{CropPrompt, ModelError, Recompute, Sam3d};
use tch::Tensor;

use crate::{
    loss::{LossConfig, dice_cross_entropy},
    optimiser::{AdamW, Gradients},
};

/// A batch on the network's device.
#[derive(Debug)]
pub struct Batch {
    /// Normalised intensities `[B, 1, P, P, P]`.
    pub image: Tensor,
    /// 0 and 1, `[B, P, P, P]`, int64.
    pub label: Tensor,
    /// One prompt for each sample.
    pub prompts: Vec<CropPrompt>,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// Gradient norms of image encoder, prompt encoder and mask decoder, before clipping.
    pub grad_norms: [f64; 3],
    /// Whether the weights were updated: not if the loss or a gradient is not finite.
    pub taken: bool,
}

/// How a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepConfig {
    /// Weights of the loss.
    pub loss: LossConfig,
    /// Activations to recompute to save memory.
    pub recompute: Recompute,
}

/// Adds `share` times the gradient of the loss on `batch` to the gradient of every trained parameter, and gives `share`
/// times the loss. A loss that is not finite adds nothing.
///
/// The loss is a mean over samples, so batches with shares in proportion to their size add up to the gradient of all of
/// them in one.
///
/// # Errors
/// [`ModelError`] if the batch does not fit the network.
pub fn add_gradients(
    network: &Sam3d,
    batch: &Batch,
    config: &StepConfig,
    share: f64,
) -> Result<f64, ModelError> {
    network.backward(&batch.image, &batch.prompts, config.recompute, |logits| {
        let loss = dice_cross_entropy(logits, &batch.label, &config.loss);
        // Not multiplied by 1, so that the published step stays the same bit for bit.
        if share == 1.0 { loss } else { loss * share }
    })
}

/// Clips `gradients` and takes one optimiser step along them, unless they or `loss` are not finite.
pub fn update(optimiser: &mut AdamW, gradients: &Gradients, loss: f64, factor: f64) -> StepReport {
    if !loss.is_finite() {
        return StepReport { loss, grad_norms: [0.0; 3], taken: false };
    }
    let grad_norms = optimiser.clip(gradients);
    let taken = grad_norms.iter().all(|norm| norm.is_finite());
    if taken {
        optimiser.step(gradients, factor);
    }
    StepReport { loss, grad_norms, taken }
}
