use std::path::PathBuf;

use clap::Args;

use super::ImageReadArgs;

const NOTES: &str = "\
Prints, of a volume: format, geometry, type and range of the voxels, and, of a label map, the labels
with their names; of a directory of DICOM slices: the same, or the UIDs if there are several series;
of an RT structure set: its structures; of a DICOM segmentation: its segments; of a checkpoint: model, parameters, preprocessing and
provenance; of a run's directory: all its checkpoints.

Patient data (who was imaged, when and where) is printed only with --phi.

Examples:
  sam3d info ct.nii.gz
  sam3d info study/ --series 1.2.840.113619.2.1
  sam3d info best.safetensors
  sam3d info runs/kits21 --json";

/// Describe a volume, a DICOM directory or a checkpoint
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct InfoArgs {
    /// Volume (NIfTI, NRRD, MetaImage, DICOM), RT structure set, DICOM segmentation, checkpoint (.safetensors), or directory
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// Also print the patient data in DICOM files
    #[arg(long)]
    pub phi: bool,

    /// How a volume is read.
    #[command(flatten)]
    pub reading: ImageReadArgs,
}
