//! The published evaluation protocol, click by click and case by case.

use ndarray::{Array3, ArrayView3};
use sam3d_geom::{BoundingBox, Point, Preprocessing, Spacing};
use sam3d_io::{
    IoError, Volume,
    prepare::{native_label, prepare_image, prepare_label},
    sampling::{clicks, rng_for},
};
use sam3d_metrics::{Summary, Tolerance, protocol};
use sam3d_model::Sam3d;
use serde::{Deserialize, Serialize};

use crate::{
    TrainError,
    ball::{BallDice, BestBall},
    predict::{native_from_resampled, place, probability},
};

/// Probability above which a voxel belongs to the mask.
pub const THRESHOLD: f32 = 0.5;

/// What is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalConfig {
    /// Numbers of clicks; each is evaluated by itself.
    pub points: Vec<usize>,
    /// Sets of clicks drawn for each case and number of clicks.
    pub click_sets: usize,
    /// Tolerances of the normalized surface dice, in mm.
    pub tolerances: Vec<Tolerance>,
    /// Seed of the clicks. With the case's name and the number of clicks it decides every draw.
    pub seed: u64,
}

impl Default for EvalConfig {
    /// The published protocol: 1, 3 and 10 clicks, tolerance 5 mm.
    fn default() -> Self {
        Self { points: vec![1, 3, 10], click_sets: 1, tolerances: vec![Tolerance::PUBLISHED], seed: 0 }
    }
}

/// One prediction and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClickScore {
    /// The case.
    pub case: String,
    /// Number of clicks.
    pub points: usize,
    /// Number of this set of clicks, from 0.
    pub click_set: usize,
    /// The clicks, voxels `[i, j, k]` of the file as stored.
    pub clicks_ijk: Vec<[usize; 3]>,
    /// Dice.
    pub dice: f64,
    /// Normalized surface dice at each tolerance.
    pub nsd: Vec<f64>,
    /// Volume of the truth in ml.
    pub truth_ml: f64,
    /// Volume of the prediction in ml.
    pub prediction_ml: f64,
}

/// The scores of one case, with the ball baseline for each of them.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseEvaluation {
    /// One score for each number of clicks and set of clicks.
    pub scores: Vec<ClickScore>,
    balls: Vec<BallDice>,
}

/// Takes a score and its mask in the file's own grid, `[k, j, i]`.
pub type Keep<'a> = dyn FnMut(&ClickScore, ArrayView3<'_, u8>) -> Result<(), IoError> + 'a;

/// A network with what it takes to use it on a case.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'a> {
    /// The network.
    pub network: &'a Sam3d,
    /// How a volume becomes its input.
    pub preprocessing: &'a Preprocessing,
    /// The label's class that is the target.
    pub target_class: u32,
    /// What is evaluated.
    pub config: &'a EvalConfig,
}

