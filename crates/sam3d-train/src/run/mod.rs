//! A run's directory: configuration, checkpoints, state to resume from, and logs.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the resolved configuration; enough to run again |
//! | `manifest.json` | provenance: program, command, device, hashes of data and base weights |
//! | `best.safetensors` | checkpoint with the lowest validation loss |
//! | `last.safetensors` | checkpoint of the latest saved weights |
//! | `base.safetensors` | the frozen weights, if the run did not start from a file |
//! | `state.safetensors` | trained weights, moments and counters, to resume from |
//! | `metrics.jsonl`, `steps.jsonl` | one line for each epoch, one for each step |
//! | `events.out.tfevents.*` | the same for TensorBoard |
//! | `run.lock` | locked by the process that trains |

mod lock;
mod log;
mod manifest;
mod progress;
mod records;
mod state;
mod tensorboard;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};
use sam3d_model::TEMPORARY_PREFIX;

pub use self::{
    lock::RunLock,
    log::Log,
    manifest::{DatasetHashes, Invocation, Manifest, Session},
    progress::{Progress, Sums},
    records::{EpochRecord, StepRecord},
    state::RunState,
    tensorboard::EventFile,
};
use crate::{TrainError, config::TrainConfig};

/// The name of the file with the frozen weights.
pub const BASE_FILE: &str = "base.safetensors";

/// The directory of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// A new run in `path`, which is created and locked. Files of a run that saved nothing are replaced.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if there is a run to resume, [`TrainError::RunInUse`] if another process trains into the
    /// directory, [`TrainError::File`] if nothing can be written there.
    pub fn create(path: &Path) -> Result<(Self, RunLock), TrainError> {
        fs::create_dir_all(path).map_err(|source| TrainError::File {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        let lock = RunLock::acquire(path)?;
        let run = Self::at(path);
        if run.has_state()? {
            return Err(TrainError::RunExists { path: run.path });
        }
        run.remove_temporary_files()?;
        Ok((run, lock))
    }

    /// The run in `path`, locked, to be resumed.
    ///
    /// # Errors
    /// [`TrainError::NothingToResume`] if nothing was saved, [`TrainError::RunInUse`] if another process trains into the
    /// directory.
    pub fn reopen(path: &Path) -> Result<(Self, RunLock), TrainError> {
        let run = Self::at(path);
        if !run.has_state()? {
            return Err(TrainError::NothingToResume { path: run.state_path() });
        }
        let lock = RunLock::acquire(path)?;
        run.remove_temporary_files()?;
        Ok((run, lock))
    }

    /// Whether another process trains into the directory at this moment.
    ///
    /// # Errors
    /// [`TrainError::File`] if the lock cannot be looked at.
    pub fn is_in_use(&self) -> Result<bool, TrainError> {
        if !self.path.join(RunLock::FILE).exists() {
            return Ok(false);
        }
        match RunLock::acquire(&self.path) {
            Ok(_) => Ok(false),
            Err(TrainError::RunInUse { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether a run saved its state here. If that cannot be determined it is an error, lest a run be replaced.
    ///
    /// # Errors
    /// [`TrainError::File`] if the file system does not say.
    pub fn has_state(&self) -> Result<bool, TrainError> {
        let path = self.state_path();
        path.try_exists().map_err(|source| TrainError::File { action: "look for", path, source })
    }

    /// The directory `path`, to be read; another process may write into it.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The configuration of the run in `path`.
    ///
    /// # Errors
    /// [`TrainError::File`] or [`TrainError::RunFile`] if it cannot be read.
    pub fn read_config(path: &Path) -> Result<TrainConfig, TrainError> {
        let path = path.join("config.toml");
        let text = fs::read_to_string(&path).map_err(|source| TrainError::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| TrainError::RunFile { path, detail: error.to_string() })
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be written.
    pub fn write_config(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let path = self.path.join("config.toml");
        let text = toml::to_string_pretty(config)
            .map_err(|error| TrainError::RunFile { path: path.clone(), detail: error.to_string() })?;
        write_text(&path, &text)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checkpoint with the lowest validation loss.
    pub fn best_path(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The checkpoint of the latest saved weights.
    pub fn last_path(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The frozen weights, if the run did not start from a file.
    pub fn base_path(&self) -> PathBuf {
        self.path.join(BASE_FILE)
    }

    /// The log of epochs.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The log of steps.
    pub fn steps_path(&self) -> PathBuf {
        self.path.join("steps.jsonl")
    }

    /// The state to resume from.
    pub fn state_path(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    /// The manifest.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// Removes the temporary files of a killed process. The directory must be locked.
    fn remove_temporary_files(&self) -> Result<(), TrainError> {
        let failed = |source| TrainError::File { action: "look into", path: self.path.clone(), source };
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // The first is this project's for tensors, the second sam3d-io's for everything else.
            if name.starts_with(TEMPORARY_PREFIX) && path.is_dir() {
                fs::remove_dir_all(&path).map_err(failed)?;
            } else if name.starts_with(".sam3d-") && name.ends_with(".tmp") {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn write_text(path: &Path, text: &str) -> Result<(), TrainError> {
    let written: Result<(), IoError> =
        atomic::write(path, Overwrite::Replace, |file| file.write_all(text.as_bytes()));
    Ok(written?)
}
