//! The result of an evaluation, as it is written and read again.

use std::path::{Path, PathBuf};

use sam3d_model::Provenance;
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::{
    CaseEvaluation, PointsSummary,
    records::{Identity, read_json},
};

/// Everything an evaluation found. Two evaluations of one [`Identity`] are equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The program and its version.
    pub program: String,
    /// What was evaluated.
    pub identity: Identity,
    /// The weights' file, as it was named.
    pub weights: PathBuf,
    /// What the weights say of themselves.
    pub provenance: Provenance,
    /// How many parameters training changed; `None` if it is not known.
    pub tuned_parameters: Option<u64>,
    /// Over cases.
    pub summary: Vec<PointsSummary>,
    /// Cases without a score.
    pub failures: Vec<Failure>,
    /// Cases with their scores, in the order of the split.
    pub cases: Vec<CaseEvaluation>,
}

/// A case that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// Why.
    pub error: String,
}

impl Scores {
    /// Name of the file in an evaluation's directory.
    pub const FILE: &'static str = "scores.json";

    /// Reads the scores of the evaluation at `path`: its directory, or the file itself.
    ///
    /// # Errors
    /// [`EvalError::File`] if it cannot be read, [`EvalError::EvaluationFile`] if it is not an evaluation's.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        if path.is_dir() { read_json(&path.join(Self::FILE)) } else { read_json(path) }
    }

    /// The scores as CSV: a line for each prediction. A distance that is not defined is empty.
    pub fn csv(&self) -> String {
        let mut text = "case,points,click_set,dice".to_owned();
        for tolerance in &self.identity.config.tolerances {
            text.push_str(&format!(",nsd_{}mm", tolerance.mm()));
        }
        text.push_str(",hausdorff_95_mm,average_distance_mm,truth_ml,prediction_ml\n");
        for score in self.cases.iter().flat_map(|case| &case.scores) {
            // A case's name holds no comma and no quote.
            text.push_str(&format!("{},{},{},{}", score.case, score.points, score.click_set, score.dice));
            let distances = [score.hausdorff_95_mm, score.average_distance_mm];
            let defined = score.nsd.iter().map(|nsd| Some(*nsd)).chain(distances);
            for value in defined.chain([Some(score.truth_ml), Some(score.prediction_ml)]) {
                text.push(',');
                text.extend(value.map(|value| value.to_string()));
            }
            text.push('\n');
        }
        text
    }
}
