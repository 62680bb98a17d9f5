//! The published evaluation protocol's score of one case.
//!
//! The metrics themselves are undefined for two empty masks. The protocol scores two empty masks as perfect and one empty
//! mask as the worst.

use ndarray::ArrayView3;
use sam3d_geom::Spacing;
use serde::{Deserialize, Serialize};

use crate::{Comparison, MetricsError, Tolerance};

/// Score of one case by the protocol; every number is between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseScore {
    /// Dice.
    pub dice: f64,
    /// Normalized surface dice at each tolerance asked for, in that order.
    pub nsd: Vec<f64>,
}

/// Scores a prediction against the truth, both `[D, H, W]` on the native grid of `spacing`: Dice, and normalized surface
/// dice at each of `tolerances`. If both masks are empty all scores are 1; if one is, 0.
///
/// # Errors
/// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape.
pub fn score(
    truth: ArrayView3<u8>,
    prediction: ArrayView3<u8>,
    spacing: Spacing,
    tolerances: &[Tolerance],
) -> Result<CaseScore, MetricsError> {
    let Comparison { overlap, distances } = Comparison::between(truth, prediction, spacing)?;
    let dice = overlap.dice().unwrap_or(1.0);
    let nsd = tolerances.iter().map(|tolerance| distances.nsd(*tolerance).unwrap_or(1.0)).collect();
    Ok(CaseScore { dice, nsd })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn empty_masks_score_one_together_and_zero_alone() {
        let (empty, full) = (Array3::zeros([3, 3, 3]), Array3::ones([3, 3, 3]));
        let score = |truth: &Array3<u8>, prediction: &Array3<u8>| {
            let spacing = Spacing::new([1.0; 3]).unwrap();
            score(truth.view(), prediction.view(), spacing, &[Tolerance::PUBLISHED]).unwrap()
        };
        assert_eq!(score(&empty, &empty), CaseScore { dice: 1.0, nsd: vec![1.0] });
        assert_eq!(score(&full, &empty), CaseScore { dice: 0.0, nsd: vec![0.0] });
        assert_eq!(score(&empty, &full), CaseScore { dice: 0.0, nsd: vec![0.0] });
        assert_eq!(score(&full, &full), CaseScore { dice: 1.0, nsd: vec![1.0] });
    }
}
