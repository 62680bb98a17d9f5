//! The file of frozen weights that a checkpoint of trained tensors refers to.
//!
//! Training changes a quarter of the published network. A run's checkpoints hold that quarter (about 100 MB at ViT-B) and
//! name the file with the other weights, which all of them share: SAM's, or the run's initial ones.

use std::path::{Path, PathBuf};

use sam3d_geom::sha256_of_file;
use serde::{Deserialize, Serialize};

use crate::{ModelError, TensorFile};

/// A file of weights, identified by its SHA-256.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Its location when the checkpoint was written: a file name in the checkpoint's directory, or an absolute path.
    pub path: PathBuf,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
}

impl Base {
    /// Hashes the file at `path`; `recorded` is the path to write into checkpoints.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be read.
    pub fn of(path: &Path, recorded: PathBuf) -> Result<Self, ModelError> {
        Ok(Self { path: recorded, sha256: sha256_of(path)? })
    }

    /// Finds the file: `given` if there is one, else the file of the recorded name next to `checkpoint`, else the
    /// recorded path.
    ///
    /// # Errors
    /// [`ModelError::BaseMissing`] if no such file exists.
    pub fn locate(&self, checkpoint: &Path, given: Option<&Path>) -> Result<PathBuf, ModelError> {
        let directory = checkpoint.parent().unwrap_or(Path::new(""));
        let beside = self.path.file_name().map(|name| directory.join(name));
        let recorded = directory.join(&self.path);
        let candidates = match given {
            Some(path) => vec![path.to_owned()],
            None => beside.into_iter().chain([recorded]).collect(),
        };
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| ModelError::BaseMissing {
            checkpoint: checkpoint.to_owned(),
            base: given.unwrap_or(&self.path).to_owned(),
            sha256: self.sha256.clone(),
        })
    }

    /// Reads the file, wherever [`locate`](Self::locate) finds it.
    ///
    /// # Errors
    /// As [`locate`](Self::locate) and [`TensorFile::read`]; [`ModelError::BaseDiffers`] if it is another file than the
    /// one recorded.
    pub fn read(&self, checkpoint: &Path, given: Option<&Path>) -> Result<TensorFile, ModelError> {
        let path = self.locate(checkpoint, given)?;
        let found = sha256_of(&path)?;
        if found != self.sha256 {
            let (checkpoint, expected) = (checkpoint.to_owned(), self.sha256.clone());
            return Err(ModelError::BaseDiffers { checkpoint, path, found, expected });
        }
        TensorFile::read(&path)
    }
}

/// The SHA-256 of the file at `path`, in hexadecimal digits.
///
/// # Errors
/// [`ModelError::File`] if it cannot be read.
pub fn sha256_of(path: &Path) -> Result<String, ModelError> {
    sha256_of_file(path).map_err(|source| ModelError::File { action: "read", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tch::Tensor;

    use super::*;

    #[test]
    fn a_base_is_found_next_to_the_checkpoint_or_at_its_recorded_path_and_checked_by_its_hash() {
        let place = tempfile::tempdir().unwrap();
        let (run, elsewhere) = (place.path().join("run"), place.path().join("elsewhere"));
        fs::create_dir_all(&run).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        let file = TensorFile {
            tensors: [("a".to_owned(), Tensor::from_slice(&[1.0_f32]))].into(),
            ..TensorFile::default()
        };
        let original = elsewhere.join("base.safetensors");
        file.write(&original).unwrap();
        let base = Base::of(&original, original.clone()).unwrap();
        let checkpoint = run.join("best.safetensors");
        assert_eq!(base.read(&checkpoint, None).unwrap().tensors.len(), 1);

        // Moved next to the checkpoint, then to a path that has to be given.
        let beside = run.join("base.safetensors");
        fs::rename(&original, &beside).unwrap();
        base.read(&checkpoint, None).unwrap();
        let other = place.path().join("other.safetensors");
        fs::rename(&beside, &other).unwrap();
        let error = base.read(&checkpoint, None).unwrap_err().to_string();
        assert!(error.contains("other tensors") && error.contains(&base.sha256[..12]), "{error}");
        base.read(&checkpoint, Some(&other)).unwrap();

        fs::write(&beside, "something else").unwrap();
        let error = base.read(&checkpoint, None).unwrap_err();
        assert!(matches!(error, ModelError::BaseDiffers { .. }), "{error}");
    }
}
