use std::path::PathBuf;

use clap::Args;
use sam3d_metrics::Tolerance;

use super::{ReadArgs, values::tolerance};

const NOTES: &str = "\
A metric that is not defined for the masks is `undefined` (JSON: null, CSV: empty); a distance to an
empty mask is `infinite` (\"inf\"). Volumes in two directories are paired by name, without .nii.gz,
.seg.nrrd and other endings.

Examples:
  Compare two masks:
    sam3d metrics --truth truth.nii.gz --pred mask.nii.gz
  Labels 1 and 2 of all volumes in two directories, as CSV:
    sam3d metrics --truth labels --pred predictions --label 1,2 --csv
  Surface Dice at 1, 2 and 5 mm, as JSON:
    sam3d metrics --truth truth.nii.gz --pred labels.nii.gz --label 2 --tolerance 1,2,5 --json";

/// Compare masks: Dice, surface Dice, Hausdorff distance and more
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct MetricsArgs {
    /// Ground truth (NIfTI, NRRD, MetaImage, or an RT structure set with one structure), or a directory
    #[arg(long, value_name = "FILE|DIR")]
    pub truth: PathBuf,

    /// Prediction on the same grid, or a directory
    #[arg(long, value_name = "FILE|DIR")]
    pub pred: PathBuf,

    /// Labels to compare separately [default: all nonzero voxels as one mask]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub label: Vec<u16>,

    /// Tolerances of the surface Dice in mm
    #[arg(long, value_name = "MM,...", value_delimiter = ',', default_value = "1,5", value_parser = tolerance)]
    pub tolerance: Vec<Tolerance>,

    /// Resample a prediction on another grid to the ground truth's, by nearest neighbour
    #[arg(long)]
    pub resample_pred: bool,

    /// Threshold probability maps: foreground where the value is above P
    #[arg(long, value_name = "P", conflicts_with = "label")]
    pub threshold: Option<f32>,

    /// Interpolate slices in gaps between the contours of a structure set
    #[arg(long)]
    pub fill_gaps: bool,

    /// Print the result as CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// How the masks are read.
    #[command(flatten)]
    pub reading: ReadArgs,
}
