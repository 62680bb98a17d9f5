use std::path::PathBuf;

use clap::Args;

use super::ImageReadArgs;

const NOTES: &str = "\
Values are written with the file's scaling applied: as uint8, int16 or uint16 if all are whole
numbers in range, else as float32. A DICOM series becomes the same NIfTI file as with dcm2niix, with rows that
run to anterior, so that viewers show both alike.

Examples:
  sam3d convert-volume ct/ ct.nii.gz
  sam3d convert-volume study/ ct.nrrd --series 1.2.840.113619.2.1
  sam3d convert-volume probability.nii.gz mask.seg.nrrd --threshold 0.5";

/// Convert a volume of any format to NIfTI or NRRD
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ConvertVolumeArgs {
    /// Volume: NIfTI, NRRD, MetaImage, a DICOM file, or a directory of DICOM slices
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// File to write: .nii.gz, .nii, .nrrd or .seg.nrrd
    #[arg(value_name = "OUT")]
    pub out: PathBuf,

    /// Write a mask: 1 where the value is above P, else 0
    #[arg(long, value_name = "P")]
    pub threshold: Option<f32>,

    /// Replace an existing file
    #[arg(long)]
    pub force: bool,

    /// How the volume is read.
    #[command(flatten)]
    pub reading: ImageReadArgs,
}
