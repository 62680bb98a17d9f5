//! The summary as text.

use std::fmt;

use sam3d_eval::{MetricSummary, PointsSummary, Timings, published::published, scores::Scores};
use serde::{Serialize, Serializer};

use super::corrections::Lines;

/// Scores as they are printed; as JSON, the scores themselves.
pub(super) struct Table<'a> {
    pub(super) scores: &'a Scores,
    pub(super) timings: &'a Timings,
}

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.scores.serialize(serializer)
    }
}

pub(super) const NAME: usize = 36;
pub(super) const CELL: usize = 32;

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scores { identity, summary, cases, failures, weights, .. } = self.scores;
        let (method, dataset) = (&identity.method, &identity.dataset);
        let details = identity.details.as_ref().map(|details| format!(" ({details})")).unwrap_or_default();
        writeln!(f, "{} cases of {dataset}, method {method}{details}, {}", cases.len(), weights.display())?;
        write!(f, "\n{:<NAME$}{:>CELL$}", "in %, with the mean's 95 % interval", "Dice")?;
        for tolerance in &identity.config.tolerances {
            write!(f, "{:>CELL$}", format!("NSD at {} mm", tolerance.mm()))?;
        }
        writeln!(f)?;
        for row in summary {
            line(f, &identity.config.name_of(row.points), row, &mean_and_interval)?;
            let is_clicked = row.points > 0 || identity.config.corrections.is_some();
            if identity.config.click_sets > 1 && is_clicked {
                line(f, "  mean over cases, by set of clicks", row, &|metric| {
                    format!("+- {:.2}", 100.0 * metric.click_sets.std)
                })?;
                line(f, "  one case, by set of clicks", row, &|metric| {
                    format!("+- {:.2}", 100.0 * metric.click_std)
                })?;
            }
            if let Some(ball) = &row.ball {
                let name = format!("  best ball ({} mm)", ball.radius_mm);
                writeln!(f, "{name:<NAME$}{:>CELL$}", format!("{:.2}", 100.0 * ball.mean_dice))?;
            }
        }
        if let Some((config, summary)) = identity.config.corrections.zip(self.scores.corrections.as_ref()) {
            write!(f, "{}", Lines { config, summary, timings: self.timings })?;
        }
        self.published(f)?;
        for failure in failures {
            writeln!(f, "failed: {}: {}", failure.case, failure.error)?;
        }
        Ok(())
    }
}

impl Table<'_> {
    /// The published scores on this dataset, if there are any.
    fn published(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = published().map_err(|_| fmt::Error)?;
        let scored = rows.iter().filter_map(|row| Some((row, row.score(&self.scores.identity.dataset)?)));
        for (number, (row, score)) in scored.enumerate() {
            if number == 0 {
                writeln!(f, "\n{:<NAME$}{:>CELL$}{:>CELL$}", "published, test split", "Dice", "NSD at 5 mm")?;
            }
            let [dice, nsd] = score.map(|share| format!("{:.2}", 100.0 * share));
            writeln!(f, "{:<NAME$}{dice:>CELL$}{nsd:>CELL$}", row.name)?;
        }
        Ok(())
    }
}

/// One line of a number for each metric.
fn line(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    row: &PointsSummary,
    cell: &dyn Fn(&MetricSummary) -> String,
) -> fmt::Result {
    write!(f, "{name:<NAME$}")?;
    for metric in std::iter::once(&row.dice).chain(&row.nsd) {
        write!(f, "{:>CELL$}", cell(metric))?;
    }
    writeln!(f)
}

fn mean_and_interval(metric: &MetricSummary) -> String {
    let [mean, std, low, high] =
        [metric.cases.mean, metric.cases.std, metric.interval.low, metric.interval.high]
            .map(|share| 100.0 * share);
    format!("{mean:.2} +- {std:.2} [{low:.2}, {high:.2}]")
}
