//! The result of an evaluation, as it is written and read again.

use std::path::{Path, PathBuf};

use sam3d_metrics::{ClickAuc, DICE_TARGETS, Summary, clicks_to_reach};
use sam3d_model::Provenance;
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::{
    CaseEvaluation, ClickScore, CorrectionSummary, PointsSummary,
    correction_summary::{ClickCounts, case_area, curves},
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
    /// Over cases, of all corrective clicks together; `None` for the published protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrections: Option<CorrectionSummary>,
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
        let points = if self.identity.config.corrections.is_some() { "corrections" } else { "points" };
        let mut text = format!("case,{points},click_set,dice");
        for tolerance in &self.identity.config.tolerances {
            text.push_str(&format!(",nsd_{}mm", tolerance.mm()));
        }
        text.push_str(",hausdorff_95_mm,average_distance_mm,truth_ml,prediction_ml,volume_error_ml");
        text.push_str(",truth_diameter_mm,prediction_diameter_mm,diameter_error_mm\n");
        for score in self.cases.iter().flat_map(|case| &case.scores) {
            // A case's name holds no comma and no quote.
            text.push_str(&format!("{},{},{},{}", score.case, score.points, score.click_set, score.dice));
            let distances = [score.hausdorff_95_mm, score.average_distance_mm];
            let defined = score.nsd.iter().map(|nsd| Some(*nsd)).chain(distances);
            let volumes = [score.truth_ml, score.prediction_ml, score.volume_error_ml()].map(Some);
            let diameters =
                [score.truth_diameter_mm, score.prediction_diameter_mm, score.diameter_error_mm()];
            for value in defined.chain(volumes).chain(diameters) {
                text.push(',');
                text.extend(value.map(|value| value.to_string()));
            }
            text.push('\n');
        }
        text
    }

    /// Name of the file with [`corrections_csv`](Self::corrections_csv) in an evaluation's directory.
    pub const CORRECTIONS_FILE: &'static str = "corrections.csv";

    /// What corrective clicks did, as CSV: a line for each case, with means over sets of first clicks. An area over fewer than
    /// two clicks and a Dice that was never reached are empty. `None` for the published protocol.
    pub fn corrections_csv(&self) -> Option<String> {
        self.corrections.as_ref()?;
        let config = &self.identity.config;
        let mut text = "case,dice_auc,dice_auc_mean".to_owned();
        for tolerance in &config.tolerances {
            text.push_str(&format!(",nsd_{0}mm_auc,nsd_{0}mm_auc_mean", tolerance.mm()));
        }
        for dice in DICE_TARGETS {
            text.push_str(&format!(",clicks_to_{dice}"));
        }
        text.push_str(",given,obeyed,held,dice_fell,without_error,only_excess\n");
        for case in &self.cases {
            let mut cells: Vec<String> = vec![case.case.clone()];
            let mut area = |value: &dyn Fn(&ClickScore) -> f64| {
                let auc = case_area(case, value);
                let cell = |part: fn(&ClickAuc) -> f64| {
                    auc.as_ref().map_or_else(String::new, |auc| part(auc).to_string())
                };
                cells.extend([cell(|auc| auc.area), cell(|auc| auc.mean)]);
            };
            area(&|score| score.dice);
            (0..config.tolerances.len()).for_each(|tolerance| area(&|score| score.nsd[tolerance]));
            for dice in DICE_TARGETS {
                // Of several sets of first clicks the mean of those that reach it.
                let runs = curves(case, &|score| score.dice);
                let reached: Vec<f64> = runs
                    .iter()
                    .filter_map(|run| clicks_to_reach(run, dice))
                    .map(|clicks| clicks as f64)
                    .collect();
                cells.push(Summary::of(&reached).map_or_else(String::new, |clicks| clicks.mean.to_string()));
            }
            let ClickCounts { given, obeyed, held, dice_fell, without_error, only_excess } =
                ClickCounts::of(case);
            cells.extend(
                [given, obeyed, held, dice_fell, without_error, only_excess].map(|count| count.to_string()),
            );
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        Some(text)
    }
}
