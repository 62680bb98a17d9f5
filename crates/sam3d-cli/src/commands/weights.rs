//! What `--weights` means: weights on this computer.

use anyhow::Context;
use sam3d_infer::Weights;

use crate::args::WeightsArg;

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
