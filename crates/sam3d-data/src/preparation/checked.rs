//! Cases with what was found of them, and the table that says so.

use std::{fmt::Write as _, io::Write as _, path::Path};

use anyhow::{Context, Result};
use rayon::prelude::*;
use sam3d_data::dataset::{Case, CaseFacts, CaseProblem, Dataset, check_case};
use sam3d_io::atomic::{self, Overwrite};
use serde::{Deserialize, Serialize};

use crate::progress;

/// Most cases checked at once: each holds an image or a label in memory, which is 0.5 GB for 500 slices.
const CHECKED_AT_ONCE: usize = 4;

/// A case and what was found of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checked {
    pub(super) case: Case,
    pub(super) outcome: Outcome,
}

/// What becomes of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is kept.
    Usable(CaseFacts),
    /// It is left out, and why.
    Dropped(String),
}

impl Checked {
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.outcome, Outcome::Usable(_))
    }
}

/// Checks each case, in the order given.
pub(super) fn check(dataset: &Dataset, cases: Vec<Case>) -> Result<Vec<Checked>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(CHECKED_AT_ONCE));
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    let bar = progress::cases(cases.len());
    let checked = pool.install(|| {
        cases
            .into_par_iter()
            .map(|case| {
                let outcome = match check_case(dataset, &case) {
                    Ok(facts) => Outcome::Usable(facts),
                    Err(problem) => Outcome::Dropped(in_one_line(&problem)),
                };
                bar.inc(1);
                Checked { case, outcome }
            })
            .collect()
    });
    bar.finish_and_clear();
    Ok(checked)
}

/// Prints how many cases can be used, and which are dropped and why.
pub(super) fn print(checked: &[Checked]) {
    let dropped: Vec<(&str, &str)> = checked
        .iter()
        .filter_map(|checked| match &checked.outcome {
            Outcome::Usable(_) => None,
            Outcome::Dropped(why) => Some((checked.case.id.as_str(), why.as_str())),
        })
        .collect();
    println!(
        "{} cases found, {} usable, {} dropped",
        checked.len(),
        checked.len() - dropped.len(),
        dropped.len()
    );
    let ignored = checked
        .iter()
        .filter(|checked| matches!(&checked.outcome, Outcome::Usable(facts) if facts.label_affine_ignored))
        .count();
    if ignored > 0 {
        println!(
            "{ignored} labels have an affine of their own that was set aside: their voxels are taken for the image's"
        );
    }
    if !dropped.is_empty() {
        let width = dropped.iter().map(|(id, _)| id.len()).max().unwrap_or(0).max("dropped".len());
        println!("  {:<width$}  why", "dropped");
        for (id, why) in dropped {
            println!("  {id:<width$}  {why}");
        }
    }
}

/// Writes a line for every case: whether it is usable, its grid, its label's values and its target, or why it is not.
pub(super) fn write(path: &Path, checked: &[Checked]) -> Result<()> {
    let mut text = "case,usable,voxels,spacing_mm,label_values,target_ml,why\n".to_owned();
    for Checked { case, outcome } in checked {
        match outcome {
            Outcome::Usable(facts) => {
                let [voxels, spacing, values] = [
                    facts.voxels.map(|n| n.to_string()).join(" "),
                    facts.spacing_mm.map(|mm| format!("{mm:.4}")).join(" "),
                    facts.label_values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                ];
                let why = if facts.label_affine_ignored { "the label's affine was set aside" } else { "" };
                let _ = writeln!(
                    text,
                    "{},yes,{voxels},{spacing},{values},{:.3},{why}",
                    case.id, facts.target_ml
                );
            }
            Outcome::Dropped(why) => {
                let _ = writeln!(text, "{},no,,,,,\"{}\"", case.id, why.replace('"', "\"\""));
            }
        }
    }
    atomic::write(path, Overwrite::Replace, |file| file.write_all(text.as_bytes()))?;
    Ok(())
}

/// The problem with all its causes.
fn in_one_line(problem: &CaseProblem) -> String {
    let mut text = problem.to_string();
    let mut cause = std::error::Error::source(problem);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
