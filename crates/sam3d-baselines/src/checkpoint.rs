//! Checkpoints of the comparison networks: safetensors with everything needed to use them.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use sam3d_geom::Preprocessing;
use sam3d_model::{ModelError, Provenance, TensorFile};
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::{Baseline, NetworkConfig};

/// The version of the format this crate writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;

const METADATA_KEY: &str = "sam3d_baseline";

/// What a checkpoint says of itself.
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

/// A checkpoint in memory, not yet bound to a network.
#[derive(Debug)]
pub struct BaselineCheckpoint {
    /// What the file says of itself.
    pub metadata: BaselineMetadata,
    /// The tensors by name, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
}

impl BaselineCheckpoint {
    /// Whether `file` is a checkpoint of a comparison network.
    pub fn is_own(file: &TensorFile) -> bool {
        file.metadata.contains_key(METADATA_KEY)
    }

    /// Reads the checkpoint at `path`.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be read; [`ModelError::Checkpoint`] if it is not a checkpoint of a comparison
    /// network or of a newer format.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
        let file = TensorFile::read(path)?;
        let text = file.metadata.get(METADATA_KEY).ok_or_else(|| {
            broken("not a checkpoint of a comparison network; was it trained with --method?".to_owned())
        })?;
        let metadata: BaselineMetadata = serde_json::from_str(text)
            .map_err(|error| broken(format!("metadata not understood: {error}")))?;
        if metadata.format_version > FORMAT_VERSION {
            return Err(broken(format!(
                "checkpoint format {} is newer than this program's {FORMAT_VERSION}; update the program",
                metadata.format_version
            )));
        }
        Ok(Self { metadata, tensors: file.tensors })
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

    /// Writes the weights of `network` with `metadata` to `path`: to a temporary file beside it, then renamed.
    ///
    /// # Errors
    /// [`ModelError::File`] if the file cannot be written; what was at `path` is then still there.
    pub fn write(network: &Baseline, metadata: &BaselineMetadata, path: &Path) -> Result<(), ModelError> {
        let text = serde_json::to_string(metadata)
            .map_err(|error| ModelError::Checkpoint { path: path.to_owned(), detail: error.to_string() })?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), text)]);
        TensorFile { tensors: network.tensors(), metadata }.write(path)
    }
}
