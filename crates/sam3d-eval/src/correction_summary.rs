//! From the scores after each prompt to what is said of corrections.

use rand::RngExt;
use sam3d_data::sampling::rng_for;
use sam3d_metrics::{
    ClickAuc, ClicksToReach, DICE_TARGETS, Summary, clicks_to_reach,
    statistics::{bootstrap_mean, bootstrap_ratio},
};
use serde::{Deserialize, Serialize};

use crate::{
    CaseEvaluation, ClickScore, EvalConfig, Interval,
    corrections::CorrectionStep,
    summary::{LEVEL, RESAMPLES},
};

/// A mean over cases. A case's value is its mean over sets of first clicks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Mean and standard deviation over cases.
    pub cases: Summary,
    /// 95 % interval of the mean, by resampling cases.
    pub interval: Interval,
}

/// The area under a score's curve over corrective clicks 1 to N.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaSummary {
    /// By the trapezoidal rule with steps of one click: at most N - 1.
    pub area: Estimate,
    /// The area over N - 1: a mean score over the clicks.
    pub mean: Estimate,
}

/// How many corrective clicks it takes to a Dice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClicksToDice {
    /// The Dice.
    pub dice: f64,
    /// Over runs (a case and a set of first clicks); one that never reaches the Dice is a failure and counts as one click
    /// more than it was given.
    pub clicks: ClicksToReach,
    /// 95 % interval of the mean, by resampling cases.
    pub interval: Interval,
}

/// What corrections did, over cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionSummary {
    /// Area under the curve of Dice; `None` for fewer than two clicks.
    pub dice_area: Option<AreaSummary>,
    /// The same of NSD, at each tolerance; empty for fewer than two clicks.
    pub nsd_area: Vec<AreaSummary>,
    /// Corrective clicks to each Dice.
    pub clicks_to_dice: Vec<ClicksToDice>,
    /// What became of the corrective clicks.
    pub clicks: ClickCounts,
    /// Share of the clicks given that the new mask obeys: it has the voxel as the click says. `None` without a click, and for
    /// scores of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obeyed: Option<Share>,
    /// Share of the clicks given after which Dice was lower than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dice_fell: Option<Share>,
}

/// A share of the corrective clicks of all cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// From 0 to 1.
    pub share: f64,
    /// 95 % interval, by resampling cases.
    pub interval: Interval,
}

/// What became of corrective clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickCounts {
    /// Corrective clicks that were given.
    pub given: usize,
    /// Of these, clicks that the new mask obeys: it has the voxel as the click says.
    pub obeyed: usize,
    /// Of the clicks given, those that the network alone would have contradicted, so that the session made them hold.
    #[serde(default)]
    pub held: usize,
    /// Of the clicks given, those after which Dice was lower than before.
    pub dice_fell: usize,
    /// Clicks that were not given because no error was left.
    pub without_error: usize,
    /// Clicks that were not given because only too much was left and the weights take no clicks outside the target.
    pub only_excess: usize,
}

impl ClickCounts {
    /// Of one case.
    pub fn of(case: &CaseEvaluation) -> Self {
        let mut counts = Self::default();
        for run in &case.corrections {
            let dice = curve(case, run.click_set, &|score| score.dice);
            for (step, dice) in run.steps.iter().zip(dice.windows(2)) {
                match step {
                    CorrectionStep::Click { is_obeyed, is_held, .. } => {
                        counts.given += 1;
                        counts.held += usize::from(*is_held);
                        counts.obeyed += usize::from(*is_obeyed);
                        counts.dice_fell += usize::from(dice[1] < dice[0]);
                    }
                    CorrectionStep::NoError => counts.without_error += 1,
                    CorrectionStep::OnlyExcess => counts.only_excess += 1,
                }
            }
        }
        counts
    }

    /// The sum of both.
    #[must_use]
    fn plus(self, other: Self) -> Self {
        Self {
            given: self.given + other.given,
            obeyed: self.obeyed + other.obeyed,
            held: self.held + other.held,
            dice_fell: self.dice_fell + other.dice_fell,
            without_error: self.without_error + other.without_error,
            only_excess: self.only_excess + other.only_excess,
        }
    }
}

/// A case's score after the first prompt and after each corrective click of one set of first clicks.
pub fn curve(case: &CaseEvaluation, click_set: usize, value: &dyn Fn(&ClickScore) -> f64) -> Vec<f64> {
    // Scores are in the order of the prompts.
    case.scores.iter().filter(|score| score.click_set == click_set).map(value).collect()
}

/// Every curve of a case, one for each set of first clicks.
pub fn curves(case: &CaseEvaluation, value: &dyn Fn(&ClickScore) -> f64) -> Vec<Vec<f64>> {
    case.corrections.iter().map(|run| curve(case, run.click_set, value)).collect()
}

