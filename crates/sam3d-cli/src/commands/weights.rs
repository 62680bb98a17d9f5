//! What `--weights` means: weights on this computer.

use anyhow::Context;
use sam3d_infer::Weights;

use crate::args::WeightsArg;

/// All weights that were typed, as [`resolve`].
///
/// # Errors
/// As [`resolve`].
pub fn resolve_all(typed: &[WeightsArg]) -> anyhow::Result<Vec<Weights>> {
    if typed.is_empty() {
        return Ok(vec![resolve(None)?]);
    }
    typed.iter().map(|typed| resolve(Some(typed))).collect()
}

/// The names of weights, in messages and reports.
pub fn names(weights: &[Weights]) -> String {
    weights.iter().map(Weights::to_string).collect::<Vec<_>>().join(" and ")
}

/// The weights that were typed; without any the built-in ones, with a line that says what they were trained on.
///
/// # Errors
/// If none were typed and the program was built without weights.
pub fn resolve(typed: Option<&WeightsArg>) -> anyhow::Result<Weights> {
    if let Some(WeightsArg::Local(weights)) = typed {
        return Ok(weights.clone());
    }
    let weights = Weights::built_in_default()
        .context("this program was built without weights; name a checkpoint with --weights FILE")?;
    let trained_on = weights.read_alone()?.metadata.provenance.source;
    tracing::info!("using the built-in weights {weights}: {trained_on}");
    Ok(weights)
}
