//! From the results of units to the lines of the table: cases pooled over folds, intervals, and paired tests.

use std::collections::BTreeMap;

use rand::RngExt;
use sam3d_data::sampling::rng_for;
use sam3d_metrics::{
    Summary,
    statistics::{bootstrap_mean, holm, wilcoxon_signed_rank},
};
use serde::Serialize;

use super::{
    rows::{KIDNEY, StudyRow},
    units::{StudyPlan, TrainingRecord, UnitResult, UnitScores},
};
use crate::{
    EvalError, Interval,
    summary::{LEVEL, RESAMPLES},
};

/// Everything a study found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// What was done.
    pub plan: StudyPlan,
    /// The table.
    pub lines: Vec<StudyLine>,
    /// The dataset of the published scores in the table.
    pub published_dataset: String,
    /// Every unit.
    pub units: Vec<UnitResult>,
}

/// A line of the table: a row with one kind of prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyLine {
    /// Name of the row.
    pub row: String,
    /// What the row is.
    pub title: String,
    /// The prompt: `1 click`, `none`.
    pub prompt: String,
    /// Units with scores, and all of the row.
    pub units: [usize; 2],
    /// Units that failed.
    pub failed_units: usize,
    /// Means over the trainings of the row, the peak of memory over all of them; `None` if none is finished.
    pub training: Option<TrainingMeans>,
    /// Dice over cases.
    pub dice: Option<PooledMetric>,
    /// Normalized surface Dice over cases.
    pub nsd: Option<PooledMetric>,
    /// Published Dice and NSD as shares of 1.
    pub published: Option<[f64; 2]>,
}

/// Means over the trainings of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingMeans {
    /// Steps.
    pub steps: f64,
    /// Minutes of steps.
    pub minutes: f64,
    /// The highest peak of memory, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Parameters that training changed.
    pub tuned_parameters: u64,
    /// Parameters of the whole network.
    pub parameters: u64,
    /// Where they computed.
    pub devices: Vec<String>,
}

/// One metric over the cases of all folds. A case's value is the mean over seeds and sets of clicks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PooledMetric {
    /// Over cases.
    pub cases: Summary,
    /// 95 % bootstrap interval of the mean over cases.
    pub interval: Interval,
    /// Against the first row; `None` for the reference itself, and where the two share no case.
    pub test: Option<PairedTest>,
    /// The value of each case.
    pub by_case: BTreeMap<String, f64>,
}

/// Wilcoxon's signed-rank test of a line against one of the first row, on the cases that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedTest {
    /// Prompt of the first row's line.
    pub against: String,
    /// Cases both have.
    pub cases: usize,
    /// Mean difference, this line minus the first row's.
    pub difference: f64,
    /// 95 % bootstrap interval of the mean difference.
    pub interval: Interval,
    /// Two-sided p value; 1 if no case differs.
    pub p: f64,
    /// Adjusted by Holm's method for all tests of this metric in the table.
    pub p_holm: f64,
}

impl Study {
    /// The table of `rows` from the results of their units, tested against the first row.
    ///
    /// # Errors
    /// [`EvalError`] if the published table cannot be read.
    pub fn of(plan: StudyPlan, rows: &[&StudyRow], units: Vec<UnitResult>) -> Result<Self, EvalError> {
        let has_own = crate::published::published()?.iter().any(|row| row.score(&plan.dataset).is_some());
        let published_dataset = if has_own { plan.dataset.clone() } else { KIDNEY.to_owned() };
        let mut lines = Vec::new();
        for row in rows {
            let of_row: Vec<&UnitResult> = units.iter().filter(|unit| unit.row == row.name).collect();
            let training = TrainingMeans::of(&of_row);
            for evaluation in row.evaluations {
                for points in evaluation.points() {
                    let name = evaluation.name();
                    let is_line = |scores: &&UnitScores| scores.evaluation == name && scores.points == points;
                    let scores: Vec<&UnitScores> =
                        of_row.iter().filter_map(|unit| unit.scores.iter().find(is_line)).collect();
                    let key = format!("{}/{name}/{points}", row.name);
                    lines.push(StudyLine {
                        row: row.name.to_owned(),
                        title: row.title.to_owned(),
                        prompt: evaluation.prompt(points),
                        units: [scores.len(), of_row.len()],
                        failed_units: of_row.iter().filter(|unit| unit.failure.is_some()).count(),
                        training: training.clone(),
                        dice: PooledMetric::of(
                            scores.iter().map(|scores| &scores.dice),
                            &format!("dice/{key}"),
                        ),
                        nsd: PooledMetric::of(scores.iter().map(|scores| &scores.nsd), &format!("nsd/{key}")),
                        published: row.published(evaluation, points, &published_dataset)?,
                    });
                }
            }
        }
        add_tests(&mut lines, |line| &line.dice, |line| &mut line.dice);
        add_tests(&mut lines, |line| &line.nsd, |line| &mut line.nsd);
        Ok(Self { plan, lines, published_dataset, units })
    }

