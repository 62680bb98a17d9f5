use std::path::PathBuf;

use clap::Args;
use sam3d_metrics::Tolerance;

use super::{ReadArgs, values::tolerance};

const NOTES: &str = "\
A metric that the masks do not define is `undefined` (JSON: null, CSV: empty); a distance to an empty
mask is `infinite` (\"inf\"). Volumes of two directories belong together if their names are the same
without .nii.gz, .seg.nrrd and the like.

Examples:
  Compare two masks:
    sam3d metrics --truth truth.nii.gz --pred mask.nii.gz
  Labels 1 and 2 of every volume of two directories, as CSV:
    sam3d metrics --truth labels --pred predictions --label 1,2 --csv
  Surface dice at 1, 2 and 5 mm, as JSON:
    sam3d metrics --truth truth.nii.gz --pred labels.nii.gz --label 2 --tolerance 1,2,5 --json";

/// Compare masks: Dice, surface dice, Hausdorff distance and more
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct MetricsArgs {
    /// True mask (NIfTI, NRRD, MetaImage, or an RT structure set with one structure), or a directory of them
    #[arg(long, value_name = "FILE|DIR")]
    pub truth: PathBuf,

    /// Predicted mask on the same grid, or a directory of them
    #[arg(long, value_name = "FILE|DIR")]
    pub pred: PathBuf,

    /// Labels to compare, each by itself [default: all voxels that are not 0, as one mask]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub label: Vec<u16>,

    /// Tolerances of the surface dice in mm
    #[arg(long, value_name = "MM,...", value_delimiter = ',', default_value = "1,5", value_parser = tolerance)]
    pub tolerance: Vec<Tolerance>,

    /// Take a prediction on another grid to the truth's, by nearest neighbour
    #[arg(long)]
    pub resample_pred: bool,

    /// Take masks of probabilities: inside where the value is above P
    #[arg(long, value_name = "P", conflicts_with = "label")]
    pub threshold: Option<f32>,

    /// Interpolate the slices in gaps between the contours of a structure set
    #[arg(long)]
    pub fill_gaps: bool,

    /// Print the result as CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// How the masks are read.
    #[command(flatten)]
    pub reading: ReadArgs,
}
