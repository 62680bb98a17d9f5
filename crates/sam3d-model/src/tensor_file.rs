//! Safetensors files: named tensors with text metadata. Nothing in such a file is executed.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::{Serialize, de::DeserializeOwned};
use tch::{Device, Kind, Tensor};

use crate::ModelError;

/// Prefix of the temporary directories in which files are written before they are renamed. Those that a killed process left
/// may be removed.
pub const TEMPORARY_PREFIX: &str = ".checkpoint-";

/// A safetensors file in memory.
#[derive(Debug, Default)]
pub struct TensorFile {
    /// The tensors by name, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
    /// The file's metadata.
    pub metadata: HashMap<String, String>,
}

/// A description stored in a file of tensors: JSON under one key of the file's metadata.
pub trait Description: Serialize + DeserializeOwned {
    /// The key.
    const KEY: &'static str;
    /// The version of the format that is written, and the newest that is read.
    const NEWEST: u32;
    /// The error text for a file without the key.
    const ABSENT: &'static str;

    /// The version of the file's format.
    fn format_version(&self) -> u32;
}

impl TensorFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be read; [`ModelError::NotSafetensors`], or [`ModelError::Checkpoint`] if a tensor is not
    /// of a float type.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = fs::read(path).map_err(|source| ModelError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes, path)
    }

    /// As [`read`](Self::read), of a file in memory; errors name it as `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
        let not_safetensors = |error: SafeTensorError| ModelError::NotSafetensors {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
        let file = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
            let kind = match view.dtype() {
                Dtype::F32 => Kind::Float,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                other => return Err(broken(format!("{name} has type {other:?}, expected a float type"))),
            };
            tensors.insert(name.to_owned(), Tensor::f_from_data_size(view.data(), &shape, kind)?);
        }
        Ok(Self { tensors, metadata: header.metadata().clone().unwrap_or_default() })
    }

    /// Writes the file to `path`: to a temporary directory beside it, to the disk, then renamed.
    ///
    /// # Errors
    /// [`ModelError::File`] if it cannot be written; an earlier file at `path` is then unchanged.
    pub fn write(self, path: &Path) -> Result<(), ModelError> {
        let failed = |source| ModelError::File { action: "write", path: path.to_owned(), source };
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A directory, because safetensors creates a temporary file of its own next to its target.
        let place =
            tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(directory).map_err(failed)?;
        let temporary = place.path().join("tensors");
        // safetensors makes that file private; weights get the permissions of any file that the user creates.
        let permissions = fs::File::create(&temporary)
            .and_then(|file| Ok(file.metadata()?.permissions()))
            .map_err(failed)?;
        let views: BTreeMap<String, TensorView> =
            self.tensors.iter().map(|(name, tensor)| (name.clone(), TensorView::new(tensor))).collect();
        safetensors::serialize_to_file(views, Some(self.metadata), &temporary).map_err(
            |error| match error {
                SafeTensorError::IoError(source) => failed(source),
                other => ModelError::Checkpoint { path: path.to_owned(), detail: other.to_string() },
            },
        )?;
        fs::set_permissions(&temporary, permissions).map_err(failed)?;
        fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)?;
        // The new name, too, must survive a loss of power. Not every file system can be asked for that.
        let _ = fs::File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

impl TensorFile {
    /// Whether the file has a description of type `D`.
    pub fn is_described_by<D: Description>(&self) -> bool {
        self.metadata.contains_key(D::KEY)
    }

    /// Reads the file at `path` with its description.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ModelError::Checkpoint`] if there is no description of this kind, it is not understood, or
    /// is of a newer format.
    pub fn read_described<D: Description>(path: &Path) -> Result<(D, BTreeMap<String, Tensor>), ModelError> {
        let file = Self::read(path)?;
        Ok((file.description(path)?, file.tensors))
    }

    /// The file's description; errors name the file as `path`.
    ///
    /// # Errors
    /// [`ModelError::Checkpoint`] as [`read_described`](Self::read_described).
    pub fn description<D: Description>(&self, path: &Path) -> Result<D, ModelError> {
        let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
        let text = self.metadata.get(D::KEY).ok_or_else(|| broken(D::ABSENT.to_owned()))?;
        let description: D = serde_json::from_str(text)
            .map_err(|error| broken(format!("cannot parse the metadata: {error}")))?;
        let (found, newest) = (description.format_version(), D::NEWEST);
        if found > newest {
            return Err(broken(format!(
                "checkpoint format {found} is newer than this program's {newest}; update the program"
            )));
        }
        Ok(description)
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
        Self::described(description, tensors, path)?.write(path)
    }

    /// `tensors` with their description, to be written to `path`, which errors name.
    pub(crate) fn described<D: Description>(
        description: &D,
        tensors: BTreeMap<String, Tensor>,
        path: &Path,
    ) -> Result<Self, ModelError> {
        let text = serde_json::to_string(description)
            .map_err(|error| ModelError::Checkpoint { path: path.to_owned(), detail: error.to_string() })?;
        Ok(Self { tensors, metadata: HashMap::from([(D::KEY.to_owned(), text)]) })
    }
}

/// A tensor that is copied to the CPU only when its bytes are requested, so that a file of 2.5 GB is written without a
/// second copy of it in memory.
struct TensorView {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl TensorView {
    fn new(tensor: &Tensor) -> Self {
        Self { tensor: tensor.detach(), shape: tensor.size().iter().map(|n| *n as usize).collect() }
    }
}

impl View for TensorView {
    fn dtype(&self) -> Dtype {
        match self.tensor.kind() {
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let tensor = self.tensor.to_device(Device::Cpu).contiguous();
        let mut bytes = vec![0; self.data_len()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.dtype().bitsize() / 8
    }
}