    /// The units that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&UnitResult, &str)> {
        self.units.iter().filter_map(|unit| Some((unit, unit.failure.as_deref()?)))
    }

    /// The most cases that a line has.
    pub fn cases(&self) -> usize {
        self.lines.iter().filter_map(|line| Some(line.dice.as_ref()?.cases.count)).max().unwrap_or(0)
    }

    /// The least two-sided p value that the tests of the table can reach with their numbers of cases, before Holm's
    /// adjustment, and the number of tests of a metric.
    pub fn least_p(&self) -> Option<(f64, usize)> {
        let tests: Vec<&PairedTest> =
            self.lines.iter().filter_map(|line| line.dice.as_ref()?.test.as_ref()).collect();
        let most = tests.iter().map(|test| test.cases).max()?;
        Some((2f64.powi(1 - i32::try_from(most).unwrap_or(i32::MAX)), tests.len()))
    }
}

impl TrainingMeans {
    fn of(units: &[&UnitResult]) -> Option<Self> {
        let records: Vec<&TrainingRecord> = units.iter().filter_map(|unit| unit.training.as_ref()).collect();
        let first = records.first()?;
        let mean = |value: &dyn Fn(&TrainingRecord) -> f64| {
            records.iter().map(|record| value(record)).sum::<f64>() / records.len() as f64
        };
        let mut devices: Vec<String> = records.iter().map(|record| record.device.clone()).collect();
        devices.sort();
        devices.dedup();
        Some(Self {
            steps: mean(&|record| record.steps as f64),
            minutes: mean(&|record| record.minutes),
            peak_memory_bytes: records.iter().filter_map(|record| record.peak_memory_bytes).max(),
            tuned_parameters: first.tuned_parameters,
            parameters: first.parameters,
            devices,
        })
    }
}

impl PooledMetric {
    /// The cases of all `units` together; `None` if there are none.
    fn of<'a>(units: impl Iterator<Item = &'a Vec<(String, f64)>>, key: &str) -> Option<Self> {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (case, value) in units.flatten() {
            values.entry(case.clone()).or_default().push(*value);
        }
        let by_case: BTreeMap<String, f64> = values
            .into_iter()
            .filter_map(|(case, values)| Some((case, Summary::of(&values)?.mean)))
            .collect();
        let means: Vec<f64> = by_case.values().copied().collect();
        Some(Self { cases: Summary::of(&means)?, interval: interval(&means, key)?, test: None, by_case })
    }
}

fn interval(values: &[f64], key: &str) -> Option<Interval> {
    let mut rng = rng_for(0, 0, &format!("study/{key}"));
    let [low, high] = bootstrap_mean(values, RESAMPLES, LEVEL, |n| rng.random_range(0..n))?;
    Some(Interval { low, high })
}

/// Tests every line against the first row's with the same prompt, or against the first line where there is none.
fn add_tests(
    lines: &mut [StudyLine],
    metric: impl Fn(&StudyLine) -> &Option<PooledMetric>,
    metric_mut: impl Fn(&mut StudyLine) -> &mut Option<PooledMetric>,
) {
    let Some(first) = lines.first() else { return };
    let reference: Vec<StudyLine> = lines.iter().filter(|line| line.row == first.row).cloned().collect();
    let mut p_values = Vec::new();
    for line in lines.iter_mut() {
        let same = reference.iter().find(|other| other.prompt == line.prompt && other.row != line.row);
        let Some(other) = same.or_else(|| reference.first()) else { continue };
        if (&other.row, &other.prompt) == (&line.row, &line.prompt) {
            continue;
        }
        let key = format!("difference/{}/{}", line.row, line.prompt);
        let Some(against) = metric(other) else { continue };
        let Some(pooled) = metric_mut(line) else { continue };
        pooled.test = test(pooled, against, &other.prompt, &key);
        p_values.extend(pooled.test.as_ref().map(|test| test.p));
    }
    let mut adjusted = holm(&p_values).into_iter();
    let tests = lines.iter_mut().filter_map(|line| metric_mut(line).as_mut()?.test.as_mut());
    for (test, p) in tests.zip(&mut adjusted) {
        test.p_holm = p;
    }
}

fn test(line: &PooledMetric, other: &PooledMetric, against: &str, key: &str) -> Option<PairedTest> {
    let pairs: Vec<(f64, f64)> =
        line.by_case.iter().filter_map(|(case, value)| Some((*value, *other.by_case.get(case)?))).collect();
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let p = wilcoxon_signed_rank(&first, &second).map_or(1.0, |outcome| outcome.p);
    Some(PairedTest {
        against: against.to_owned(),
        cases: pairs.len(),
        difference: Summary::of(&differences)?.mean,
        interval: interval(&differences, key)?,
        p,
        p_holm: p,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
