use std::path::PathBuf;

use clap::Args;

use super::ImageReadArgs;

const NOTES: &str = "\
Diameters run from outer edge to outer edge of the mask's voxels. The axial ones are the longest in
any slice nearest to axial, and the longest perpendicular to it in that slice (RECIST, WHO); they may
leave a mask that is not convex. Ends are voxel indices i,j,k of the file as stored; integers are voxel
centres. With --image, the intensities of the image inside the mask are measured too.

Examples:
  sam3d measure tumour.nii.gz
  sam3d measure labels.nii.gz --label 1,2 --image ct.nii.gz --json
  sam3d measure RS.dcm --image ct/ --csv";

/// Measure a mask: volume, RECIST and WHO diameters, bounding box, intensities
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct MeasureArgs {
    /// Mask (NIfTI, NRRD, MetaImage, DICOM SEG, or an RTSTRUCT of one structure, which needs --image)
    #[arg(value_name = "MASK")]
    pub mask: PathBuf,

    /// Image on the mask's grid (any format, or a directory of DICOM slices)
    #[arg(long, value_name = "FILE|DIR")]
    pub image: Option<PathBuf>,

    /// Labels to measure separately [default: all nonzero voxels as one mask]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub label: Vec<u16>,

    /// Threshold a probability map: foreground where the value is above P
    #[arg(long, value_name = "P", conflicts_with = "label")]
    pub threshold: Option<f32>,

    /// Print the result as CSV, one line per label
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// How the volumes are read.
    #[command(flatten)]
    pub reading: ImageReadArgs,
}
