//! Import of PyTorch checkpoints of SAM and of the published network.
//!
//! Two layouts are known. SAM's own `.pth` is one state dictionary, of which only the image encoder is used. The
//! published `.pth.tar` holds a state dictionary for each part of the network, optimiser states and the progress of
//! training. Names and shapes are compared with the network's when the weights are loaded.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sam3d_pickle::{Dict, Limits, PickleError, Tensor, Value, read_file};

/// Who wrote a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckpointKind {
    /// SAM's state dictionary: weights of the image encoder to start from.
    Sam,
    /// The published layout of a trained network: all weights.
    Published,
}

/// The weights of a checkpoint, whose values are read from the file when they are needed.
#[derive(Debug, Clone)]
pub(crate) struct ImportedState {
    /// Who wrote it.
    pub(crate) kind: CheckpointKind,
    /// The weights by this crate's names: `image_encoder.`, `prompt_encoder.` or `mask_decoder.` and the name in the
    /// published checkpoint.
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// The file's other entries, by their path in the file, in the file's order.
    pub(crate) ignored: Vec<String>,
    /// Epochs trained, if the file says so.
    pub(crate) epoch: Option<i64>,
    /// Lowest validation loss, if the file says so.
    pub(crate) best_val_loss: Option<f64>,
}

/// Why a checkpoint cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read, or holds more than data.
    #[error(transparent)]
    Read(#[from] PickleError),
    /// The file has none of the known layouts.
    #[error(
        "{}: neither SAM's state dictionary (names starting with image_encoder.) nor a published checkpoint (an \
         entry encoder_dict); found {found}",
        path.display()
    )]
    UnknownLayout {
        /// The file.
        path: PathBuf,
        /// Its content.
        found: String,
    },
    /// A part of a published checkpoint is missing, or is not a dictionary.
    #[error("{}: expected a dictionary {part}, found {found}", path.display())]
    PartInvalid {
        /// The file.
        path: PathBuf,
        /// The part's path in the file.
        part: String,
        /// The value found instead.
        found: &'static str,
    },
    /// The file holds something else than a dictionary of tensors.
    #[error("{}: expected a dictionary of tensors, found {found}", path.display())]
    NotADictionary {
        /// The file.
        path: PathBuf,
        /// Its content.
        found: &'static str,
    },
    /// An entry of a state dictionary is not a tensor.
    #[error("{}: expected a tensor {name:?}, found {found}", path.display())]
    NotATensor {
        /// The file.
        path: PathBuf,
        /// The entry's path in the file.
        name: String,
        /// The value found instead.
        found: &'static str,
    },
    /// The file has a weight both with and without the prefix `module.`.
    #[error("{}: holds {name:?} twice, with and without module.", path.display())]
    Repeated {
        /// The file.
        path: PathBuf,
        /// The weight.
        name: String,
    },
}

/// Reads the weights of the PyTorch checkpoint at `path`, without executing anything in it.
///
/// # Errors
/// If the file cannot be read, holds more than data, exceeds `limits`, or has neither of the known layouts.
pub(crate) fn read_state(path: &Path, limits: &Limits) -> Result<ImportedState, ImportError> {
    import(path, &read_file(path, limits)?)
}

fn import(path: &Path, checkpoint: &Value) -> Result<ImportedState, ImportError> {
    let (Some(dict), Some(kind)) = (checkpoint.as_dict(), detect(checkpoint)) else {
        return Err(ImportError::UnknownLayout { path: path.to_owned(), found: summary(checkpoint) });
    };
    match kind {
        CheckpointKind::Sam => import_sam(path, dict),
        CheckpointKind::Published => import_published(path, dict),
    }
}

/// The layout of `checkpoint`, if it is a known one.
fn detect(checkpoint: &Value) -> Option<CheckpointKind> {
    if checkpoint.get("encoder_dict").is_some() {
        return Some(CheckpointKind::Published);
    }
    let has_encoder = |name: &str| without_wrapper(name).starts_with("image_encoder.");
    checkpoint
        .as_dict()?
        .iter()
        .any(|(key, _)| key.as_str().is_some_and(has_encoder))
        .then_some(CheckpointKind::Sam)
}

fn import_sam(path: &Path, dict: &Dict) -> Result<ImportedState, ImportError> {
    let mut collected = CollectedWeights::new(path);
    for (key, value) in dict.iter() {
        let key = key.to_string();
        let name = without_wrapper(&key);
        // Four 3D necks take the place of SAM's 2D one.
        if name.starts_with("image_encoder.") && !name.starts_with("image_encoder.neck.") {
            collected.add(name.to_owned(), &key, value)?;
        } else {
            collected.ignored.push(key);
        }
    }
    Ok(collected.into_state(CheckpointKind::Sam))
}

