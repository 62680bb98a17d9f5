//! Checked cases: usable ones, and the reasons why others are not.

use std::{fmt::Write as _, io::Write as _, path::Path};

use rayon::prelude::*;
use sam3d_io::atomic::{self, Overwrite};
use serde::{Deserialize, Serialize};

use super::error::{PreparationError, in_one_line};
use crate::{
    dataset::{Case, CaseFacts, Dataset, check_case},
    progress::{OnProgress, Progress, Stage},
};

/// Most cases checked at once: each holds an image or a label in memory, which is 0.5 GB for 500 slices.
const CHECKED_AT_ONCE: usize = 4;

/// A case and what its check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedCase {
    /// The case.
    pub case: Case,
    /// Whether it can be used.
    pub outcome: Outcome,
}

/// Whether a case can be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It can, with these facts.
    Usable(CaseFacts),
    /// It cannot, for this reason.
    Dropped(String),
}

impl CheckedCase {
    /// Whether the case can be used.
    pub fn is_usable(&self) -> bool {
        matches!(self.outcome, Outcome::Usable(_))
    }
}

/// Checks each case. The result is in the order of `cases`.
///
/// # Errors
/// [`PreparationError::Threads`]. The problem of a case is part of its [`Outcome`].
pub fn check(
    dataset: &Dataset,
    cases: Vec<Case>,
    on_progress: OnProgress<'_>,
) -> Result<Vec<CheckedCase>, PreparationError> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(CHECKED_AT_ONCE));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    on_progress(Progress::Begins { stage: Stage::Checking, done: 0, total: Some(cases.len() as u64) });
    let checked = pool.install(|| {
        cases
            .into_par_iter()
            .map(|case| {
                let outcome = match check_case(dataset, &case) {
                    Ok(facts) => Outcome::Usable(facts),
                    Err(problem) => Outcome::Dropped(in_one_line(&problem)),
                };
                on_progress(Progress::Advances(1));
                CheckedCase { case, outcome }
            })
            .collect()
    });
    on_progress(Progress::Ends);
    Ok(checked)
}

/// Writes a line for every case: whether it is usable, its grid, its label's values and its target, or why it is not.
pub(super) fn write_report(path: &Path, checked: &[CheckedCase]) -> Result<(), PreparationError> {
    let mut text = "case,usable,voxels,spacing_mm,label_values,target_ml,why\n".to_owned();
    for CheckedCase { case, outcome } in checked {
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
