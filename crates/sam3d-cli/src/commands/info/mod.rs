//! `sam3d info`: a description of a volume, DICOM directory, structure set, segmentation or checkpoint.

mod checkpoint;
mod comparison;
mod dicom;
mod volume;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sam3d_io::{
    IoError,
    dicom::{DicomError, Segmentation, StructureSet},
};

use crate::{
    args::{GlobalArgs, InfoArgs},
    output,
};
use checkpoint::{AnyCheckpoint, RunReport};
use dicom::{DirectoryReport, SegmentationReport, StructuresReport};
use volume::VolumeReport;

/// Describes the volume or checkpoint, or every checkpoint or DICOM series of a directory, and prints the report.
///
/// # Errors
/// If the file cannot be read, or the directory has neither checkpoints nor slices.
pub fn run(args: &InfoArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let path = &args.path;
    if path.is_dir() {
        let checkpoints = checkpoints_in(path)?;
        if !checkpoints.is_empty() {
            return output::emit(&RunReport(checkpoints), global.json);
        }
        return describe_slices(args, global);
    }
    // For .pth files too: the checkpoint reader reports that they have to be converted.
    let extension = path.extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| ["safetensors", "pth", "pt", "tar"].contains(&extension)) {
        return output::emit(&AnyCheckpoint::read(path)?, global.json);
    }
    if Segmentation::is_at(path)? {
        let limits = args.reading.limits();
        return output::emit(&SegmentationReport::read(path, limits, args.phi)?, global.json);
    }
    if StructureSet::is_at(path)? {
        return output::emit(&StructuresReport::read(path, args.phi)?, global.json);
    }
    output::emit(&VolumeReport::read(args)?, global.json)
}

/// The volume in a directory of DICOM files, or the list of its series.
fn describe_slices(args: &InfoArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    match VolumeReport::read(args) {
        Ok(report) => output::emit(&report, global.json),
        Err(error) => match error.downcast_ref::<IoError>() {
            Some(IoError::Dicom { problem, .. }) if matches!(**problem, DicomError::SeveralSeries { .. }) => {
                output::emit(&DirectoryReport::read(&args.path, args.phi)?, global.json)
            }
            Some(IoError::Dicom { problem, .. }) if matches!(**problem, DicomError::NoVolume { .. }) => {
                Err(error.context("expected a directory with checkpoints (.safetensors) or DICOM slices"))
            }
            _ => Err(error),
        },
    }
}

/// The checkpoints in `directory`, by name. Other tensor files of a run (the optimiser's state) are skipped.
fn checkpoints_in(directory: &Path) -> anyhow::Result<Vec<AnyCheckpoint>> {
    let unreadable = || format!("cannot read {}", directory.display());
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
        match AnyCheckpoint::read(&path) {
            Ok(report) => reports.push(report),
            Err(error) => tracing::debug!("skipped: {}", output::one_line(&error)),
        }
    }
    Ok(reports)
}
