use std::{num::NonZeroU8, path::PathBuf};

use clap::Args;

use super::ImageReadArgs;

const NOTES: &str = "\
A voxel is foreground if its centre lies inside the contours of the nearest plane; a contour inside
another one is a hole. The mask has the grid of the image, in any orientation and spacing.

Examples:
  sam3d mask --rtstruct RS.dcm --image ct/ --roi GTV --out gtv.nii.gz
  sam3d info RS.dcm             lists the structures";

/// Convert contours of an RT structure set to a mask
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct MaskArgs {
    /// RT structure set (DICOM)
    #[arg(long, value_name = "FILE")]
    pub rtstruct: PathBuf,

    /// Image that was contoured: a directory with its DICOM slices, or a volume in another format
    #[arg(long, value_name = "FILE|DIR")]
    pub image: PathBuf,

    /// Name or number of the structure; required if there are several
    #[arg(long, value_name = "NAME")]
    pub roi: Option<String>,

    /// Mask to write: .nii.gz, .nii, .nrrd or .seg.nrrd
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Interpolate slices in gaps between contours
    #[arg(long)]
    pub fill_gaps: bool,

    /// Value of the mask's voxels
    #[arg(long, value_name = "N", default_value = "1")]
    pub label: NonZeroU8,

    /// Replace an existing file
    #[arg(long)]
    pub force: bool,

    /// How the image is read.
    #[command(flatten)]
    pub reading: ImageReadArgs,
}