/// A case's area under the curve of `value`, mean over sets of first clicks; `None` for fewer than two clicks.
pub fn case_area(case: &CaseEvaluation, value: &dyn Fn(&ClickScore) -> f64) -> Option<ClickAuc> {
    let areas: Vec<ClickAuc> =
        curves(case, value).iter().map(|curve| ClickAuc::of(curve)).collect::<Option<_>>()?;
    let mean = |part: fn(&ClickAuc) -> f64| areas.iter().map(part).sum::<f64>() / areas.len() as f64;
    (!areas.is_empty()).then(|| ClickAuc { area: mean(|auc| auc.area), mean: mean(|auc| auc.mean) })
}

/// The summary of `cases`; `None` if none was corrected. Intervals depend on the configuration's seed.
pub fn summarise_corrections(config: &EvalConfig, cases: &[CaseEvaluation]) -> Option<CorrectionSummary> {
    let interval = |name: &str, values: &[f64]| {
        let mut rng = rng_for(config.seed, 0, &format!("bootstrap/corrections/{name}"));
        let [low, high] = bootstrap_mean(values, RESAMPLES, LEVEL, |n| rng.random_range(0..n))?;
        Some(Interval { low, high })
    };
    let estimate = |name: &str, values: &[f64]| {
        Some(Estimate { cases: Summary::of(values)?, interval: interval(name, values)? })
    };
    let area = |name: &str, value: &dyn Fn(&ClickScore) -> f64| {
        let areas: Vec<ClickAuc> = cases.iter().filter_map(|case| case_area(case, value)).collect();
        let of = |part: fn(&ClickAuc) -> f64| areas.iter().map(part).collect::<Vec<f64>>();
        // The same draw of cases for both: one is the other over N - 1.
        Some(AreaSummary {
            area: estimate(name, &of(|auc| auc.area))?,
            mean: estimate(name, &of(|auc| auc.mean))?,
        })
    };
    let runs: Vec<Vec<f64>> = cases.iter().flat_map(|case| curves(case, &|score| score.dice)).collect();
    let clicks_to = |dice: &f64| {
        let of_case = |case: &CaseEvaluation| {
            let runs = curves(case, &|score| score.dice);
            let clicks = runs.iter().map(|run| clicks_to_reach(run, *dice).unwrap_or(run.len()) as f64);
            Summary::of(&clicks.collect::<Vec<f64>>()).map(|clicks| clicks.mean)
        };
        let means: Vec<f64> = cases.iter().filter_map(of_case).collect();
        Some(ClicksToDice {
            dice: *dice,
            clicks: ClicksToReach::over_cases(&runs, *dice)?,
            interval: interval(&format!("clicks/{dice}"), &means)?,
        })
    };
    let counts: Vec<ClickCounts> = cases.iter().map(ClickCounts::of).collect();
    let share = |name: &str, part: fn(&ClickCounts) -> usize| {
        let pairs: Vec<[f64; 2]> =
            counts.iter().map(|counts| [part(counts) as f64, counts.given as f64]).collect();
        let mut rng = rng_for(config.seed, 0, &format!("bootstrap/corrections/{name}"));
        let [low, high] = bootstrap_ratio(&pairs, RESAMPLES, LEVEL, |n| rng.random_range(0..n))?;
        let [above, given] = [0, 1].map(|at| pairs.iter().map(|pair| pair[at]).sum::<f64>());
        Some(Share { share: above / given, interval: Interval { low, high } })
    };
    (!runs.is_empty()).then(|| CorrectionSummary {
        dice_area: area("dice", &|score| score.dice),
        nsd_area: (0..config.tolerances.len())
            .filter_map(|tolerance| area(&format!("nsd{tolerance}"), &|score| score.nsd[tolerance]))
            .collect(),
        clicks_to_dice: DICE_TARGETS.iter().filter_map(clicks_to).collect(),
        clicks: counts.iter().copied().fold(ClickCounts::default(), ClickCounts::plus),
        obeyed: share("obeyed", |counts| counts.obeyed),
        dice_fell: share("dice_fell", |counts| counts.dice_fell),
    })
}

#[cfg(test)]
mod tests {
    use sam3d_metrics::imed3d_nsd;
    use sam3d_testkit::golden_json;

    use super::*;
    use crate::corrections::{CorrectionConfig, CorrectionRun, FirstPrompt};

    fn case(name: &str, dice: &[f64], nsd: &[f64], steps: Vec<CorrectionStep>) -> CaseEvaluation {
        let score = |(points, (dice, nsd)): (usize, (&f64, &f64))| ClickScore {
            case: name.to_owned(),
            points,
            click_set: 0,
            clicks_ijk: Vec::new(),
            dice: *dice,
            nsd: vec![*nsd],
            hausdorff_95_mm: None,
            average_distance_mm: None,
            truth_ml: 1.0,
            prediction_ml: 1.0,
            truth_diameter_mm: None,
            prediction_diameter_mm: None,
        };
        CaseEvaluation {
            case: name.to_owned(),
            scores: dice.iter().zip(nsd).enumerate().map(score).collect(),
            balls: Vec::new(),
            corrections: vec![CorrectionRun { click_set: 0, steps }],
        }
    }

