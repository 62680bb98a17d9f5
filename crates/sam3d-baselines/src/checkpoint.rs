//! Checkpoints of the comparison networks: safetensors with everything needed to use them.

use std::{collections::BTreeMap, path::Path};

use sam3d_geom::Preprocessing;
use sam3d_model::{Description, ModelError, Provenance, TensorFile};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::{Baseline, NetworkConfig};

/// The version of the format this crate writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

/// The description stored in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineMetadata {
    /// Version of the format.
    pub format_version: u32,
    /// The network.
    pub network: NetworkConfig,
    /// How a volume becomes the network's input.
    pub preprocessing: Option<Preprocessing>,
    /// Where the weights come from.
    pub provenance: Provenance,
}

impl Description for BaselineMetadata {
    const KEY: &'static str = "sam3d_baseline";
    const NEWEST: u32 = FORMAT_VERSION;
    const ABSENT: &'static str = "not a checkpoint of a comparison network";

    fn format_version(&self) -> u32 {
        self.format_version
    }
}

/// A checkpoint in memory, not yet bound to a network.
#[derive(Debug)]
pub struct BaselineCheckpoint {
    /// The file's description.
    pub metadata: BaselineMetadata,
    /// The tensors by name, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
}

impl BaselineCheckpoint {
    /// Reads the checkpoint at `path`.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be read; [`ModelError::Checkpoint`] if it is not a checkpoint of a comparison
    /// network or of a newer format.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let (metadata, tensors) = TensorFile::read_described(path)?;
        Ok(Self { metadata, tensors })
    }

    /// The network of this checkpoint on `device`.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if names, shapes or types differ from what the configuration asks for.
    pub fn into_network(self, device: Device) -> Result<Baseline, ModelError> {
        let mut network = Baseline::new(&self.metadata.network, device, 0)?;
        network.load(&self.tensors)?;
        Ok(network)
    }

    /// Writes the weights of `network` with `metadata` to `path`: to a temporary file next to it, then renamed.
    ///
    /// # Errors
    /// [`ModelError::File`] if the file cannot be written; an earlier file at `path` is then unchanged.
    pub fn write(network: &Baseline, metadata: &BaselineMetadata, path: &Path) -> Result<(), ModelError> {
        TensorFile::write_described(metadata, network.tensors(), path)
    }
}
