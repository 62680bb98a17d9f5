//! Scores of a prediction in the file's own grid.

use std::borrow::Cow;

use ndarray::Array3;
use sam3d_geom::{BoundingBox, Orientation};
use sam3d_io::{IoError, orient::AxisMap, prepare::Frame};
use sam3d_metrics::{AxialDiameters, Comparison, Percentile, imed3d_nsd};
use serde::{Deserialize, Serialize};

use crate::{
    EvalConfig, EvalError, EvaluationCase, Prediction, PromptSet, ball::BallDice, corrections::CorrectionRun,
};

/// Probability above which a voxel belongs to the mask.
pub const THRESHOLD: f32 = 0.5;

/// One prediction and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickScore {
    /// The case.
    pub case: String,
    /// Number of clicks (of each slice, for a method that clicks slice by slice); 0 for a method without clicks. Of a
    /// corrective evaluation the number of corrective clicks; 0 after the first prompt.
    pub points: usize,
    /// Number of this set of clicks, from 0.
    pub click_set: usize,
    /// The clicks, voxels `[i, j, k]` of the file as stored.
    pub clicks_ijk: Vec<[usize; 3]>,
    /// Dice.
    pub dice: f64,
    /// Normalized surface dice at each tolerance.
    pub nsd: Vec<f64>,
    /// Hausdorff distance at the 95th percentile in mm; `None` if nothing was predicted.
    pub hausdorff_95_mm: Option<f64>,
    /// Average symmetric surface distance in mm; `None` if nothing was predicted.
    pub average_distance_mm: Option<f64>,
    /// Volume of the truth in ml.
    pub truth_ml: f64,
    /// Volume of the prediction in ml.
    pub prediction_ml: f64,
    /// Longest diameter of the truth in an axial slice, in mm; `None` in records of older versions.
    #[serde(default)]
    pub truth_diameter_mm: Option<f64>,
    /// Longest diameter of the prediction in an axial slice, in mm; `None` if nothing was predicted.
    #[serde(default)]
    pub prediction_diameter_mm: Option<f64>,
}

impl ClickScore {
    /// Volume of the prediction minus that of the truth, in ml.
    pub fn volume_error_ml(&self) -> f64 {
        self.prediction_ml - self.truth_ml
    }

    /// Longest axial diameter of the prediction minus that of the truth, in mm; `None` if one is unknown.
    pub fn diameter_error_mm(&self) -> Option<f64> {
        Some(self.prediction_diameter_mm? - self.truth_diameter_mm?)
    }
}

/// The scores of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseEvaluation {
    /// The case.
    pub case: String,
    /// One score for each number of clicks and set of clicks.
    pub scores: Vec<ClickScore>,
    /// The ball baseline for each score; empty if not requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balls: Vec<BallDice>,
    /// The corrective clicks for each set of first clicks; empty for the published protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<CorrectionRun>,
}

/// A prediction with its score.
pub(crate) struct ScoredPrediction {
    pub(crate) score: ClickScore,
    pub(crate) ball: Option<BallDice>,
}

/// The clicks of a prediction.
pub(crate) struct Prompted {
    pub(crate) points: usize,
    pub(crate) click_set: usize,
    /// Voxels of the file as stored.
    pub(crate) clicks_ijk: Vec<[usize; 3]>,
    /// Where balls are compared with the truth, in voxels `[D, H, W]` of the file's grid; `None` if they are not.
    pub(crate) ball_centre: Option<[f64; 3]>,
}

impl Prompted {
    /// Of a set of clicks on the resampled grid of `case`.
    pub(crate) fn of(case: &EvaluationCase, prompts: &PromptSet, config: &EvalConfig) -> Self {
        let frame = case.frame();
        let bounds = BoundingBox::around(prompts.clicks.iter().map(|click| click.index));
        let ball_around = bounds.filter(|_| config.ball);
        Self {
            points: prompts.points,
            click_set: prompts.click_set,
            clicks_ijk: prompts.clicks.iter().map(|click| native_ijk(frame, click.index)).collect(),
            ball_centre: ball_around.map(|bounds| frame.native_from_resampled(bounds.midpoint())),
        }
    }
}

