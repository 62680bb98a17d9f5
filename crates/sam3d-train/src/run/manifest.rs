//! The manifest of a run: program, data and weights it was made with.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use sam3d_model::{Base, sha256_of};
use serde::{Deserialize, Serialize};

use super::{Progress, RunDirectory, write_text};
use crate::{TrainError, config::TrainConfig};

/// The program's version and command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Name and version of the program.
    pub program: String,
    /// The commit it was built from, if it was built in a repository.
    pub git_commit: Option<String>,
    /// The command line.
    pub command: Vec<String>,
    /// Threads of libtorch.
    pub threads: usize,
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of libtorch.
    pub libtorch: String,
    /// Seed of initial weights and of every draw.
    pub seed: u64,
    /// The data.
    pub dataset: DatasetHashes,
    /// The file with the frozen weights.
    pub base: Base,
    /// SHA-256 of the file the run started from.
    pub pretrained_sha256: Option<String>,
    /// The start of the run, and every resumption.
    pub sessions: Vec<Session>,
}

/// One start of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Version and command line.
    #[serde(flatten)]
    pub invocation: Invocation,
    /// Seconds since 1970 (UTC).
    pub started: u64,
    /// The device.
    pub device: String,
    /// Processes that trained together.
    pub processes: usize,
    /// Epochs done before.
    pub from_epoch: u64,
    /// Steps of the next epoch done before.
    pub from_step: u64,
}

/// A prepared dataset and the SHA-256 of the files that describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetHashes {
    /// Its name.
    pub name: String,
    /// Where it was.
    pub directory: PathBuf,
    /// The fold that was used.
    pub fold: usize,
    /// Of `dataset.toml`.
    pub dataset_sha256: String,
    /// Of `cases.json`.
    pub cases_sha256: String,
    /// Of `splits.json`.
    pub splits_sha256: String,
}

impl DatasetHashes {
    /// The hashes of the dataset that `config` names.
    ///
    /// # Errors
    /// [`TrainError::Model`] if a file cannot be read.
    pub fn of(config: &TrainConfig) -> Result<Self, TrainError> {
        let directory = config.data_directory();
        let hash = |name: &str| sha256_of(&directory.join(name));
        Ok(Self {
            name: config.dataset.clone(),
            fold: config.fold,
            dataset_sha256: hash("dataset.toml")?,
            cases_sha256: hash("cases.json")?,
            splits_sha256: hash("splits.json")?,
            directory,
        })
    }

    /// Whether a run on `self` may go on with `other`: the same dataset, split and fold, wherever they are.
    pub fn same_split(&self, other: &Self) -> bool {
        (&self.dataset_sha256, &self.splits_sha256, self.fold)
            == (&other.dataset_sha256, &other.splits_sha256, other.fold)
    }
}

impl Session {
    /// A session that starts now.
    pub fn new(invocation: Invocation, device: String, processes: usize, progress: &Progress) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs());
        let (from_epoch, from_step) = (progress.epochs, progress.step);
        Self { invocation, started, device, processes, from_epoch, from_step }
    }
}

impl Manifest {
    /// The manifest of the run in `directory`.
    ///
    /// # Errors
    /// [`TrainError::File`] or [`TrainError::RunFile`] if it cannot be read.
    pub fn read(directory: &RunDirectory) -> Result<Self, TrainError> {
        let path = directory.manifest_path();
        let text = fs::read_to_string(&path).map_err(|source| TrainError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|error| broken(&path, error.to_string()))
    }

    /// Writes it into `directory`.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be written.
    pub fn write(&self, directory: &RunDirectory) -> Result<(), TrainError> {
        let path = directory.manifest_path();
        let text = serde_json::to_string_pretty(self).map_err(|error| broken(&path, error.to_string()))?;
        write_text(&path, &format!("{text}\n"))
    }
}

fn broken(path: &Path, detail: String) -> TrainError {
    TrainError::RunFile { path: path.to_owned(), detail }
}
