//! Evaluation by the published protocol: clicks, predictions and scores, case by case, for any [`Method`].
//!
//! - [`method`]: what a method is, and this project's own; the prompt-free ones, the comparison networks and the 2D SAM
//!   beside it.
//! - [`case`](mod@case): a case as a method sees it, with the truth kept back.
//! - [`clicks`]: where the clicks lie. [`ball`]: the baseline that any click must beat.
//! - [`corrections`]: clicks that each correct the mask before them; [`correction_summary`]: areas under curves and clicks to
//!   a Dice; [`timings`]: how long prompts took.
//! - [`score`]: from a prediction to its scores, in the file's own grid.
//! - [`pipeline`]: many cases, read and scored beside the method's work.
//! - [`summary`]: means, spreads and intervals over cases. [`published`]: the published scores.
//! - [`records`]: an evaluation's directory, from which it resumes after an interruption; [`scores`]: the result as
//!   written to files; [`report`]: the HTML report.
//! - [`study`]: a table of methods, each trained alike and evaluated on the same cases.
//!
//! A score is a function of files, seed and configuration.

mod auto_method;
mod automatic_method;
mod automatic_windows;
pub mod ball;
pub mod case;
pub mod clicks;
pub mod correction_summary;
pub mod corrections;
mod error;
pub mod method;
pub mod pipeline;
pub mod published;
pub mod records;
pub mod report;
pub mod score;
pub mod scores;
mod slice_method;
pub mod study;
pub mod summary;
pub mod timings;

use sam3d_metrics::Tolerance;
use serde::{Deserialize, Serialize};

pub use auto_method::AutoMethod;
pub use automatic_method::AutomaticMethod;
pub use automatic_windows::WindowConfig;
pub use case::EvaluationCase;
pub use clicks::{Position, PromptSet};
pub use correction_summary::{CorrectionSummary, summarise_corrections};
pub use corrections::{CorrectionConfig, CorrectionRun, CorrectionStep, FirstPrompt};
pub use error::EvalError;
pub use method::{ClickMethod, Method, Prediction, Prompting};
pub use pipeline::{CaseResult, KeepMask, Pipeline};
pub use score::{CaseEvaluation, ClickScore, THRESHOLD};
pub use slice_method::SliceMethod;
pub use summary::{Interval, MetricSummary, PointsSummary, summarise};
pub use timings::{CaseTimings, PromptTiming, Timings};

/// What is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Numbers of clicks; each is evaluated by itself.
    pub points: Vec<usize>,
    /// Sets of clicks drawn for each case and number of clicks.
    pub click_sets: usize,
    /// Where in the target the clicks are drawn.
    pub position: Position,
    /// Tolerances of the normalized surface dice, in mm.
    pub tolerances: Vec<Tolerance>,
    /// Seed of the clicks. With the case's name and the number of clicks it decides every draw.
    pub seed: u64,
    /// Whether the ball baseline is computed for every set of clicks.
    pub ball: bool,
    /// Corrections of each prediction; `None` for the published protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrections: Option<CorrectionConfig>,
}

impl EvalConfig {
    /// The name of a row with this number of points: `1 click`, `3 clicks`, `no clicks`; of a corrective evaluation
    /// `first prompt`, `1 correction`, `2 corrections`.
    pub fn name_of(&self, points: usize) -> String {
        let (none, one, many) = match self.corrections {
            None => ("no clicks", "1 click", "clicks"),
            Some(CorrectionConfig { first: FirstPrompt::None, .. }) => {
                ("no prompt", "1 correction", "corrections")
            }
            Some(_) => ("first prompt", "1 correction", "corrections"),
        };
        match points {
            0 => none.to_owned(),
            1 => one.to_owned(),
            points => format!("{points} {many}"),
        }
    }
}

impl Default for EvalConfig {
    /// The published protocol: 1, 3 and 10 clicks anywhere in the target, tolerance 5 mm.
    fn default() -> Self {
        Self {
            points: vec![1, 3, 10],
            click_sets: 1,
            position: Position::Uniform,
            tolerances: vec![Tolerance::PUBLISHED],
            seed: 0,
            ball: false,
            corrections: None,
        }
    }
}

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
