//! One training step: forward, loss, backward, clip, update.

use sam3d_geom::Prompt;
use sam3d_model::{ModelError, Sam3d};
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

/// Takes one optimiser step on `batch` at `factor` times the configured learning rate. A loss that is no finite number
/// changes nothing: it is reported with gradient norms of zero.
///
/// # Errors
/// [`ModelError`] if the batch does not fit the network.
pub fn train_step(
    network: &Sam3d,
    optimiser: &mut AdamW,
    batch: &Batch,
    loss: &LossConfig,
    factor: f64,
) -> Result<StepReport, ModelError> {
    optimiser.zero_grad();
    let logits = network.forward(&batch.image, &batch.prompts)?;
    let loss = dice_cross_entropy(&logits, &batch.label, loss);
    let value = loss.double_value(&[]);
    if !value.is_finite() {
        return Ok(StepReport { loss: value, grad_norms: [0.0; 3] });
    }
    loss.f_backward()?;
    let grad_norms = optimiser.clip_gradients();
    optimiser.step(factor);
    Ok(StepReport { loss: value, grad_norms })
}
