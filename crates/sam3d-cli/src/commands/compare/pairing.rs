//! Paired tests of every row against the reference.

use sam3d_metrics::statistics::{holm, wilcoxon_signed_rank};
use serde::Serialize;

use super::{Cell, Comparison, MetricEstimate, Row, RowKind};

/// Wilcoxon's signed-rank test of a row against the reference, on the cases both have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Test {
    /// Cases both have.
    pub(super) cases: usize,
    /// Mean difference, row minus reference.
    pub(super) difference: f64,
    /// Two-sided p value; 1 if no case differs.
    pub(super) p: f64,
    /// Adjusted by Holm's method for all tests of this metric in the table.
    pub(super) p_holm: f64,
}

/// Tests every row against the reference: that with the reference's name and, unless one was chosen, the row's own number
/// of clicks, or the only one it has. An area is tested against the area over as many clicks.
pub(super) fn add_tests(comparison: &mut Comparison, (name, points): &(String, Option<usize>)) {
    let rows = comparison.rows.clone();
    let of_name = |kind: RowKind, points: usize| {
        rows.iter().find(|row| (&row.name, row.kind, row.points) == (name, kind, points))
    };
    let only = {
        let mut named = rows.iter().filter(|row| row.name == *name);
        named.next().filter(|_| named.next().is_none())
    };
    for metric in [dice, nsd] {
        let mut p_values = Vec::new();
        for row in &mut comparison.rows {
            let chosen = points.filter(|_| row.kind != RowKind::Area);
            let reference = of_name(row.kind, chosen.unwrap_or(row.points)).or(only);
            let key = |row: &Row| (row.name.clone(), row.kind, row.points);
            let Some(reference) = reference.filter(|other| key(other) != key(row)) else {
                continue;
            };
            for cell in &mut row.datasets {
                let other = reference.datasets.iter().find(|other| other.dataset == cell.dataset);
                let Some(other) = other else { continue };
                let test = test(metric(cell), metric(&mut other.clone()));
                p_values.extend(test.map(|test| test.p));
                metric(cell).test = test;
            }
        }
        let mut adjusted = holm(&p_values).into_iter();
        for cell in comparison.rows.iter_mut().flat_map(|row| &mut row.datasets) {
            if let Some(test) = &mut metric(cell).test {
                test.p_holm = adjusted.next().unwrap_or(1.0);
            }
        }
    }
    comparison.reference = Some(points.map_or_else(|| name.clone(), |points| format!("{name}:{points}")));
}

fn dice(cell: &mut Cell) -> &mut MetricEstimate {
    &mut cell.dice
}

fn nsd(cell: &mut Cell) -> &mut MetricEstimate {
    &mut cell.nsd
}

/// `None` if the two share no case.
fn test(row: &MetricEstimate, reference: &MetricEstimate) -> Option<Test> {
    let value_of =
        |case: &str| reference.by_case.iter().find(|(name, _)| name == case).map(|(_, value)| *value);
    let pairs: Vec<(f64, f64)> =
        row.by_case.iter().filter_map(|(case, value)| Some((*value, value_of(case)?))).collect();
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let difference = pairs.iter().map(|(a, b)| a - b).sum::<f64>() / pairs.len() as f64;
    let p = wilcoxon_signed_rank(&first, &second).map_or(1.0, |outcome| outcome.p);
    (!pairs.is_empty()).then_some(Test { cases: pairs.len(), difference, p, p_holm: p })
}
