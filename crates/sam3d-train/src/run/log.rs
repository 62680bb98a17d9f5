//! A run's logs: lines of JSON, and the same numbers for TensorBoard.

use std::{
    fs,
    io::{self, BufWriter, Write},
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
    /// steps and epochs after the last save are dropped, so that each appears once.
    ///
    /// # Errors
    /// [`TrainError`] if they cannot be read or written; they are then unchanged.
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

/// Keeps the lines of `path` that are `wanted`; partially written lines are dropped. No file is an empty log.
fn keep_lines<R: DeserializeOwned>(path: &Path, wanted: impl Fn(&R) -> bool) -> Result<(), TrainError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|source| TrainError::File { action: "read", path: path.to_owned(), source })?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut kept = String::new();
    for line in text.lines() {
        match serde_json::from_str::<R>(line) {
            Ok(record) if wanted(&record) => kept.extend([line, "\n"]),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!("{}: dropped a line that cannot be read ({error})", path.display());
            }
        }
    }
    write_text(path, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, serde::Deserialize)]
    struct Record {
        n: u32,
    }

    #[test]
    fn wanted_lines_stay_and_partially_written_ones_go() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("steps.jsonl");
        let keep = || keep_lines(&path, |record: &Record| record.n < 3);
        keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        // The second line was damaged so that it is not even text.
        fs::write(&path, b"{\"n\":1}\n{\"n\":\xff}\n{\"n\":2}\n{\"n\":3}\n{\"n\":").unwrap();
        keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":1}\n{\"n\":2}\n");
    }

    #[test]
    fn a_log_that_cannot_be_read_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("steps.jsonl");
        // A directory can be neither read nor replaced by a file; a file of another user fails in the same way.
        fs::create_dir(&path).unwrap();
        let error = keep_lines(&path, |_: &Record| true).unwrap_err();
        assert!(
            matches!(&error, TrainError::File { action: "read", path: found, .. } if *found == path),
            "{error}"
        );
    }
}
