//! The comparison as text and as CSV.

use std::fmt;

use super::{Cell, Comparison, MetricEstimate, Row, RowKind};

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nsd = format!("NSD {}", self.tolerance);
        let datasets = self.datasets();
        let mut lines: Vec<Vec<String>> =
            vec![vec![String::new(); 3], vec!["run".into(), "clicks".into(), "tuned".into()]];
        for dataset in &datasets {
            lines[0].extend([(*dataset).to_owned(), String::new(), String::new(), String::new()]);
            lines[1].extend(["Dice", "p", &nsd, "p"].map(str::to_owned));
        }
        for row in &self.rows {
            let clicks = clicks(row);
            let tuned =
                row.tuned_parameters.map_or("-".to_owned(), |count| format!("{:.2} M", count as f64 / 1e6));
            let mut line = vec![row.name.clone(), clicks, tuned];
            for dataset in &datasets {
                match row.datasets.iter().find(|cell| cell.dataset == *dataset) {
                    Some(cell) => {
                        let parts = [&cell.dice, &cell.nsd].map(|metric| [score(metric), p_value(metric)]);
                        line.extend(parts.into_iter().flatten());
                    }
                    None => line.extend(std::iter::repeat_n("-".to_owned(), 4)),
                }
            }
            lines.push(line);
        }
        write_columns(f, &lines)?;
        writeln!(f, "\nMeans over cases in %, in brackets the published score.")?;
        if self.rows.iter().any(|row| row.kind == RowKind::Area) {
            writeln!(
                f,
                "+N: after N corrective clicks. AUC +N: area under the curve over these clicks, per step."
            )?;
        }
        if let Some(reference) = &self.reference {
            writeln!(
                f,
                "p: Wilcoxon's signed-rank test against {reference} on the same cases, two-sided, by Holm's method for all\ntests of a column's metric; * below 0.05."
            )?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// The number of clicks; of corrective ones with a plus.
fn clicks(row: &Row) -> String {
    match (row.kind, row.points) {
        (RowKind::Clicks, 0) => "-".to_owned(),
        (RowKind::Clicks, points) => points.to_string(),
        (RowKind::Corrections, points) => format!("+{points}"),
        (RowKind::Area, points) => format!("AUC +{points}"),
    }
}

fn score(metric: &MetricEstimate) -> String {
    let mean = format!("{:.2}", 100.0 * metric.mean);
    metric.published.map_or_else(|| mean.clone(), |share| format!("{mean} ({:.2})", 100.0 * share))
}

fn p_value(metric: &MetricEstimate) -> String {
    match metric.test {
        None => "-".to_owned(),
        Some(test) => {
            let star = if test.p_holm < 0.05 { "*" } else { "" };
            if test.p_holm < 0.001 { format!("<0.001{star}") } else { format!("{:.3}{star}", test.p_holm) }
        }
    }
}

/// Lines of cells, each column as wide as its widest; the first to the left, the others to the right.
fn write_columns(f: &mut fmt::Formatter<'_>, lines: &[Vec<String>]) -> fmt::Result {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for line in lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let cell = if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            text.push_str(&cell);
        }
        writeln!(f, "{}", text.trim_end())?;
    }
    Ok(())
}

impl Comparison {
    /// A line for each row and dataset.
    pub(super) fn csv(&self) -> String {
        let mut text = "run,method,points,tuned_parameters,dataset,cases,failed".to_owned();
        for metric in ["dice".to_owned(), format!("nsd_{}mm", self.tolerance.mm())] {
            for column in ["", "_low", "_high", "_published", "_difference", "_p", "_p_holm"] {
                text.push_str(&format!(",{metric}{column}"));
            }
        }
        text.push('\n');
        for row in &self.rows {
            for cell in &row.datasets {
                let tuned = row.tuned_parameters.map_or_else(String::new, |count| count.to_string());
                let Cell { dataset, cases, failed, dice, nsd } = cell;
                let name = quoted(&row.name);
                text.push_str(&format!(
                    "{name},{},{},{tuned},{dataset},{cases},{failed}",
                    row.method,
                    csv_points(row)
                ));
                for metric in [dice, nsd] {
                    let test = |value: fn(&super::Test) -> f64| metric.test.as_ref().map(value);
                    let values = [
                        Some(metric.mean),
                        Some(metric.interval.low),
                        Some(metric.interval.high),
                        metric.published,
                        test(|test| test.difference),
                        test(|test| test.p),
                        test(|test| test.p_holm),
                    ];
                    for value in values {
                        text.push(',');
                        text.extend(value.map(|value| value.to_string()));
                    }
                }
                text.push('\n');
            }
        }
        text
    }
}

/// As [`clicks`], but 0 for a method without clicks.
fn csv_points(row: &Row) -> String {
    if row.kind == RowKind::Clicks { row.points.to_string() } else { clicks(row) }
}

/// A field of a CSV file, in quotes if it needs them.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
