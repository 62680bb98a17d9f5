use std::path::PathBuf;

use clap::Args;
use sam3d_metrics::Tolerance;

use super::{ReadArgs, values::tolerance};

const NOTES: &str = "\
Both files must lie on one voxel grid. A metric that the masks do not define is `undefined`
(JSON: null); a distance to an empty mask is `infinite` (JSON: \"inf\").

Examples:
  Compare two masks:
    sam3d metrics --truth truth.nii.gz --pred mask.nii.gz
  Label 2 of both files, surface dice at 1, 2 and 5 mm, as JSON:
    sam3d metrics --truth truth.nii.gz --pred labels.nii.gz --label 2 --tolerance 1,2,5 --json";

/// Compare two masks: Dice, surface dice, Hausdorff distance and more
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct MetricsArgs {
    /// True mask (NIfTI, NRRD or MetaImage)
    #[arg(long, value_name = "FILE")]
    pub truth: PathBuf,

    /// Predicted mask, on the same grid
    #[arg(long, value_name = "FILE")]
    pub pred: PathBuf,

    /// Voxels of this value are the mask [default: all that are not 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub label: Option<u16>,

    /// Tolerances of the surface dice in mm
    #[arg(long, value_name = "MM,...", value_delimiter = ',', default_value = "1,5", value_parser = tolerance)]
    pub tolerance: Vec<Tolerance>,

    /// How the masks are read.
    #[command(flatten)]
    pub reading: ReadArgs,
}
