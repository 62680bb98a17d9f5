//! Scores of a case over corrective clicks: the area under their curve, and how many clicks a Dice takes.
//!
//! Everywhere `scores[k]` is the score after `k` corrective clicks, and `scores[0]` that of the first prompt alone. A case
//! without an error left keeps its score.

use serde::{Deserialize, Serialize};

/// The Dice that clicks are counted to.
pub const DICE_TARGETS: [f64; 3] = [0.80, 0.85, 0.90];

/// Area under a score's curve over corrective clicks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickAuc {
    /// Trapezoids of width 1 over clicks 1 to N: at most N - 1 for a score of at most 1.
    pub area: f64,
    /// The area over N - 1: a mean score over the clicks.
    pub mean: f64,
}

impl ClickAuc {
    /// Of the scores after clicks 1 to N, with that of the first prompt before them; `None` for fewer than two clicks.
    pub fn of(scores: &[f64]) -> Option<Self> {
        let after_clicks = scores.get(1..)?;
        let steps = after_clicks.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let area = after_clicks.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).sum();
        Some(Self { area, mean: area / steps as f64 })
    }
}

/// How many corrective clicks a case takes to a score of at least `target`: 0 if the first prompt suffices, `None` if no
/// click does.
pub fn clicks_to_reach(scores: &[f64], target: f64) -> Option<usize> {
    scores.iter().position(|score| *score >= target)
}

/// How many clicks cases take to a target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClicksToReach {
    /// Mean over cases; one that never reaches the target counts as one click more than it was given.
    pub mean: f64,
    /// Cases that never reach the target.
    pub failures: usize,
    /// Cases in all.
    pub cases: usize,
}

impl ClicksToReach {
    /// Over the scores of several cases (see [`clicks_to_reach`]); `None` without cases.
    pub fn over_cases(scores: &[Vec<f64>], target: f64) -> Option<Self> {
        let clicks = scores.iter().map(|scores| (clicks_to_reach(scores, target), scores.len()));
        let counted: usize =
            clicks.clone().map(|(reached, given_and_one)| reached.unwrap_or(given_and_one)).sum();
        let failures = clicks.filter(|(reached, _)| reached.is_none()).count();
        let cases = scores.len();
        (cases > 0).then(|| Self { mean: counted as f64 / cases as f64, failures, cases })
    }
}

/// The normalized surface dice of the CVPR 2025 challenge on interactive 3D segmentation: 0 where `dice` is at most 0.2.
pub fn imed3d_nsd(nsd: f64, dice: f64) -> f64 {
    if dice > 0.2 { nsd } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_clicks_by_hand() {
        assert_eq!(ClickAuc::of(&[0.9, 0.0, 0.5, 1.0]), Some(ClickAuc { area: 1.0, mean: 0.5 }));
        assert_eq!((ClickAuc::of(&[]), ClickAuc::of(&[1.0]), ClickAuc::of(&[1.0, 1.0])), (None, None, None));
        assert_eq!(clicks_to_reach(&[0.8, 0.9], 0.8), Some(0));
        let cases = [vec![0.1, 0.5, 0.8], vec![0.1, 0.2, 0.3], vec![0.9, 0.9, 0.9]];
        let found = ClicksToReach::over_cases(&cases, 0.8).unwrap();
        // Clicks 2, 3 (two were given, none sufficed) and 0.
        assert_eq!(found, ClicksToReach { mean: 5.0 / 3.0, failures: 1, cases: 3 });
        assert_eq!(ClicksToReach::over_cases(&[], 0.8), None);
    }

    #[test]
    fn a_gate_is_closed_at_its_limit() {
        assert_eq!((imed3d_nsd(0.7, 0.2), imed3d_nsd(0.7, 0.21)), (0.0, 0.7));
    }
}
