use clap::Args;

const NOTES: &str = "\
The CTs are those that pyradiomics is tested with (BSD-3-Clause). pip downloads their archive without
running any of its code; archive and files are compared with their SHA-256. The click to try is
printed. An earlier download is used again.

Examples:
  sam3d fetch-sample
  sam3d fetch-sample --out sample/";

/// Download two lung CTs with outlined lesions, to try the program on
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
#[group(skip)]
pub struct FetchSampleArgs {
    /// The arguments.
    #[command(flatten)]
    pub shared: sam3d_commands::FetchSampleArgs,
}