/// Scores `prediction` by the protocol: the probability resized to the native shape, the threshold, and metrics against the
/// native label. Nothing predicted scores 0. With it comes the mask (0 or 1) in the file's own grid, `[k, j, i]`.
pub(crate) fn score(
    case: &EvaluationCase,
    prompted: Prompted,
    prediction: &Prediction,
    config: &EvalConfig,
) -> Result<(ScoredPrediction, Array3<u8>), EvalError> {
    let frame = case.frame();
    let mask = &*native_mask(frame, prediction)?;
    let Comparison { overlap, distances } =
        Comparison::between(case.truth.view(), mask.view(), case.native_spacing)?;
    let ml = |voxels: u64| voxels as f64 * case.native_spacing.voxel_volume_mm3() / 1000.0;
    let finite = |mm: f64| mm.is_finite().then_some(mm);
    // Both masks empty is a perfect score by the protocol's rule, one a score of 0 by the metric's own.
    let dice = overlap.dice().unwrap_or(1.0);
    let is_gated = config.corrections.is_some_and(|corrections| corrections.gated_nsd);
    let nsd = |tolerance| {
        let nsd = distances.nsd(tolerance).unwrap_or(1.0);
        if is_gated { imed3d_nsd(nsd, dice) } else { nsd }
    };
    let score = ClickScore {
        case: case.id().to_owned(),
        points: prompted.points,
        click_set: prompted.click_set,
        clicks_ijk: prompted.clicks_ijk,
        dice,
        nsd: config.tolerances.iter().copied().map(nsd).collect(),
        hausdorff_95_mm: distances.hausdorff_mm(Percentile::P95).and_then(finite),
        average_distance_mm: distances.average_symmetric_mm().and_then(finite),
        truth_ml: ml(overlap.truth_voxels),
        prediction_ml: ml(overlap.prediction_voxels),
        truth_diameter_mm: axial_diameter_mm(frame, &case.truth)?,
        prediction_diameter_mm: axial_diameter_mm(frame, mask)?,
    };
    let around = |centre| BallDice::around(centre, case.truth.view(), case.native_spacing);
    let ball = prompted.ball_centre.map(around);
    let mask = frame.axis_map().to_stored(mask.view())?;
    Ok((ScoredPrediction { score, ball }, mask))
}

/// The longest diameter of a mask, `[D, H, W]` of the file's grid, in the slices nearest to axial, whatever D is; `None` if it
/// is empty.
fn axial_diameter_mm(frame: &Frame, mask: &Array3<u8>) -> Result<Option<f64>, EvalError> {
    let grid = frame.grid();
    let axial = AxisMap::new(grid, Orientation::Lps);
    let stored = frame.axis_map().to_stored(mask.view())?;
    let world_from_dhw = axial.world_from_dhw(grid).map_err(IoError::from)?;
    let diameters = AxialDiameters::of(axial.view(stored.view())?, &world_from_dhw);
    Ok(diameters.map(|diameters| diameters.longest.length_mm))
}

/// The mask (0 or 1) of a prediction in the file's own grid, `[D, H, W]`.
fn native_mask<'a>(frame: &Frame, prediction: &'a Prediction) -> Result<Cow<'a, Array3<u8>>, EvalError> {
    let above = |probability: &f32| u8::from(*probability > THRESHOLD);
    let extent = frame.native_extent().sizes();
    match prediction {
        Prediction::Part(answer) => {
            let mut mask = Array3::zeros(extent);
            if let Some(part) = answer.native(frame)? {
                part.of(&mut mask).zip_mut_with(&part.values, |mask, probability| *mask = above(probability));
            }
            Ok(Cow::Owned(mask))
        }
        Prediction::Resampled(probability) => {
            let native = frame.to_native(probability.view())?;
            Ok(Cow::Owned(frame.axis_map().to_dhw(native.view())?.map(above)))
        }
        Prediction::Native(probability) => {
            if probability.shape() != extent {
                return Err(EvalError::Internal("a prediction of another shape than its case"));
            }
            Ok(Cow::Owned(probability.map(above)))
        }
        Prediction::Mask(mask) => Ok(Cow::Borrowed(mask)),
    }
}

/// The file's voxel `[i, j, k]` in which the centre of the resampled voxel `index` lies.
pub(crate) fn native_ijk(frame: &Frame, index: [usize; 3]) -> [usize; 3] {
    let centre = frame.native_from_resampled(index.map(|i| i as i64));
    let sizes = frame.native_extent().sizes();
    let dhw = std::array::from_fn(|a| (centre[a].round().max(0.0) as usize).min(sizes[a] - 1));
    frame.axis_map().ijk_from_dhw(dhw)
}
