//! The result of a run, on standard output.

use std::{fmt, path::PathBuf};

use sam3d_train::{
    fit::{Ended, Outcome},
    run::Progress,
};
use serde::Serialize;
use tch::Device;

use crate::memory;

#[derive(Serialize)]
struct Parameters {
    trained: usize,
    frozen: usize,
}

#[derive(Serialize)]
pub(super) struct Report<'a> {
    progress: &'a Progress,
    ended: Ended,
    /// Values that were trained, and that stayed frozen.
    parameters: Parameters,
    device: String,
    /// Peak memory of this process, in bytes, where the system reports it.
    peak_memory_bytes: Option<u64>,
    directory: PathBuf,
    best: PathBuf,
    last: PathBuf,
    metrics: PathBuf,
}

impl<'a> Report<'a> {
    pub(super) fn new(outcome: &'a Outcome, device: Device) -> Self {
        let directory = &outcome.directory;
        Self {
            progress: &outcome.progress,
            ended: outcome.ended,
            parameters: Parameters { trained: outcome.parameters.trained, frozen: outcome.parameters.frozen },
            device: format!("{device:?}").to_lowercase(),
            peak_memory_bytes: memory::peak(),
            directory: directory.path().to_owned(),
            best: directory.best_path(),
            last: directory.last_path(),
            metrics: directory.metrics_path(),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { epochs, step, steps, skipped, best, .. } = self.progress;
        let within = if *step > 0 { format!(" and {step} steps of the next one") } else { String::new() };
        writeln!(f, "epochs            {epochs}{within} ({steps} steps in total)")?;
        if *skipped > 0 {
            writeln!(f, "skipped           {skipped} steps with a loss or gradient that was not finite")?;
        }
        if let Some(best) = best {
            writeln!(f, "validation loss   {best:.4} (lowest)")?;
        }
        let resume = format!("sam3d train --out {} --resume", self.directory.display());
        match self.ended {
            Ended::Complete => {}
            Ended::NoBetter => writeln!(f, "stopped           the validation loss no longer decreases")?,
            Ended::StopAfter => {
                writeln!(
                    f,
                    "stopped           after train.stop_after epochs; raise it and resume: {resume}"
                )?;
            }
            Ended::OutOfTime => writeln!(f, "stopped           at the time limit; resume: {resume}")?,
            Ended::Stopped => writeln!(f, "stopped           by a signal, and saved; resume: {resume}")?,
        }
        if best.is_some() {
            writeln!(f, "best checkpoint   {}", self.best.display())?;
        }
        writeln!(f, "last checkpoint   {}", self.last.display())?;
        writeln!(f, "metrics           {}", self.metrics.display())
    }
}
