use std::path::PathBuf;

use clap::Args;

use super::ImageReadArgs;

const NOTES: &str = "\
Of a volume: format, geometry, type and range of its voxels, and, if it looks like a label
map, its labels, with their names if the file has any. Of a directory of DICOM slices: the same,
or, if it holds several series, their UIDs. Of an RT structure set: its structures. Of a
checkpoint: model, parameters, preprocessing, origin. Of a run's directory: all its checkpoints.

Who was imaged, when and where is told only with --phi.

Examples:
  sam3d info ct.nii.gz
  sam3d info study/ --series 1.2.840.113619.2.1
  sam3d info best.safetensors
  sam3d info runs/kits21 --json";

/// Describe a volume, a DICOM directory or a checkpoint
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct InfoArgs {
    /// Volume (NIfTI, NRRD, MetaImage, DICOM), RT structure set, checkpoint (.safetensors), or directory
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// Also print what DICOM files say of the patient
    #[arg(long)]
    pub phi: bool,

    /// How a volume is read.
    #[command(flatten)]
    pub reading: ImageReadArgs,
}
