//! `sam3d compare`: evaluations side by side, with the published scores and paired tests.

mod pairing;
mod table;

use anyhow::{Context, bail};
use sam3d_eval::{
    ClickScore, Interval, correction_summary::case_area, published::published, scores::Scores,
    summary::case_means,
};
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

/// What the scores of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum RowKind {
    /// Scores after a number of clicks.
    Clicks,
    /// Scores after a number of corrective clicks.
    Corrections,
    /// Areas under the curve over a number of corrective clicks, over its number of steps.
    Area,
}

impl RowKind {
    fn is_clicks(&self) -> bool {
        *self == Self::Clicks
    }
}

/// One row: a name and a number of clicks, on every dataset it was evaluated on.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    name: String,
    #[serde(skip_serializing_if = "RowKind::is_clicks")]
    kind: RowKind,
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
    dice: MetricEstimate,
    nsd: MetricEstimate,
}

/// One metric, as a share of 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct MetricEstimate {
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
            let of_scores = match scores.identity.config.corrections {
                Some(_) => RowKind::Corrections,
                None => RowKind::Clicks,
            };
            let mut cells = Vec::new();
            for points in scores.summary.iter().map(|summary| summary.points) {
                cells.push((of_scores, points, cell(scores, points, at, tolerance)?));
            }
            if let Some((clicks, cell)) = area_cell(scores, at) {
                cells.push((RowKind::Area, clicks, cell));
            }
            for (kind, points, cell) in cells {
                let position = rows
                    .iter()
                    .position(|row| (&row.name, row.kind, row.points) == (&run.name, kind, points));
                let row = match position {
                    Some(position) => &mut rows[position],
                    None => {
                        rows.push(Row {
                            name: run.name.clone(),
                            kind,
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
    let is_published = scores.identity.config.corrections.is_none();
    let published = row.filter(|_| is_published).and_then(|row| row.score(dataset));
    let summary = scores.summary.iter().find(|summary| summary.points == points);
    let summary = summary.context("a summary without its points")?;
    let owned =
        |means: Vec<(&str, f64)>| means.into_iter().map(|(case, mean)| (case.to_owned(), mean)).collect();
    Ok(Cell {
        dataset: dataset.clone(),
        cases: summary.dice.cases.count,
        failed: scores.failures.len(),
        dice: MetricEstimate {
            mean: summary.dice.cases.mean,
            interval: summary.dice.interval,
            published: published.map(|[dice, _]| dice),
            test: None,
            by_case: owned(case_means(&scores.cases, points, &|score| score.dice)),
        },
        nsd: MetricEstimate {
            mean: summary.nsd[at].cases.mean,
            interval: summary.nsd[at].interval,
            published: published.map(|[_, nsd]| nsd).filter(|_| tolerance == Tolerance::PUBLISHED),
            test: None,
            by_case: owned(case_means(&scores.cases, points, &|score| score.nsd[at])),
        },
    })
}

/// The areas under the curves over corrective clicks, and how many clicks these were; `None` without corrections.
fn area_cell(scores: &Scores, at: usize) -> Option<(usize, Cell)> {
    let summary = scores.corrections.as_ref()?;
    let (dice, nsd) = (summary.dice_area?.mean, summary.nsd_area.get(at)?.mean);
    let by_case = |value: &dyn Fn(&ClickScore) -> f64| {
        let areas =
            scores.cases.iter().filter_map(|case| Some((case.case.clone(), case_area(case, value)?.mean)));
        areas.collect()
    };
    let cell = Cell {
        dataset: scores.identity.dataset.clone(),
        cases: dice.cases.count,
        failed: scores.failures.len(),
        dice: MetricEstimate {
            mean: dice.cases.mean,
            interval: dice.interval,
            published: None,
            test: None,
            by_case: by_case(&|score| score.dice),
        },
        nsd: MetricEstimate {
            mean: nsd.cases.mean,
            interval: nsd.interval,
            published: None,
            test: None,
            by_case: by_case(&|score| score.nsd[at]),
        },
    };
    Some((scores.identity.config.corrections?.clicks, cell))
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
            ("the corrections", a.config.corrections != b.config.corrections),
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
        let is_named = |row: &Row| row.name == name && row.kind != RowKind::Area;
        comparison.rows.iter().any(|row| is_named(row) && points.is_none_or(|points| points == row.points))
    };
    let with_points = typed.rsplit_once(':').and_then(|(name, points)| Some((name, points.parse().ok()?)));
    match with_points {
        Some((name, points)) if has(name, Some(points)) => Ok((name.to_owned(), Some(points))),
        _ if has(typed, None) => Ok((typed.to_owned(), None)),
        _ => {
            let rows = comparison.rows.iter().filter(|row| row.kind != RowKind::Area);
            let names: Vec<String> = rows.map(|row| format!("{}:{}", row.name, row.points)).collect();
            bail!("--reference {typed}: no such row; there are {}", names.join(", "))
        }
    }
}
