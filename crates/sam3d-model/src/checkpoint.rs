//! The project's own checkpoints: safetensors with everything needed to use them.
//!
//! One file holds the tensors by name and, as metadata, the model's configuration, how intensities were preprocessed,
//! and where the weights come from. Nothing in it is executed.

use std::{collections::BTreeMap, path::Path};

use sam3d_geom::Preprocessing;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    Base, Card, Description, ModelConfig, ModelError, Sam3d, TensorFile,
    weights::{load_all, load_some},
};

/// The version of the format this crate writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 2;

/// The description stored in a checkpoint.
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
        "not a checkpoint of 3DSAM-adapter: it was written by another program, or holds a comparison network";

    fn format_version(&self) -> u32 {
        self.format_version
    }
}

/// Where weights come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provenance {
    /// The program that wrote the file, with its version.
    pub written_by: String,
    /// One sentence: the training data, or the file that was converted.
    pub source: String,
    /// Epochs for which the weights were trained.
    pub epoch: Option<u64>,
    /// Validation score (soft Dice loss) of these weights.
    pub validation_loss: Option<f64>,
}

/// A checkpoint in memory, not yet bound to a network.
#[derive(Debug)]
pub struct Checkpoint {
    /// The file's description.
    pub metadata: Metadata,
    /// What the weights were trained on and what they are for, if the file says so.
    pub card: Option<Card>,
    /// The tensors by name, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
}

/// How a checkpoint is written.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Round tensors to float16: half the size. A network computes in float32 whatever its file holds.
    pub half: bool,
    /// The card to store.
    pub card: Option<Card>,
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

    /// As [`read`](Self::read), but only the tensors in the file itself, without those of its base.
    ///
    /// # Errors
    /// As [`read`](Self::read), except for errors of the base.
    pub fn read_alone(path: &Path) -> Result<Self, ModelError> {
        Self::of_file(TensorFile::read(path)?, path)
    }

    /// As [`read_alone`](Self::read_alone), of a file in memory; errors name it as `path`.
    ///
    /// # Errors
    /// As [`read_alone`](Self::read_alone).
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        Self::of_file(TensorFile::from_bytes(bytes, path)?, path)
    }

    fn of_file(file: TensorFile, path: &Path) -> Result<Self, ModelError> {
        let card = Card::from_metadata(file.metadata.get(Card::KEY), path)?;
        Ok(Self { metadata: file.description(path)?, card, tensors: file.tensors })
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

    /// Writes the weights of `network` with `metadata` to `path`: to a temporary file next to it, then renamed. If the
    /// metadata name a base, only the trained tensors are written.
    ///
    /// # Errors
    /// [`ModelError::File`] if the file cannot be written; an earlier file at `path` is then unchanged.
    pub fn write(network: &Sam3d, metadata: &Metadata, path: &Path) -> Result<(), ModelError> {
        Self::write_with(network, metadata, &WriteOptions::default(), path)
    }

    /// As [`write`](Self::write), with a card or in half precision.
    ///
    /// # Errors
    /// As [`write`](Self::write); [`ModelError::Weights`] if a value is too large for float16.
    pub fn write_with(
        network: &Sam3d,
        metadata: &Metadata,
        options: &WriteOptions,
        path: &Path,
    ) -> Result<(), ModelError> {
        let mut tensors =
            if metadata.base.is_some() { network.trained_parameters() } else { network.parameters() };
        if options.half {
            for (name, tensor) in &mut tensors {
                *tensor = half(name, tensor)?;
            }
        }
        let mut file = TensorFile::described(metadata, tensors, path)?;
        if let Some(card) = &options.card {
            let text = serde_json::to_string(card).map_err(|error| ModelError::Checkpoint {
                path: path.to_owned(),
                detail: error.to_string(),
            })?;
            file.metadata.insert(Card::KEY.to_owned(), text);
        }
        file.write(path)
    }
}

/// The tensor rounded to float16.
fn half(name: &str, tensor: &Tensor) -> Result<Tensor, ModelError> {
    let _no_grad = tch::no_grad_guard();
    let rounded = tensor.f_to_kind(Kind::Half)?;
    let overflow = rounded.f_isinf()?.f_any()?.f_int64_value(&[])? != 0;
    if overflow && tensor.f_isinf()?.f_any()?.f_int64_value(&[])? == 0 {
        let detail = format!("{name} has values beyond float16's largest, 65504; write it without rounding");
        return Err(ModelError::Weights { detail });
    }
    Ok(rounded)
}

impl Sam3d {
    /// Copies `tensors` into the parameters of the same names. Both sides must agree in names and shapes; float16 and bfloat16
    /// become float32.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first difference; the network is then unchanged.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        load_all(&self.parameters(), tensors, "the model")
    }

    /// Copies `tensors` into the parameters of the same names and leaves the other parameters as they are.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first name that the network does not have, or whose shape or type differs; the
    /// network is then unchanged.
    pub fn load_some(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        load_some(&self.parameters(), tensors, "the model")
    }
}
