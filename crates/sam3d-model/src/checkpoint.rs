//! The project's own checkpoint: safetensors with everything needed to use it.
//!
//! One file holds the tensors by name and, as metadata, the model's configuration, how intensities were preprocessed,
//! and where the weights come from. Nothing in it is executed.

use std::{collections::BTreeMap, path::Path};

use sam3d_geom::Preprocessing;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::{
    base::Base, config::ModelConfig, description::Description, error::ModelError, network::Sam3d,
    tensor_file::TensorFile,
};

/// The version of the format this crate writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 2;

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Version of the format.
    pub format_version: u32,
    /// The network.
    pub model: ModelConfig,
    /// How a volume becomes the network's input; `None` if unknown (a converted checkpoint).
    pub preprocessing: Option<Preprocessing>,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// The file with the tensors that are not in this one; `None` if this one holds all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
}

impl Description for Metadata {
    const KEY: &'static str = "sam3d";
    const NEWEST: u32 = FORMAT_VERSION;
    const ABSENT: &'static str =
        "not a checkpoint of 3DSAM-adapter; was it written by another program, or trained with --method?";

    fn format_version(&self) -> u32 {
        self.format_version
    }
}

/// Where weights come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provenance {
    /// What wrote the file, with its version.
    pub written_by: String,
    /// One sentence: trained on what, or converted from what.
    pub source: String,
    /// Epochs of training behind the weights.
    pub epoch: Option<u64>,
    /// Validation score (soft Dice loss) of these weights.
    pub validation_loss: Option<f64>,
}

/// A checkpoint in memory, not yet bound to a network.
#[derive(Debug)]
pub struct Checkpoint {
    /// What the file says of itself.
    pub metadata: Metadata,
    /// The tensors by name, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads the checkpoint at `path`, and the tensors it leaves out from its base.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be read; [`ModelError::Checkpoint`] if it is not a checkpoint of this project
    /// or of a newer format; as [`Base::read`] if it names a base.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Self::read_with_base(path, None)
    }

    /// As [`read`](Self::read), with the base in the file `base` wherever the checkpoint expects it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with_base(path: &Path, base: Option<&Path>) -> Result<Self, ModelError> {
        let mut checkpoint = Self::read_alone(path)?;
        if let Some(recorded) = &checkpoint.metadata.base {
            let others = recorded.read(path, base)?.tensors;
            for (name, tensor) in others {
                checkpoint.tensors.entry(name).or_insert(tensor);
            }
        }
        Ok(checkpoint)
    }

    /// As [`read`](Self::read), without the tensors of its base: what the file itself holds.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for those of the base.
    pub fn read_alone(path: &Path) -> Result<Self, ModelError> {
        let (metadata, tensors) = TensorFile::read_described(path)?;
        Ok(Self { metadata, tensors })
    }

    /// The network of this checkpoint on `device`.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if names, shapes or types differ from what the configuration asks for.
    pub fn into_network(self, device: Device) -> Result<Sam3d, ModelError> {
        let mut network = Sam3d::new(&self.metadata.model, device, 0)?;
        network.load(&self.tensors)?;
        Ok(network)
    }

    /// Writes the weights of `network` with `metadata` to `path`: to a temporary file beside it, then renamed. If the
    /// metadata name a base, the trained tensors alone.
    ///
    /// # Errors
    /// [`ModelError::File`] if the file cannot be written; what was at `path` is then still there.
    pub fn write(network: &Sam3d, metadata: &Metadata, path: &Path) -> Result<(), ModelError> {
        let tensors =
            if metadata.base.is_some() { network.trained_parameters() } else { network.parameters() };
        TensorFile::write_described(metadata, tensors, path)
    }
}

impl Sam3d {
    /// Copies `tensors` into the parameters of the same names. Both sides must agree in names, shapes and types.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first difference; the network is then unchanged.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        let missing: Vec<String> =
            self.parameters().into_keys().filter(|name| !tensors.contains_key(name)).collect();
        if let Some(first) = missing.first() {
            let detail = format!("{} tensors are missing, the first is {first}", missing.len());
            return Err(ModelError::Weights { detail });
        }
        self.load_some(tensors)
    }

    /// Copies `tensors` into the parameters of the same names and leaves the other parameters as they are.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first name that the network does not have, or whose shape or type differs; the
    /// network is then unchanged.
    pub fn load_some(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        let parameters = self.parameters();
        for (name, tensor) in tensors {
            let Some(own) = parameters.get(name) else {
                return Err(ModelError::Weights { detail: format!("{name} is not a tensor of the model") });
            };
            if own.size() != tensor.size() {
                let detail = format!("{name} has shape {:?}, expected {:?}", tensor.size(), own.size());
                return Err(ModelError::Weights { detail });
            }
            if own.kind() != tensor.kind() {
                let detail = format!("{name} has type {:?}, expected {:?}", tensor.kind(), own.kind());
                return Err(ModelError::Weights { detail });
            }
        }
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in tensors {
            if let Some(own) = parameters.get(name) {
                own.shallow_clone().f_copy_(tensor)?;
            }
        }
        Ok(())
    }
}