impl Evaluator<'_> {
    /// Evaluates one case: for each number of clicks and each set, clicks drawn from the resampled label's target, one
    /// crop, the probability resized to the native shape, and scores against the native label.
    ///
    /// `keep` is given every score with its mask in the file's own grid, `[k, j, i]`.
    ///
    /// # Errors
    /// [`TrainError`] if the image and the label do not fit each other or there is no target to click on, and what
    /// `keep` returns.
    pub fn case(
        &self,
        case: &str,
        image: &Volume,
        label: &Volume,
        keep: &mut Keep<'_>,
    ) -> Result<CaseEvaluation, TrainError> {
        let prepared = prepare_image(image, self.preprocessing)?;
        let frame = &prepared.frame;
        let resampled = prepare_label(label, self.target_class, self.preprocessing)?;
        let to_dhw = |mask: &Array3<u8>| frame.axis_map().to_dhw(mask.view());
        let truth = to_dhw(&native_label(label, self.target_class))?;
        let spacing = frame.axis_map().spacing(frame.grid())?;

        let mut evaluation = CaseEvaluation { scores: Vec::new(), balls: Vec::new() };
        for &points in &self.config.points {
            for click_set in 0..self.config.click_sets {
                let mut rng = rng_for(self.config.seed, click_set as u64, &format!("{case}/{points}"));
                let drawn = clicks(resampled.view(), points, &mut rng);
                let Some(bounds) = BoundingBox::around(drawn.iter().copied()) else {
                    return Err(TrainError::NoTarget);
                };
                let clicked: Vec<Point> = drawn.iter().map(|index| Point::positive(*index)).collect();
                let placement = place(&clicked, frame.resampled_extent(), self.network.config().crop)?;
                let whole = probability(self.network, prepared.image.view(), &placement)?;
                let native = frame.to_native(whole.view())?;
                let stored = native.mapv(|p| u8::from(p > THRESHOLD));
                let mask = to_dhw(&stored)?;
                let score = protocol::score(truth.view(), mask.view(), spacing, &self.config.tolerances)?;
                let native_click = |index: &[usize; 3]| {
                    let centre = native_from_resampled(frame, index.map(|i| i as i64));
                    let sizes = frame.native_extent().sizes();
                    let dhw =
                        std::array::from_fn(|a| (centre[a].round().max(0.0) as usize).min(sizes[a] - 1));
                    frame.axis_map().ijk_from_dhw(dhw)
                };
                let score = ClickScore {
                    case: case.to_owned(),
                    points,
                    click_set,
                    clicks_ijk: drawn.iter().map(native_click).collect(),
                    dice: score.dice,
                    nsd: score.nsd,
                    truth_ml: volume_ml(&truth, spacing),
                    prediction_ml: volume_ml(&mask, spacing),
                };
                keep(&score, stored.view())?;
                evaluation.scores.push(score);
                let centre = native_from_resampled(frame, bounds.midpoint());
                evaluation.balls.push(BallDice::around(centre, truth.view(), spacing));
            }
        }
        Ok(evaluation)
    }
}

/// The summary for one number of clicks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointsSummary {
    /// Number of clicks.
    pub points: usize,
    /// Dice over cases, each the mean of its sets of clicks.
    pub dice: Summary,
    /// Normalized surface dice at each tolerance, likewise.
    pub nsd: Vec<Summary>,
    /// The best ball of fixed radius around the midpoint of the same clicks.
    pub ball: BestBall,
}

/// The summaries of `cases` for each number of clicks of `config`.
pub fn summarise(config: &EvalConfig, cases: &[CaseEvaluation]) -> Vec<PointsSummary> {
    let over_cases = |points: usize, value: &dyn Fn(&ClickScore) -> f64| {
        let means: Vec<f64> = cases
            .iter()
            .filter_map(|case| {
                let values: Vec<f64> =
                    case.scores.iter().filter(|score| score.points == points).map(value).collect();
                Summary::of(&values).map(|summary| summary.mean)
            })
            .collect();
        Summary::of(&means)
    };
    config
        .points
        .iter()
        .filter_map(|&points| {
            let balls: Vec<BallDice> = cases
                .iter()
                .flat_map(|case| case.scores.iter().zip(&case.balls))
                .filter(|(score, _)| score.points == points)
                .map(|(_, ball)| ball.clone())
                .collect();
            Some(PointsSummary {
                points,
                dice: over_cases(points, &|score| score.dice)?,
                nsd: (0..config.tolerances.len())
                    .map(|tolerance| over_cases(points, &|score| score.nsd[tolerance]))
                    .collect::<Option<_>>()?,
                ball: BallDice::best(&balls)?,
            })
        })
        .collect()
}

fn volume_ml(mask: &Array3<u8>, spacing: Spacing) -> f64 {
    let voxels = mask.iter().filter(|value| **value != 0).count();
    voxels as f64 * spacing.voxel_volume_mm3() / 1000.0
}
