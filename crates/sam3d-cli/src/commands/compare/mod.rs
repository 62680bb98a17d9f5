//! `sam3d compare`: evaluations side by side, with the published scores and paired tests.

mod pairing;
mod table;

use anyhow::{Context, bail};
use sam3d_eval::{Interval, published::published, scores::Scores, summary::case_means};
use sam3d_metrics::Tolerance;
use serde::Serialize;

use crate::{
    args::{CompareArgs, GlobalArgs, RunArg},
    output,
};
use pairing::{Test, add_tests};

/// Reads the evaluations and prints a row for each, with all datasets.
///
/// # Errors
/// If an evaluation cannot be read, or two of them claim one place in the table.
pub fn run(args: &CompareArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let runs = args
        .runs
        .iter()
        .map(|run| Ok((run, Scores::read(&run.path)?)))
        .collect::<anyhow::Result<Vec<(&RunArg, Scores)>>>()?;
    let mut comparison = Comparison::of(&runs, args.tolerance)?;
    let reference = reference(&comparison, args.reference.as_deref())?;
    add_tests(&mut comparison, &reference);
    if args.csv { output::emit_text(&comparison.csv()) } else { output::emit(&comparison, global.json) }
}

/// One row: a name and a number of clicks, on every dataset it was evaluated on.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    name: String,
    points: usize,
    method: String,
    tuned_parameters: Option<u64>,
    datasets: Vec<Cell>,
}

/// A row's scores on one dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Cell {
    dataset: String,
    cases: usize,
    failed: usize,
    dice: Measured,
    nsd: Measured,
}

/// One metric, as a share of 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Measured {
    mean: f64,
    interval: Interval,
    published: Option<f64>,
    test: Option<Test>,
    /// By case, for the tests.
    #[serde(skip)]
    by_case: Vec<(String, f64)>,
}

/// Everything that is printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Comparison {
    tolerance: Tolerance,
    /// The row that the others are tested against: its name, and its number of clicks if one was chosen.
    reference: Option<String>,
    /// What does not fit together, in sentences.
    notes: Vec<String>,
    rows: Vec<Row>,
}

impl Comparison {
    fn of(runs: &[(&RunArg, Scores)], tolerance: Tolerance) -> anyhow::Result<Self> {
        let mut rows: Vec<Row> = Vec::new();
        for (run, scores) in runs {
            let at = scores.identity.config.tolerances.iter().position(|other| *other == tolerance);
            let at = at.with_context(|| {
                let had: Vec<String> =
                    scores.identity.config.tolerances.iter().map(ToString::to_string).collect();
                format!(
                    "{}: no NSD at {tolerance}, only at {}; choose with --tolerance",
                    run.path.display(),
                    had.join(", ")
                )
            })?;
            for points in scores.summary.iter().map(|summary| summary.points) {
                let cell = cell(scores, points, at, tolerance)?;
                let position = rows.iter().position(|row| (&row.name, row.points) == (&run.name, points));
                let row = match position {
                    Some(position) => &mut rows[position],
                    None => {
                        rows.push(Row {
                            name: run.name.clone(),
                            points,
                            method: scores.identity.method.clone(),
                            tuned_parameters: scores.tuned_parameters,
                            datasets: Vec::new(),
                        });
                        let last = rows.len() - 1;
                        &mut rows[last]
                    }
                };
                if row.datasets.iter().any(|other| other.dataset == cell.dataset) {
                    bail!("two runs called {} on {}; name them apart: NAME=DIR", run.name, cell.dataset);
                }
                row.datasets.push(cell);
            }
        }
        Ok(Self { tolerance, reference: None, notes: protocol_notes(runs), rows })
    }

    /// The datasets, in the order of their first run.
    fn datasets(&self) -> Vec<&str> {
        let mut datasets: Vec<&str> = Vec::new();
        for cell in self.rows.iter().flat_map(|row| &row.datasets) {
            if !datasets.contains(&cell.dataset.as_str()) {
                datasets.push(&cell.dataset);
            }
        }
        datasets
    }
}

