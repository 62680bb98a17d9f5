//! The network and the preprocessing that a command uses.

use std::path::Path;

use anyhow::bail;
use sam3d_geom::Preprocessing;
use sam3d_io::dataset::Dataset;
use sam3d_model::{Checkpoint, Sam3d};
use tch::Device;

/// The network of the checkpoint `weights`, which takes clicks, as [`load_any`].
///
/// # Errors
/// As [`load_any`]; if the network takes no clicks.
pub fn load(
    weights: &Path,
    base: Option<&Path>,
    dataset: Option<&str>,
    device: Device,
) -> anyhow::Result<(Sam3d, Preprocessing)> {
    let (network, preprocessing) = load_any(weights, base, dataset, device)?;
    if network.config().prompt.is_none() {
        bail!("{}: weights of the prompt-free variant, which takes no clicks", weights.display());
    }
    Ok((network, preprocessing))
}

/// The network of the checkpoint `weights` with its preprocessing, or that of `dataset` (a name or a TOML file) instead.
/// Tensors that the checkpoint leaves out come from the file `base`, or from where the checkpoint says.
///
/// # Errors
/// If the checkpoint cannot be read, or has no preprocessing and no dataset is given.
pub fn load_any(
    weights: &Path,
    base: Option<&Path>,
    dataset: Option<&str>,
    device: Device,
) -> anyhow::Result<(Sam3d, Preprocessing)> {
    let checkpoint = Checkpoint::read_with_base(weights, base)?;
    let preprocessing = match (dataset, checkpoint.metadata.preprocessing) {
        (Some(name), _) => Dataset::named_or_open(name)?.preprocessing,
        (None, Some(preprocessing)) => preprocessing,
        (None, None) => bail!(
            "{}: the checkpoint does not say how intensities were preprocessed; name the dataset it was trained on with --dataset",
            weights.display()
        ),
    };
    let network = checkpoint
        .into_network(device)
        .map_err(|error| anyhow::Error::from(error).context(weights.display().to_string()))?;
    Ok((network, preprocessing))
}
