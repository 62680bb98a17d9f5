use std::path::PathBuf;

use clap::Args;

const NOTES: &str = "\
Labels become 0, 1, 2 and so on; the target keeps its name. Of one split the test cases go to imagesTs
and labelsTs; of a cross-validation each fold is validated on its test cases (splits_final.json).

Example:
  sam3d export-nnunet --data data/kits21 --out nnUNet_raw/Dataset021_KiTS";

/// Write a prepared dataset in nnU-Net's format
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ExportNnunetArgs {
    /// Directory that `sam3d prepare-data` wrote
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Directory to write: dataset.json, imagesTr, labelsTr, splits_final.json
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