fn cell(scores: &Scores, points: usize, at: usize, tolerance: Tolerance) -> anyhow::Result<Cell> {
    let dataset = &scores.identity.dataset;
    let rows = published()?;
    let row = rows.iter().find(|row| row.method == scores.identity.method && row.points == points);
    let published = row.and_then(|row| row.score(dataset));
    let summary = scores.summary.iter().find(|summary| summary.points == points);
    let summary = summary.context("a summary without its points")?;
    let owned =
        |means: Vec<(&str, f64)>| means.into_iter().map(|(case, mean)| (case.to_owned(), mean)).collect();
    Ok(Cell {
        dataset: dataset.clone(),
        cases: summary.dice.cases.count,
        failed: scores.failures.len(),
        dice: Measured {
            mean: summary.dice.cases.mean,
            interval: summary.dice.interval,
            published: published.map(|[dice, _]| dice),
            test: None,
            by_case: owned(case_means(&scores.cases, points, &|score| score.dice)),
        },
        nsd: Measured {
            mean: summary.nsd[at].cases.mean,
            interval: summary.nsd[at].interval,
            published: published.map(|[_, nsd]| nsd).filter(|_| tolerance == Tolerance::PUBLISHED),
            test: None,
            by_case: owned(case_means(&scores.cases, points, &|score| score.nsd[at])),
        },
    })
}

/// What makes runs on one dataset less than comparable.
fn protocol_notes(runs: &[(&RunArg, Scores)]) -> Vec<String> {
    let mut notes = Vec::new();
    for (number, (run, scores)) in runs.iter().enumerate() {
        if !scores.failures.is_empty() {
            notes.push(format!("{}: {} cases failed and have no score", run.name, scores.failures.len()));
        }
        let earlier =
            runs[..number].iter().find(|(_, other)| other.identity.dataset == scores.identity.dataset);
        let Some((first, other)) = earlier else { continue };
        let (a, b) = (&other.identity, &scores.identity);
        // A method without clicks has none that could be others.
        let clicked = [other, scores].iter().all(|scores| scores.summary.iter().any(|row| row.points > 0));
        let differing = [
            ("the part of the split", (a.part, a.fold) != (b.part, b.fold)),
            ("the cases", a.cases != b.cases),
            ("the position of clicks", clicked && a.config.position != b.config.position),
            ("the sets of clicks", clicked && a.config.click_sets != b.config.click_sets),
            ("the seed of the clicks", clicked && a.config.seed != b.config.seed),
        ];
        let names: Vec<&str> =
            differing.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
        if !names.is_empty() {
            notes.push(format!("{} and {} differ in {}", first.name, run.name, names.join(", ")));
        }
    }
    notes
}

/// The reference that was typed, `NAME` or `NAME:CLICKS`; by default the first run.
///
/// # Errors
/// If there is no such row.
fn reference(comparison: &Comparison, typed: Option<&str>) -> anyhow::Result<(String, Option<usize>)> {
    let first = comparison.rows.first().context("the runs have no scores")?;
    let Some(typed) = typed else { return Ok((first.name.clone(), None)) };
    let has = |name: &str, points: Option<usize>| {
        comparison.rows.iter().any(|row| row.name == name && points.is_none_or(|points| points == row.points))
    };
    let with_points = typed.rsplit_once(':').and_then(|(name, points)| Some((name, points.parse().ok()?)));
    match with_points {
        Some((name, points)) if has(name, Some(points)) => Ok((name.to_owned(), Some(points))),
        _ if has(typed, None) => Ok((typed.to_owned(), None)),
        _ => {
            let names: Vec<String> =
                comparison.rows.iter().map(|row| format!("{}:{}", row.name, row.points)).collect();
            bail!("--reference {typed}: no such row; there are {}", names.join(", "))
        }
    }
}
