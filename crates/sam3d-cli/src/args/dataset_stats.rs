use clap::Args;

const NOTES: &str = "\
Clip range (0.5 and 99.5 percentiles), mean and standard deviation are those of the target's voxels in
the training cases, as lines of a dataset's description.

Examples:
  sam3d dataset-stats --data data/mine
  sam3d dataset-stats --data data/mine --fold 2 --json";

/// Print the intensity statistics of a dataset's target, for its description
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
#[group(skip)]
pub struct DatasetStatsArgs {
    /// The arguments.
    #[command(flatten)]
    pub shared: sam3d_commands::DatasetStatsArgs,
}
