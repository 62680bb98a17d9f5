//! What a file of tensors says of itself.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};
use tch::Tensor;

use crate::{ModelError, TensorFile};

/// What a file of tensors says of itself: JSON under one key of the file's metadata.
pub trait Description: Serialize + DeserializeOwned {
    /// The key.
    const KEY: &'static str;
    /// The version of the format that is written, and the newest that is read.
    const NEWEST: u32;
    /// What a file without the key is, as one clause.
    const ABSENT: &'static str;

    /// The version of the file's format.
    fn format_version(&self) -> u32;
}

impl TensorFile {
    /// Whether the file has a description of this kind.
    pub fn is_described_by<D: Description>(&self) -> bool {
        self.metadata.contains_key(D::KEY)
    }

    /// Reads the file at `path` with its description.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ModelError::Checkpoint`] if there is no description of this kind, it is not understood, or
    /// is of a newer format.
    pub fn read_described<D: Description>(path: &Path) -> Result<(D, BTreeMap<String, Tensor>), ModelError> {
        let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
        let file = Self::read(path)?;
        let text = file.metadata.get(D::KEY).ok_or_else(|| broken(D::ABSENT.to_owned()))?;
        let description: D = serde_json::from_str(text)
            .map_err(|error| broken(format!("metadata not understood: {error}")))?;
        let (found, newest) = (description.format_version(), D::NEWEST);
        if found > newest {
            return Err(broken(format!(
                "checkpoint format {found} is newer than this program's {newest}; update the program"
            )));
        }
        Ok((description, file.tensors))
    }

    /// Writes `tensors` with their description to `path`, as [`write`](Self::write) does.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_described<D: Description>(
        description: &D,
        tensors: BTreeMap<String, Tensor>,
        path: &Path,
    ) -> Result<(), ModelError> {
        let text = serde_json::to_string(description)
            .map_err(|error| ModelError::Checkpoint { path: path.to_owned(), detail: error.to_string() })?;
        Self { tensors, metadata: HashMap::from([(D::KEY.to_owned(), text)]) }.write(path)
    }
}
