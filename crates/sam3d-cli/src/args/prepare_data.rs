use clap::Args;

const NOTES: &str = "\
Writes dataset.toml, cases.json, splits.json and report.csv. A case is dropped, and the reason printed,
if a file is missing or cannot be read, if image and label lie on different grids, or if the label has
unknown values or no target. --seed is that of the splits. Images in a directory stay where they are.

Examples:
  Generated phantoms, into data/demo:
    sam3d prepare-data
  A directory or an archive of a published dataset:
    sam3d prepare-data --dataset kits21 --source kits21/data
    sam3d prepare-data --dataset lits17 --source lits.zip
  Downloaded, with a cross-validation of five folds:
    sam3d prepare-data --dataset msd-colon --folds 5
  Checked by eight jobs of an array, this is the third; --merge when all are done:
    sam3d prepare-data --dataset kits21 --source kits21/data --shard 3/8
    sam3d prepare-data --dataset kits21 --merge 8";

/// Check the cases of a dataset, and write its list of cases and its splits
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
#[group(skip)]
pub struct PrepareDataArgs {
    /// The arguments.
    #[command(flatten)]
    pub shared: sam3d_commands::PrepareDataArgs,
}
