//! Opening the segmenter of a command.

use std::path::Path;

use anyhow::Context;
use sam3d_data::dataset::Dataset;
use sam3d_infer::{Segmenter, SegmenterOptions, Weights};

use super::weights;

/// The options of a segmenter from those of a command: base file and the dataset whose preprocessing is used.
///
/// # Errors
/// If `dataset` is neither a name nor a readable TOML file.
pub fn options(
    base: Option<&Path>,
    dataset: Option<&str>,
    options: SegmenterOptions,
) -> anyhow::Result<SegmenterOptions> {
    let preprocessing =
        dataset.map(|name| Ok::<_, anyhow::Error>(Dataset::named_or_open(name)?.preprocessing));
    Ok(SegmenterOptions {
        base: base.map(Path::to_owned),
        preprocessing: preprocessing.transpose()?,
        ..options
    })
}

/// The segmenter of checkpoints, whose probabilities are averaged if there are several.
///
/// # Errors
/// If the checkpoint cannot be read, or neither it nor the options have a preprocessing.
pub fn open(weights: &[Weights], options: &SegmenterOptions) -> anyhow::Result<Segmenter> {
    match Segmenter::open_all(weights, options) {
        Ok(segmenter) => Ok(segmenter),
        // Some errors of the checkpoint name their file themselves.
        Err(error) if weights.iter().any(|weights| error.to_string().contains(&weights.to_string())) => {
            Err(error.into())
        }
        Err(error) => Err(error).with_context(|| weights::names(weights)),
    }
}
