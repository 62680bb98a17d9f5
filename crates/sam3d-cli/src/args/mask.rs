use std::{num::NonZeroU8, path::PathBuf};

use clap::Args;

use super::ImageReadArgs;

const NOTES: &str = "\
Of an RT structure set, a voxel is foreground if its centre lies inside the contours of the nearest plane; a contour inside
another one is a hole. The mask has the grid of the image, in any orientation and spacing.

Examples:
  sam3d mask --rtstruct RS.dcm --image ct/ --roi GTV --out gtv.nii.gz
  sam3d mask --seg SEG.dcm --segment 2 --out liver.nii.gz
  sam3d info RS.dcm             lists the structures, or a segmentation's segments";

/// Convert a structure of an RT structure set, or a segment of a DICOM segmentation, to a mask
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct MaskArgs {
    /// RT structure set (DICOM)
    #[arg(long, value_name = "FILE", required_unless_present = "seg", requires = "image")]
    pub rtstruct: Option<PathBuf>,

    /// DICOM segmentation (binary, fractional or label map)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rtstruct", "roi", "fill_gaps"])]
    pub seg: Option<PathBuf>,

    /// Image whose grid the mask has: DICOM slices or another format; optional with --seg
    #[arg(long, value_name = "FILE|DIR")]
    pub image: Option<PathBuf>,

    /// Name or number of the structure; required if there are several
    #[arg(long, value_name = "NAME")]
    pub roi: Option<String>,

    /// Label or number of the segment; required if there are several
    #[arg(long, value_name = "NAME|NUMBER", requires = "seg")]
    pub segment: Option<String>,

    /// Share of the maximum above which a voxel of a fractional segmentation is foreground
    #[arg(long, value_name = "P", requires = "seg", default_value_t = 0.5)]
    pub threshold: f32,

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
