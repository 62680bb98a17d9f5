use std::{num::NonZeroUsize, path::PathBuf, str::FromStr};

use clap::{ArgGroup, Args};
use sam3d_baselines::Size;

use super::{Setting, Split, values::size};

const NOTES: &str = "\
Each row is trained in each fold with each seed, for the same time or number of steps, and evaluated
on the cases of that fold. The same command resumes an interrupted study, retries failed
units, and adds the rows, folds and seeds that are new. A unit that fails does not stop the
others; the exit code is then 1.

Examples:
  What can stand in the table:
    sam3d study --list
  This method, without prompts, and nnU-Net's network, 20 minutes each, on the first fold:
    sam3d study --config base.toml --dataset sts-ct --data data/sts-ct --out studies/sts \\
      --rows ours,ours-auto,nnunet --minutes-per-row 20
  All rows on a GPU, four at a time, four folds, three seeds:
    sam3d study --config base.toml --dataset kits21 --out studies/kits21 --rows all \\
      --folds 4 --seeds 3 --minutes-per-row 60 --jobs 4 --threads 4 --device cuda";

/// Train and evaluate a table of methods on one dataset
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES, group = ArgGroup::new("budget").args(["minutes_per_row", "steps_per_row"]))]
pub struct StudyArgs {
    /// Base configuration of all rows (TOML), as of `sam3d train`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Dataset: a name or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub dataset: Option<String>,

    /// Directory of the prepared dataset
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Directory of the study: study.md, report.html, study.json, and everything that was trained
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    pub out: Option<PathBuf>,

    /// Rows of the table: names, or method, networks, tuning, ablations, all
    #[arg(long, value_name = "ROW,...", value_delimiter = ',', required_unless_present = "list")]
    pub rows: Vec<String>,

    /// Number of folds, or a list of them (`0,2`; `2,` is fold 2 alone)
    #[arg(long, value_name = "K|LIST", default_value = "1")]
    pub folds: Numbers,

    /// Number of seeds, or a list of them
    #[arg(long, value_name = "N|LIST", default_value = "1")]
    pub seeds: Numbers,

    /// Minutes of training steps for each unit; the learning rate falls over this time
    #[arg(long, value_name = "N")]
    pub minutes_per_row: Option<f64>,

    /// Optimiser steps for each unit, rounded to whole epochs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps_per_row: Option<u64>,

    /// Which cases are evaluated: train, val or test
    #[arg(long, value_enum, default_value_t = Split::Test, hide_possible_values = true)]
    pub split: Split,

    /// Draw the clicks of every case this many times and average
    #[arg(long, value_name = "K", default_value = "3")]
    pub clicks: NonZeroUsize,

    /// Size of the comparison networks
    #[arg(long, value_name = "NAME", value_parser = size(), default_value = "small")]
    pub size: Size,

    /// Units at the same time; each has --threads threads [default of --threads: all cores divided by the jobs]
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub jobs: NonZeroUsize,

    /// Set one field of the base configuration; repeat for more
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub settings: Vec<Setting>,

    /// Print all rows with what each changes in the base configuration
    #[arg(long)]
    pub list: bool,
}

/// The first so many numbers from 0, or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(pub Vec<usize>);

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number from 1, or a list such as 0,2".to_owned();
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| expected());
        if !text.contains(',') {
            let count = number(text).ok().filter(|count| (1..=1000).contains(count));
            return count.map(|count| Self((0..count).collect())).ok_or_else(expected);
        }
        let mut numbers = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let number = number(part)?;
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        if numbers.is_empty() { Err(expected()) } else { Ok(Self(numbers)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_count_and_a_list_is_a_list() {
        let numbers = |text: &str| text.parse::<Numbers>().map(|numbers| numbers.0);
        assert_eq!(numbers("3"), Ok(vec![0, 1, 2]));
        assert_eq!(numbers("2,0,2"), Ok(vec![2, 0]));
        assert_eq!(numbers("2,"), Ok(vec![2]));
        for bad in ["", "0", ",", "x", "1,x", "-1", "100000000"] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
    }
}