    fn config() -> EvalConfig {
        let corrections = Some(CorrectionConfig::imed3d(FirstPrompt::None));
        EvalConfig { points: vec![1], corrections, ..EvalConfig::default() }
    }

    fn click(is_obeyed: bool) -> CorrectionStep {
        CorrectionStep::Click {
            voxel_ijk: [0; 3],
            label: sam3d_geom::PointLabel::Positive,
            component_voxels: 1,
            depth_mm: 1.0,
            is_obeyed,
            is_held: !is_obeyed,
        }
    }

    #[test]
    fn areas_and_clicks_of_the_golden_runs() {
        let golden = golden_json("corrections.json");
        let runs = golden["runs"].as_array().unwrap();
        let numbers = |run: &serde_json::Value, key: &str| -> Vec<f64> {
            serde_json::from_value(run[key].clone()).unwrap()
        };
        let cases: Vec<CaseEvaluation> = runs
            .iter()
            .enumerate()
            .map(|(number, run)| {
                let (dice, nsd) = (numbers(run, "dice"), numbers(run, "nsd_2mm"));
                let nsd: Vec<f64> =
                    nsd.iter().zip(&dice).map(|(nsd, dice)| imed3d_nsd(*nsd, *dice)).collect();
                case(&format!("run{number}"), &dice, &nsd, vec![click(true); 5])
            })
            .collect();
        let summary = summarise_corrections(&config(), &cases).unwrap();
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found}, {wanted}");
        let mean =
            |key: &str| runs.iter().map(|run| run[key].as_f64().unwrap()).sum::<f64>() / runs.len() as f64;
        let dice = summary.dice_area.unwrap();
        close(dice.area.cases.mean, mean("dice_auc"));
        close(dice.mean.cases.mean, mean("dice_auc_over_4"));
        close(summary.nsd_area[0].area.cases.mean, mean("nsd_auc_dice_gated"));
        assert!(
            dice.area.interval.low < dice.area.cases.mean && dice.area.cases.mean < dice.area.interval.high
        );
        for (run, case) in runs.iter().zip(&cases) {
            let area = case_area(case, &|score| score.dice).unwrap();
            close(area.area, run["dice_auc"].as_f64().unwrap());
        }
        for clicks in &summary.clicks_to_dice {
            let key = clicks.dice.to_string();
            let of_runs: Vec<Option<u64>> = runs.iter().map(|run| run["clicks_to"][&key].as_u64()).collect();
            let failures = of_runs.iter().filter(|clicks| clicks.is_none()).count();
            assert_eq!((clicks.clicks.failures, clicks.clicks.cases), (failures, 6), "{key}");
            // A run without success counts as a sixth click.
            let sum: u64 = of_runs.iter().map(|clicks| clicks.unwrap_or(6)).sum();
            close(clicks.clicks.mean, sum as f64 / 6.0);
        }
        assert_eq!(summary.clicks_to_dice[0].clicks.failures, 5, "one run reaches 0.80");
    }

    #[test]
    fn clicks_are_counted_by_what_became_of_them() {
        let worse = case(
            "a",
            &[0.5, 0.4, 0.9, 0.9],
            &[0.0; 4],
            vec![click(false), click(true), CorrectionStep::OnlyExcess],
        );
        let done = case(
            "b",
            &[0.5, 1.0, 1.0, 1.0],
            &[0.0; 4],
            vec![click(true), CorrectionStep::NoError, CorrectionStep::NoError],
        );
        let summary = summarise_corrections(&config(), &[worse, done]).unwrap();
        assert_eq!(
            summary.clicks,
            ClickCounts { given: 3, obeyed: 2, held: 1, dice_fell: 1, without_error: 2, only_excess: 1 }
        );
        let Share { share, interval } = summary.obeyed.unwrap();
        // Resamples are both cases, the first one twice (a half), or the second one twice (all of its one click).
        assert_eq!((share, interval), (2.0 / 3.0, Interval { low: 0.5, high: 1.0 }));
        let Share { share, interval } = summary.dice_fell.unwrap();
        assert_eq!((share, interval), (1.0 / 3.0, Interval { low: 0.0, high: 0.5 }));
        let idle = case("c", &[1.0, 1.0], &[0.0; 2], vec![CorrectionStep::NoError]);
        assert_eq!(summarise_corrections(&config(), &[idle]).unwrap().obeyed, None);
        assert_eq!(summarise_corrections(&config(), &[]), None);
        let once = case("a", &[0.5, 0.6], &[0.0; 2], vec![click(true)]);
        let summary = summarise_corrections(&config(), &[once]).unwrap();
        assert_eq!((summary.dice_area, summary.nsd_area.len()), (None, 0));
    }
}
