//! Description of a comparison network's checkpoint.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sam3d_baselines::{BaselineCheckpoint, NetworkConfig};
use sam3d_geom::Preprocessing;
use sam3d_model::Provenance;
use serde::Serialize;

use super::checkpoint::write_origin;

/// A comparison network and the number of its parameters.
#[derive(Serialize)]
pub(super) struct ComparisonReport {
    path: PathBuf,
    format_version: u32,
    network: NetworkConfig,
    preprocessing: Option<Preprocessing>,
    provenance: Provenance,
    tensors: usize,
    /// Including running statistics of batch normalisation.
    values: usize,
}

impl ComparisonReport {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let BaselineCheckpoint { metadata, tensors } = BaselineCheckpoint::read(path)?;
        Ok(Self {
            path: path.to_owned(),
            format_version: metadata.format_version,
            network: metadata.network,
            preprocessing: metadata.preprocessing,
            provenance: metadata.provenance,
            tensors: tensors.len(),
            values: tensors.values().map(tch::Tensor::numel).sum(),
        })
    }
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [d, h, w] = self.network.crop();
        writeln!(f, "{}", self.path.display())?;
        let title = self.network.method().title();
        writeln!(f, "model          {title} (comparison network), crop {d} x {h} x {w} (D, H, W)")?;
        if let Some(corrected) = self.network.is_corrected() {
            let fault = if corrected { "corrected" } else { "as published" };
            writeln!(f, "fault          {fault}")?;
        }
        writeln!(f, "parameters     {:.2} M in {} tensors", self.values as f64 / 1e6, self.tensors)?;
        write_origin(f, self.preprocessing.as_ref(), &self.provenance)
    }
}
