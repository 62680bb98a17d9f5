//! A run's logs: lines of JSON, and the same numbers for TensorBoard.

use std::{
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{EpochRecord, EventFile, Progress, RunDirectory, StepRecord, write_text};
use crate::TrainError;

/// The open logs of a run.
#[derive(Debug)]
pub struct Log {
    epochs: Lines,
    steps: Lines,
    events: EventFile,
}

impl Log {
    /// Opens the logs of the run in `directory`, which stands at `progress` and at step `total` of the run. Lines of
    /// what was logged but not saved are dropped, so that every step and epoch is there once.
    ///
    /// # Errors
    /// [`TrainError`] if they cannot be written.
    pub fn open(directory: &RunDirectory, progress: &Progress, total: u64) -> Result<Self, TrainError> {
        let (metrics, steps) = (directory.metrics_path(), directory.steps_path());
        keep_lines(&metrics, |record: &EpochRecord| record.epoch < progress.epochs)?;
        keep_lines(&steps, |record: &StepRecord| {
            (record.epoch, record.step) < (progress.epochs, progress.step)
        })?;
        Ok(Self {
            epochs: Lines::open(metrics)?,
            steps: Lines::open(steps)?,
            events: EventFile::create(directory.path(), total)?,
        })
    }

    /// Adds a step. It may stay in memory until [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn step(&mut self, record: &StepRecord) -> Result<(), TrainError> {
        self.steps.add(record)?;
        let at = record.total;
        if let Some(loss) = record.loss {
            self.events.scalar("step/loss", loss, at)?;
        }
        self.events.scalar("step/learning_rate", record.learning_rate, at)
    }

    /// Adds an epoch that ended with step `total` of the run.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn epoch(&mut self, record: &EpochRecord, total: u64) -> Result<(), TrainError> {
        self.epochs.add(record)?;
        for (tag, value) in
            [("epoch/train_loss", record.train_loss), ("epoch/validation_loss", record.validation_loss)]
        {
            if let Some(value) = value {
                self.events.scalar(tag, value, total)?;
            }
        }
        for (module, norm) in
            ["image_encoder", "prompt_encoder", "mask_decoder"].iter().zip(record.grad_norms)
        {
            self.events.scalar(&format!("gradient_norm/{module}"), norm, total)?;
        }
        self.events.scalar("epoch/seconds", record.seconds, total)
    }

    /// Hands everything to the operating system: what is saved of the run has then been logged.
    ///
    /// # Errors
    /// [`TrainError::File`] if it cannot be written.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.epochs.flush()?;
        self.steps.flush()?;
        self.events.flush()
    }
}

/// A file of one JSON value a line.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: BufWriter<fs::File>,
}

impl Lines {
    fn open(path: PathBuf) -> Result<Self, TrainError> {
        let file = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|source| failed(&path, source))?;
        Ok(Self { path, file: BufWriter::new(file) })
    }

    fn add(&mut self, record: &impl Serialize) -> Result<(), TrainError> {
        let line = serde_json::to_string(record).map_err(|error| failed(&self.path, error.into()))?;
        writeln!(self.file, "{line}").map_err(|source| failed(&self.path, source))
    }

    fn flush(&mut self) -> Result<(), TrainError> {
        self.file.flush().map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> TrainError {
    TrainError::File { action: "append to", path: path.to_owned(), source }
}

/// Keeps the lines of `path` that are `wanted`; a line that a killed process wrote in part is none.
fn keep_lines<R: DeserializeOwned>(path: &Path, wanted: impl Fn(&R) -> bool) -> Result<(), TrainError> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let kept: String = text
        .lines()
        .filter(|line| serde_json::from_str::<R>(line).is_ok_and(|record| wanted(&record)))
        .map(|line| format!("{line}\n"))
        .collect();
    write_text(path, &kept)
}
