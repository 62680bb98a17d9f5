//! A run's directory: configuration, checkpoints, state to go on from, and the log of metrics.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the resolved configuration; enough to run again |
//! | `best.safetensors` | checkpoint with the lowest validation loss |
//! | `last.safetensors` | checkpoint after the last epoch |
//! | `state.safetensors` | trained weights and moments after the last epoch, to go on from |
//! | `metrics.jsonl` | one line for each epoch |

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};
use sam3d_model::{Checkpoint, Metadata, Sam3d, TensorFile};
use serde::{Deserialize, Serialize};

use crate::{TrainError, config::TrainConfig, optimiser::AdamW};

const STATE_KEY: &str = "sam3d_run";
const WEIGHT: &str = "weight/";
const MOMENT: &str = "moment/";

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// Mean training loss.
    pub train_loss: f64,
    /// Mean gradient norms of image encoder, prompt encoder and mask decoder, before clipping.
    pub grad_norms: [f64; 3],
    /// Learning rate in this epoch.
    pub learning_rate: f64,
    /// Mean soft Dice loss over the validation cases; `None` in epochs without validation.
    pub validation_loss: Option<f64>,
    /// Wall-clock time of the epoch with its validation, in seconds.
    pub seconds: f64,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs done.
    pub epochs: u64,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Lowest validation loss so far.
    pub best: Option<f64>,
}

/// The directory of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// A new run in `path`, which is created. What a run left there that saved no epoch is replaced.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if there is one to go on with, [`TrainError::File`] if nothing can be written there.
    pub fn create(path: &Path, config: &TrainConfig) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned() };
        if run.state_path().exists() {
            return Err(TrainError::RunExists { path: run.path });
        }
        fs::create_dir_all(path).map_err(|source| TrainError::File {
            action: "create",
            path: path.to_owned(),
            source,
        })?;
        run.write_config(config)?;
        write_text(&run.metrics_path(), "")?;
        Ok(run)
    }

    /// The run in `path`, to go on with `config`.
    ///
    /// # Errors
    /// [`TrainError::RunFile`] if there is no run to go on with.
    pub fn reopen(path: &Path, config: &TrainConfig) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned() };
        if !run.state_path().exists() {
            let detail = "not there, so there is no finished epoch to go on from; train without --resume";
            return Err(TrainError::RunFile { path: run.state_path(), detail: detail.to_owned() });
        }
        run.write_config(config)?;
        Ok(run)
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

    /// The checkpoint with the lowest validation loss.
    pub fn best_path(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The checkpoint after the last epoch.
    pub fn last_path(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The log of metrics.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    fn state_path(&self) -> PathBuf {
        self.path.join("state.safetensors")
    }

    fn write_config(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let path = self.config_path();
        let text = toml::to_string_pretty(config)
            .map_err(|error| TrainError::RunFile { path: path.clone(), detail: error.to_string() })?;
        write_text(&path, &text)
    }

    /// Saves everything after an epoch. The state is written last: a run interrupted before goes on from the epoch
    /// before.
    ///
    /// # Errors
    /// [`TrainError`] if a file cannot be written; the files of the epoch before are then still there.
    pub fn save(
        &self,
        network: &Sam3d,
        optimiser: &AdamW,
        progress: &Progress,
        metadata: &Metadata,
        is_best: bool,
    ) -> Result<(), TrainError> {
        if is_best {
            Checkpoint::write(network, metadata, &self.best_path())?;
        }
        Checkpoint::write(network, metadata, &self.last_path())?;
        let weights =
            network.trained_parameters().into_iter().map(|(name, t)| (format!("{WEIGHT}{name}"), t));
        let moments = optimiser.moments().into_iter().map(|(name, t)| (format!("{MOMENT}{name}"), t));
        let text = serde_json::to_string(progress)
            .map_err(|error| TrainError::RunFile { path: self.state_path(), detail: error.to_string() })?;
        let metadata = HashMap::from([(STATE_KEY.to_owned(), text)]);
        TensorFile { tensors: weights.chain(moments).collect(), metadata }.write(&self.state_path())?;
        Ok(())
    }

    /// Brings network and optimiser back to where the run was saved. Frozen weights come from the last checkpoint.
    ///
    /// # Errors
    /// [`TrainError`] if a file is missing, damaged or of another configuration.
    pub fn restore(&self, network: &mut Sam3d, optimiser: &mut AdamW) -> Result<Progress, TrainError> {
        network.load(&Checkpoint::read(&self.last_path())?.tensors)?;
        let state = TensorFile::read(&self.state_path())?;
        let broken = |detail: String| TrainError::RunFile { path: self.state_path(), detail };
        let text =
            state.metadata.get(STATE_KEY).ok_or_else(|| broken("not the state of a run".to_owned()))?;
        let progress: Progress = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        let part = |prefix: &str| {
            let strip = |(name, t): (&String, &tch::Tensor)| {
                name.strip_prefix(prefix).map(|name| (name.to_owned(), t.shallow_clone()))
            };
            state.tensors.iter().filter_map(strip).collect()
        };
        network.load_some(&part(WEIGHT))?;
        optimiser.restore(&part(MOMENT), progress.steps)?;
        self.cut_metrics(progress.epochs)?;
        Ok(progress)
    }

    /// Appends a line to the log of metrics.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn log(&self, record: &EpochRecord) -> Result<(), TrainError> {
        let path = self.metrics_path();
        let failed = |source| TrainError::File { action: "append to", path: path.clone(), source };
        let line = serde_json::to_string(record).map_err(|error| failed(error.into()))?;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        writeln!(file, "{line}").map_err(failed)
    }

    /// Drops lines of epochs that were logged but not saved.
    fn cut_metrics(&self, epochs: u64) -> Result<(), TrainError> {
        let path = self.metrics_path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let kept: String = text
            .lines()
            .filter(|line| {
                serde_json::from_str::<EpochRecord>(line).is_ok_and(|record| record.epoch < epochs)
            })
            .map(|line| format!("{line}\n"))
            .collect();
        write_text(&path, &kept)
    }
}

fn write_text(path: &Path, text: &str) -> Result<(), TrainError> {
    let written: Result<(), IoError> =
        atomic::write(path, Overwrite::Replace, |file| file.write_all(text.as_bytes()));
    Ok(written?)
}
