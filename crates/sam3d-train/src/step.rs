//! One training step: forward, loss, backward, clip, update.

use sam3d_geom::Prompt;
use sam3d_model::{ModelError, Recompute, Sam3d};
use tch::Tensor;

use crate::{
    loss::{LossConfig, dice_cross_entropy},
    optimiser::AdamW,
};

/// A batch on the network's device.
#[derive(Debug)]
pub struct Batch {
    /// Normalised intensities `[B, 1, P, P, P]`.
    pub image: Tensor,
    /// 0 and 1, `[B, P, P, P]`, int64.
    pub label: Tensor,
    /// One prompt for each sample.
    pub prompts: Vec<Prompt>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The loss before the update.
    pub loss: f64,
    /// Gradient norms of image encoder, prompt encoder and mask decoder, before clipping.
    pub grad_norms: [f64; 3],
}

/// How a step is taken.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StepConfig {
    /// Weights of the loss.
    pub loss: LossConfig,
    /// What is computed again to save memory.
    pub recompute: Recompute,
}

/// Takes one optimiser step on `batch` at `factor` times the configured learning rate. A loss that is no finite number
/// changes nothing: it is reported with gradient norms of zero.
///
/// # Errors
/// [`ModelError`] if the batch does not fit the network.
pub fn train_step(
    network: &Sam3d,
    optimiser: &mut AdamW,
    batch: &Batch,
    config: &StepConfig,
    factor: f64,
) -> Result<StepReport, ModelError> {
    optimiser.zero_grad();
    let loss = network.backward(&batch.image, &batch.prompts, config.recompute, |logits| {
        dice_cross_entropy(logits, &batch.label, &config.loss)
    })?;
    if !loss.is_finite() {
        return Ok(StepReport { loss, grad_norms: [0.0; 3] });
    }
    let grad_norms = optimiser.clip_gradients();
    optimiser.step(factor);
    Ok(StepReport { loss, grad_norms })
}
