//! `sam3d info`: what a volume or a checkpoint is.

mod checkpoint;
mod volume;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{
    args::{GlobalArgs, InfoArgs},
    output,
};
use checkpoint::{CheckpointReport, RunReport};
use volume::VolumeReport;

/// Describes the volume or checkpoint, or every checkpoint of a directory, and prints the report.
///
/// # Errors
/// If the file cannot be read, or the directory holds no checkpoint.
pub fn run(args: &InfoArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let path = &args.path;
    if path.is_dir() {
        return output::emit(&RunReport(checkpoints_in(path)?), global.json);
    }
    // .pth files go the same way: the checkpoint reader says that they have to be converted.
    let extension = path.extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| ["safetensors", "pth", "pt", "tar"].contains(&extension)) {
        return output::emit(&CheckpointReport::read(path)?, global.json);
    }
    output::emit(&VolumeReport::read(path, args.reading.limits())?, global.json)
}

/// The checkpoints of `directory` by name. Other tensors that a run keeps there (an optimiser's state) are passed over.
fn checkpoints_in(directory: &Path) -> anyhow::Result<Vec<CheckpointReport>> {
    let unreadable = || format!("{}: cannot be read", directory.display());
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut reports = Vec::new();
    for path in paths {
        match CheckpointReport::read(&path) {
            Ok(report) => reports.push(report),
            Err(error) => tracing::debug!("passed over: {}", output::one_line(&error)),
        }
    }
    if reports.is_empty() {
        bail!("{}: expected a directory with checkpoints (.safetensors), found none", directory.display());
    }
    Ok(reports)
}
