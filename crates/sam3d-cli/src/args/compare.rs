use std::{path::PathBuf, str::FromStr};

use clap::Args;
use sam3d_metrics::Tolerance;

use super::values::tolerance;

const NOTES: &str = "\
Each row is a run and a number of clicks; runs with the same NAME on several datasets share a row.
Rows are tested against the reference on the cases that both have: Wilcoxon's signed-rank test,
two-sided, with Holm's adjustment for all tests of a metric in the table.

Examples:
  Two runs on one dataset, tested against the first:
    sam3d compare ours=runs/a/evaluation baseline=runs/b/evaluation
  Two methods on two datasets, tested against the first with one click:
    sam3d compare ours=kits/eval ours=lits/eval unet=kits/unet unet=lits/unet --reference ours:1";

/// Compare evaluations with each other and with the published scores
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct CompareArgs {
    /// Directories written by `sam3d eval --out`, with optional names [default name: the directory]
    #[arg(value_name = "[NAME=]DIR", required = true)]
    pub runs: Vec<RunArg>,

    /// Row to test the others against, optionally with its number of clicks [default: the first run]
    #[arg(long, value_name = "NAME[:CLICKS]")]
    pub reference: Option<String>,

    /// Tolerance of the surface Dice in mm
    #[arg(long, value_name = "MM", default_value = "5", value_parser = tolerance)]
    pub tolerance: Tolerance,

    /// Print the result as CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// A run with the name of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunArg {
    /// Name of its row.
    pub name: String,
    /// Directory of an evaluation, or its scores.json.
    pub path: PathBuf,
}

impl FromStr for RunArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("", _) | (_, "")) => Err("expected NAME=DIR or DIR".to_owned()),
            Some((name, path)) => Ok(Self { name: name.to_owned(), path: path.into() }),
            None => Ok(Self { name: text.trim_end_matches('/').to_owned(), path: text.into() }),
        }
    }
}
