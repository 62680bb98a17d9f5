//! Which weights: a file, or some that are compiled into the program.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sam3d_geom::hexadecimal;
use sam3d_model::Checkpoint;
use sha2::{Digest, Sha256};

use crate::InferError;

/// The weights compiled into the program (feature `built-in-weights`), the default first.
///
/// To exchange them, replace the file: name, card and hash follow from this table and from the file itself.
pub static BUILT_IN: &[BuiltInWeights] = &[
    #[cfg(feature = "built-in-weights")]
    BuiltInWeights { name: "sarcoma-small", bytes: include_bytes!("../weights/sarcoma-small.safetensors") },
];

/// Weights compiled into the program: a whole checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BuiltInWeights {
    /// Name by which they are asked for.
    pub name: &'static str,
    /// The checkpoint's file.
    pub bytes: &'static [u8],
}

impl fmt::Debug for BuiltInWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuiltInWeights({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// The weights of a segmenter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// A checkpoint's file.
    File(PathBuf),
    /// Weights compiled into the program.
    BuiltIn(BuiltInWeights),
}

impl Weights {
    /// The built-in weights of this name.
    pub fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.iter().find(|weights| weights.name == name).map(|weights| Self::BuiltIn(*weights))
    }

    /// The built-in weights that are used where none are named; `None` if the program was built without any.
    pub fn built_in_default() -> Option<Self> {
        BUILT_IN.first().map(|weights| Self::BuiltIn(*weights))
    }

    /// The file's path, or the name of built-in weights.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::BuiltIn(weights) => Path::new(weights.name),
        }
    }

    /// Reads the checkpoint, and the tensors it leaves out from its base, which is in the file `base` if one is given.
    ///
    /// # Errors
    /// As [`Checkpoint::read_with_base`].
    pub fn read(&self, base: Option<&Path>) -> Result<Checkpoint, InferError> {
        Ok(match self {
            Self::File(path) => Checkpoint::read_with_base(path, base)?,
            Self::BuiltIn(_) => self.read_alone()?,
        })
    }

    /// Reads the checkpoint without the tensors of its base.
    ///
    /// # Errors
    /// As [`Checkpoint::read_alone`].
    pub fn read_alone(&self) -> Result<Checkpoint, InferError> {
        Ok(match self {
            Self::File(path) => Checkpoint::read_alone(path)?,
            Self::BuiltIn(weights) => Checkpoint::from_bytes(weights.bytes, self.path())?,
        })
    }

    /// SHA-256 of the file, in hexadecimal.
    ///
    /// # Errors
    /// [`InferError::Model`] if it cannot be read.
    pub fn sha256(&self) -> Result<String, InferError> {
        Ok(match self {
            Self::File(path) => sam3d_model::sha256_of(path)?,
            Self::BuiltIn(weights) => hexadecimal(&Sha256::digest(weights.bytes)),
        })
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

impl From<&Weights> for Weights {
    fn from(weights: &Weights) -> Self {
        weights.clone()
    }
}

impl From<PathBuf> for Weights {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Weights {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Weights {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::{Intensity, Interpolation, Orientation, Preprocessing, Spacing};
    use sam3d_model::{FORMAT_VERSION, Metadata, ModelConfig, Provenance, Sam3d};
    use tch::Device;

    use super::*;
    use crate::{Segmenter, SegmenterOptions};

    #[cfg(feature = "built-in-weights")]
    #[test]
    fn built_in_weights_need_nothing_else_and_say_what_they_are() {
        assert!(!BUILT_IN.is_empty());
        for built_in in BUILT_IN {
            let weights = Weights::built_in(built_in.name).unwrap();
            let checkpoint = weights.read_alone().unwrap();
            let card = checkpoint.card.as_ref().unwrap();
            assert_eq!(card.empty_field(), None, "{weights}");
            assert_eq!(checkpoint.metadata.base, None);
            assert!(built_in.bytes.len() <= 9_000_000, "{weights}: {} bytes", built_in.bytes.len());
            let segmenter = Segmenter::open(&weights, &SegmenterOptions::default()).unwrap();
            assert!(segmenter.accepts().clicks);
        }
    }

    #[test]
    fn weights_in_memory_are_those_of_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("w.safetensors");
        let metadata = Metadata {
            format_version: FORMAT_VERSION,
            model: ModelConfig::tiny(),
            preprocessing: Some(Preprocessing {
                intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
                spacing_mm: Spacing::new([1.5; 3]).unwrap(),
                orientation: Orientation::Lps,
                interpolation: Interpolation::Trilinear,
            }),
            provenance: Provenance::default(),
            base: None,
        };
        let network = Sam3d::new(&ModelConfig::tiny(), Device::Cpu, 3).unwrap();
        Checkpoint::write(&network, &metadata, &path).unwrap();

        let bytes = Box::leak(std::fs::read(&path).unwrap().into_boxed_slice());
        let built_in = Weights::BuiltIn(BuiltInWeights { name: "test", bytes });
        let file = Weights::from(&path);
        assert_eq!(built_in.to_string(), "test");
        assert_eq!(built_in.sha256().unwrap(), file.sha256().unwrap());
        let options = SegmenterOptions::default();
        let (a, b) =
            (Segmenter::open(&built_in, &options).unwrap(), Segmenter::open(&file, &options).unwrap());
        assert_eq!(a.weights_sha256().unwrap(), b.weights_sha256().unwrap());
        for ((name, tensor), (_, other)) in a.network().parameters().iter().zip(&b.network().parameters()) {
            assert!(tensor.equal(other), "{name}");
        }

        let cut = Weights::BuiltIn(BuiltInWeights { name: "cut", bytes: &bytes[..100] });
        let error = Segmenter::open(&cut, &options).unwrap_err().to_string();
        assert!(error.contains("cut: not a complete safetensors file"), "{error}");
    }
}
