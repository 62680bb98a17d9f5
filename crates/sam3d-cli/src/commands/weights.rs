//! What `--weights` means: weights on this computer.

use std::env;

use anyhow::Context;
use sam3d_commands::cache_directory;
use sam3d_data::hub::{HUGGING_FACE, Hub};
use sam3d_infer::Weights;

use crate::args::{GlobalArgs, WeightsArg};

/// The variable with the address of another server than Hugging Face's.
const ENDPOINT_VARIABLE: &str = "HF_ENDPOINT";

/// All weights that were typed, as [`resolve`].
///
/// # Errors
/// As [`resolve`].
pub fn resolve_all(typed: &[WeightsArg], global: &GlobalArgs) -> anyhow::Result<Vec<Weights>> {
    if typed.is_empty() {
        return Ok(vec![resolve(None, global)?]);
    }
    typed.iter().map(|typed| resolve(Some(typed), global)).collect()
}

/// The names of weights, in messages and reports.
pub fn names(weights: &[Weights]) -> String {
    weights.iter().map(Weights::to_string).collect::<Vec<_>>().join(" and ")
}

/// The weights that were typed, downloaded if need be; without any the built-in ones, with a line that says what they were
/// trained on.
///
/// # Errors
/// If weights cannot be downloaded or are not the pinned ones, or none were typed and the program was built without weights.
pub fn resolve(typed: Option<&WeightsArg>, global: &GlobalArgs) -> anyhow::Result<Weights> {
    match typed {
        Some(WeightsArg::Local(weights)) => Ok(weights.clone()),
        Some(WeightsArg::Hub(file)) => {
            let cached = sam3d_commands::with_progress(!global.quiet, |on_progress| {
                hub()?.fetch(file, on_progress).map_err(anyhow::Error::from)
            })?;
            if cached.newly_pinned {
                tracing::info!(
                    "pinned from now on; for the same file elsewhere: --weights {}",
                    cached.address
                );
            }
            Ok(Weights::File(cached.path))
        }
        None => {
            let weights = Weights::built_in_default()
                .context("this program was built without weights; name a checkpoint with --weights FILE")?;
            let checkpoint = weights.read_alone()?;
            let trained_on =
                checkpoint.card.map_or(checkpoint.metadata.provenance.source, |card| card.trained_on);
            tracing::info!("using the built-in weights {weights}, trained on {trained_on}");
            Ok(weights)
        }
    }
}

/// The hub and the cache of its files.
///
/// # Errors
/// If there is no cache directory.
pub fn hub() -> anyhow::Result<Hub> {
    let endpoint = env::var(ENDPOINT_VARIABLE).ok().filter(|address| !address.is_empty());
    Ok(Hub::new(endpoint.as_deref().unwrap_or(HUGGING_FACE), cache_directory()?.join("hub")))
}
