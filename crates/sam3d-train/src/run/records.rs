//! The lines of a run's logs.

use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// Mean training loss over the steps that were taken; `None` if none was.
    pub train_loss: Option<f64>,
    /// Mean gradient norms of image encoder, prompt encoder and mask decoder, before clipping.
    pub grad_norms: [f64; 3],
    /// Learning rate at the end of this epoch.
    pub learning_rate: f64,
    /// Mean soft Dice loss over the validation cases; `None` in epochs without validation, and if it was not finite.
    pub validation_loss: Option<f64>,
    /// With a simulated user the two losses whose mean that is: after the first and after the last click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_rounds: Option<[f64; 2]>,
    /// Steps skipped because their loss or gradient was not finite.
    #[serde(default)]
    pub skipped: u64,
    /// Wall-clock time of the epoch with its validation, in seconds.
    pub seconds: f64,
}

/// One line of `steps.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// The step in the epoch, counted from 0.
    pub step: u64,
    /// The step in the run, counted from 0.
    pub total: u64,
    /// The loss; `None` if it was not finite.
    pub loss: Option<f64>,
    /// Gradient norms of image encoder, prompt encoder and mask decoder, before clipping.
    pub grad_norms: [f64; 3],
    /// Whether the weights were updated.
    pub taken: bool,
    /// Learning rate.
    pub learning_rate: f64,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// The cases of the crops that this process saw.
    pub cases: Vec<String>,
}