fn import_published(path: &Path, dict: &Dict) -> Result<ImportedState, ImportError> {
    let mut collected = CollectedWeights::new(path);
    let (mut epoch, mut best_val_loss) = (None, None);
    for (key, value) in dict.iter() {
        match key.as_str() {
            Some(part @ "encoder_dict") => collected.add_part("image_encoder", part, value)?,
            Some(part @ "decoder_dict") => collected.add_part("mask_decoder", part, value)?,
            Some(part @ "feature_dict") => collected.add_prompt_encoder(part, value)?,
            Some("epoch") => epoch = value.as_i64(),
            Some("best_val_loss") => best_val_loss = number(value)?,
            _ => collected.ignored.push(key.to_string()),
        }
    }
    // The prompt-free variant has no feature_dict, but every network has a decoder.
    if dict.get("decoder_dict").is_none() {
        return Err(collected.part_invalid("decoder_dict", "nothing"));
    }
    Ok(ImportedState { epoch, best_val_loss, ..collected.into_state(CheckpointKind::Published) })
}

/// The weights collected from a file so far.
struct CollectedWeights<'a> {
    path: &'a Path,
    tensors: BTreeMap<String, Tensor>,
    ignored: Vec<String>,
}

impl<'a> CollectedWeights<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, tensors: BTreeMap::new(), ignored: Vec::new() }
    }

    /// The prompt encoder: the last of four, since the prompt is inserted into the last feature map only.
    fn add_prompt_encoder(&mut self, part: &str, value: &Value) -> Result<(), ImportError> {
        let Some(levels) = value.as_items() else {
            return self.add_part("prompt_encoder", part, value);
        };
        let Some((used, unused)) = levels.split_last() else {
            return Err(self.part_invalid(part, "an empty list"));
        };
        self.ignored.extend((0..unused.len()).map(|level| format!("{part}.{level}")));
        self.add_part("prompt_encoder", &format!("{part}.{}", unused.len()), used)
    }

    /// The state dictionary `value` of the network's `module`.
    fn add_part(&mut self, module: &str, part: &str, value: &Value) -> Result<(), ImportError> {
        let dict = value.as_dict().ok_or_else(|| self.part_invalid(part, value.kind()))?;
        for (key, value) in dict.iter() {
            let key = key.to_string();
            let name = without_wrapper(&key);
            let in_file = format!("{part}.{key}");
            // Shifted windows keep their attention masks as buffers; they follow from the crop's size.
            if name.rsplit('.').next() == Some("attn_mask") {
                self.ignored.push(in_file);
            } else {
                self.add(format!("{module}.{name}"), &in_file, value)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, in_file: &str, value: &Value) -> Result<(), ImportError> {
        let Some(tensor) = value.as_tensor() else {
            let (path, name, found) = (self.path.to_owned(), in_file.to_owned(), value.kind());
            return Err(ImportError::NotATensor { path, name, found });
        };
        if self.tensors.contains_key(&name) {
            return Err(ImportError::Repeated { path: self.path.to_owned(), name });
        }
        self.tensors.insert(name, tensor.clone());
        Ok(())
    }

    fn part_invalid(&self, part: &str, found: &'static str) -> ImportError {
        ImportError::PartInvalid { path: self.path.to_owned(), part: part.to_owned(), found }
    }

    fn into_state(self, kind: CheckpointKind) -> ImportedState {
        ImportedState { kind, tensors: self.tensors, ignored: self.ignored, epoch: None, best_val_loss: None }
    }
}

/// A number, which a training loop may keep as a tensor of one element.
fn number(value: &Value) -> Result<Option<f64>, ImportError> {
    match value.as_tensor() {
        Some(tensor) if tensor.len() == 1 => {
            Ok(tensor.to_f32_vec()?.first().map(|number| f64::from(*number)))
        }
        _ => Ok(value.as_f64()),
    }
}

/// `name` without the prefix that PyTorch's `DataParallel` adds.
pub(crate) fn without_wrapper(name: &str) -> &str {
    name.strip_prefix("module.").unwrap_or(name)
}

/// Describes a file of unknown layout: its kind, and the first entries of a dictionary.
fn summary(checkpoint: &Value) -> String {
    const SHOWN: usize = 5;
    let Some(dict) = checkpoint.as_dict() else { return checkpoint.kind().to_owned() };
    let names: Vec<String> =
        dict.iter().take(SHOWN).map(|(key, _)| format!("{:?}", key.to_string())).collect();
    let more = if dict.len() > SHOWN { ", ..." } else { "" };
    format!("a dictionary of {} entries: {}{more}", dict.len(), names.join(", "))
}

#[cfg(test)]
mod tests;
