//! The file that holds what a checkpoint of trained tensors leaves out.
//!
//! Training changes a quarter of the published network. A run's checkpoints hold that quarter (about 100 MB at ViT-B) and
//! name the file with the rest, which is the same for all of them: SAM's weights, or the start of the run.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ModelError, TensorFile};

/// A file of weights and the SHA-256 by which it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Where it was: a name beside the checkpoint, or an absolute path.
    pub path: PathBuf,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: String,
}

impl Base {
    /// The file at `path`, to be recorded as `recorded`.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be read.
    pub fn of(path: &Path, recorded: PathBuf) -> Result<Self, ModelError> {
        Ok(Self { path: recorded, sha256: sha256_of(path)? })
    }

    /// Where the file is: `given` if there is one, else the file of the recorded name beside `checkpoint`, else the
    /// recorded path.
    ///
    /// # Errors
    /// [`ModelError::BaseMissing`] if there is none.
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
            return Err(ModelError::BaseDiffers { checkpoint: checkpoint.to_owned(), path, found });
        }
        TensorFile::read(&path)
    }
}

/// The SHA-256 of the file at `path`, in hexadecimal.
///
/// # Errors
/// [`ModelError::File`] if it cannot be read.
pub fn sha256_of(path: &Path) -> Result<String, ModelError> {
    let failed = |source: io::Error| ModelError::File { action: "read", path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn known_by_its_hash_and_found_beside_the_checkpoint_or_where_it_was() {
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

        // Moved beside the checkpoint, then somewhere that must be named.
        let beside = run.join("base.safetensors");
        fs::rename(&original, &beside).unwrap();
        base.read(&checkpoint, None).unwrap();
        let other = place.path().join("other.safetensors");
        fs::rename(&beside, &other).unwrap();
        let error = base.read(&checkpoint, None).unwrap_err().to_string();
        assert!(error.contains("--base") && error.contains(&base.sha256[..12]), "{error}");
        base.read(&checkpoint, Some(&other)).unwrap();

        fs::write(&beside, "something else").unwrap();
        let error = base.read(&checkpoint, None).unwrap_err();
        assert!(matches!(error, ModelError::BaseDiffers { .. }), "{error}");
    }

    #[test]
    fn the_hash_is_what_sha256sum_prints() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(&path).unwrap(), expected);
    }
}
