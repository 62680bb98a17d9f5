//! Summary of a method: means, spreads and intervals over cases.

use rand::RngExt;
use sam3d_data::sampling::rng_for;
use sam3d_metrics::{Summary, statistics::bootstrap_mean};
use serde::{Deserialize, Serialize};

use crate::ball::{BallDice, BestBall};
use crate::{CaseEvaluation, ClickScore, EvalConfig};

/// Number of bootstrap resamples for each interval.
pub const RESAMPLES: usize = 10_000;
/// Coverage of an interval.
pub const LEVEL: f64 = 0.95;

/// A 95 % bootstrap interval of a mean over cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One metric over cases. A case's value is the mean over its sets of clicks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSummary {
    /// Mean and standard deviation over cases.
    pub cases: Summary,
    /// Interval of the mean over cases, by resampling cases.
    pub interval: Interval,
    /// The mean over cases, once for each set of clicks: the dependence of the result on the draw of clicks.
    pub click_sets: Summary,
    /// Mean over cases of the standard deviation over a case's sets of clicks: the variation from one user's click to the next.
    pub click_std: f64,
}

/// The summary for one number of clicks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsSummary {
    /// Number of clicks; 0 for a method without.
    pub points: usize,
    /// Dice.
    pub dice: MetricSummary,
    /// Normalized surface dice at each tolerance.
    pub nsd: Vec<MetricSummary>,
    /// The best ball of fixed radius around the midpoint of the same clicks, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ball: Option<BestBall>,
}

/// The numbers of clicks that occur in `cases`, in the order of their first.
pub fn points_of(cases: &[CaseEvaluation]) -> Vec<usize> {
    let mut points = Vec::new();
    for score in cases.iter().flat_map(|case| &case.scores) {
        if !points.contains(&score.points) {
            points.push(score.points);
        }
    }
    points
}

/// For each case its mean of `value` over the sets of clicks with `points` clicks, with the case's name; cases without
/// such a score are left out.
pub fn case_means<'a>(
    cases: &'a [CaseEvaluation],
    points: usize,
    value: &dyn Fn(&ClickScore) -> f64,
) -> Vec<(&'a str, f64)> {
    let mean = |case: &'a CaseEvaluation| {
        let summary = Summary::of(&values_of(case, points, value))?;
        Some((case.case.as_str(), summary.mean))
    };
    cases.iter().filter_map(mean).collect()
}

fn values_of(case: &CaseEvaluation, points: usize, value: &dyn Fn(&ClickScore) -> f64) -> Vec<f64> {
    case.scores.iter().filter(|score| score.points == points).map(value).collect()
}

/// The summaries of `cases` for each number of clicks. Intervals depend on the configuration's seed.
pub fn summarise(config: &EvalConfig, cases: &[CaseEvaluation]) -> Vec<PointsSummary> {
    let of_points = |points: usize| {
        let metric = |name: &str, value: &dyn Fn(&ClickScore) -> f64| {
            metric_summary(cases, points, config.seed, &format!("{name}/{points}"), value)
        };
        let balls: Vec<BallDice> = cases
            .iter()
            .flat_map(|case| case.scores.iter().zip(&case.balls))
            .filter(|(score, _)| score.points == points)
            .map(|(_, ball)| ball.clone())
            .collect();
        Some(PointsSummary {
            points,
            dice: metric("dice", &|score| score.dice)?,
            nsd: (0..config.tolerances.len())
                .map(|tolerance| metric(&format!("nsd{tolerance}"), &|score| score.nsd[tolerance]))
                .collect::<Option<_>>()?,
            ball: BallDice::best(&balls),
        })
    };
    points_of(cases).into_iter().filter_map(of_points).collect()
}

fn metric_summary(
    cases: &[CaseEvaluation],
    points: usize,
    seed: u64,
    name: &str,
    value: &dyn Fn(&ClickScore) -> f64,
) -> Option<MetricSummary> {
    let means: Vec<f64> = case_means(cases, points, value).into_iter().map(|(_, mean)| mean).collect();
    let mut rng = rng_for(seed, 0, &format!("bootstrap/{name}"));
    let [low, high] = bootstrap_mean(&means, RESAMPLES, LEVEL, |n| rng.random_range(0..n))?;
    let spreads: Vec<f64> = cases
        .iter()
        .filter_map(|case| Summary::of(&values_of(case, points, value)))
        .map(|summary| summary.std)
        .collect();
    let sets = cases.iter().flat_map(|case| &case.scores).filter(|score| score.points == points);
    let count = sets.map(|score| score.click_set + 1).max().unwrap_or(0);
    let by_set: Vec<f64> = (0..count)
        .filter_map(|click_set| {
            let in_set = |score: &&ClickScore| score.points == points && score.click_set == click_set;
            let values: Vec<f64> =
                cases.iter().flat_map(|case| &case.scores).filter(in_set).map(value).collect();
            Summary::of(&values).map(|summary| summary.mean)
        })
        .collect();
    Some(MetricSummary {
        cases: Summary::of(&means)?,
        interval: Interval { low, high },
        click_sets: Summary::of(&by_set)?,
        click_std: Summary::of(&spreads)?.mean,
    })
}
