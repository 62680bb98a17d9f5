use std::path::PathBuf;

use clap::Args;

use super::ReadArgs;

const NOTES: &str = "\
Of a volume: format, geometry, type and range of its voxels, and, if it looks like a label
map, its labels, with their names if the file has any. Of a checkpoint: model, parameters,
preprocessing, origin. Of a directory: all its checkpoints.

Examples:
  sam3d info ct.nii.gz
  sam3d info best.safetensors
  sam3d info runs/kits21 --json";

/// Describe a volume or a checkpoint
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct InfoArgs {
    /// Volume (NIfTI, NRRD or MetaImage), checkpoint (.safetensors), or directory
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// How a volume is read.
    #[command(flatten)]
    pub reading: ReadArgs,
}
