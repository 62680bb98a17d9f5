use std::{fmt, path::PathBuf};

use sam3d_io::{Grid, IoError, ReadLimits, Volume};
use serde::{Deserialize, Serialize};

use super::DatasetError;

/// Name of a case, unique in its dataset and fit to be part of a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaseId(String);

impl CaseId {
    /// The id `id`.
    ///
    /// # Errors
    /// [`DatasetError::CaseIdInvalid`] unless it has 1 to 100 ASCII letters, digits, `_`, `-` or `.`, the first not `.`.
    pub fn new(id: impl Into<String>) -> Result<Self, DatasetError> {
        let id = id.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if (1..=100).contains(&id.len()) && id.chars().all(allowed) && !id.starts_with('.') {
            Ok(Self(id))
        } else {
            Err(DatasetError::CaseIdInvalid { id })
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for CaseId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CaseId {
    type Error = DatasetError;

    fn try_from(id: String) -> Result<Self, DatasetError> {
        Self::new(id)
    }
}

impl From<CaseId> for String {
    fn from(id: CaseId) -> Self {
        id.0
    }
}

/// An image and its label, as the dataset ships them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub id: CaseId,
    /// The CT: a volume in any format that is read, or the directory of its DICOM slices.
    pub image: PathBuf,
    /// The label map, on the image's grid; or an RT structure set with one structure that was drawn on it.
    pub label: PathBuf,
    /// Whether the label's voxels are those of the image, whatever its own affine says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub label_on_image_voxels: bool,
}

impl Case {
    /// Reads the label of an image on `grid`. It has that grid if its voxels are the image's whatever its affine says, and
    /// there are as many.
    ///
    /// # Errors
    /// As [`sam3d_io::read_label`].
    pub fn read_label(&self, grid: &Grid, limits: ReadLimits) -> Result<Volume, IoError> {
        let mut label = sam3d_io::read_label(&self.label, grid, limits)?;
        if self.label_on_image_voxels && label.grid.shape_ijk() == grid.shape_ijk() {
            label.grid = grid.clone();
        }
        Ok(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_a_directory_are_refused() {
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä"] {
            assert!(CaseId::new(bad).is_err(), "{bad:?}");
        }
        assert!(CaseId::new("x".repeat(101)).is_err());
        assert_eq!(CaseId::new("STS_019-a.1").unwrap().as_str(), "STS_019-a.1");
        assert!(serde_json::from_str::<CaseId>("\"../x\"").is_err());
    }
}
