//! `sam3d eval`: a method scored on a dataset's cases by the published protocol.

mod method;
mod source;

use std::{
    fmt::{self, Write as _},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::ArrayView3;
use sam3d_io::{
    Grid, IoError, ReadLimits,
    atomic::{self, Overwrite},
    dataset::{Case, PreparedDataset},
    nifti,
    splits::Part,
};
use sam3d_train::evaluate::{CaseEvaluation, ClickScore, EvalConfig, Pipeline, PointsSummary, summarise};
use serde::Serialize;

use crate::{
    args::{EvalArgs, GlobalArgs, Split},
    output, runtime,
};
use source::Source;

/// Scores every case of the split and prints the summary.
///
/// # Errors
/// If weights or data cannot be read; after all cases are done, if any of them failed.
pub fn run(args: &EvalArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let source = Source::of(args)?;
    let prepared = PreparedDataset::open(&source.data)?;
    let part = match args.split {
        Split::Train => Part::Train,
        Split::Val => Part::Validation,
        Split::Test => Part::Test,
    };
    let cases = prepared.part(source.fold, part)?;
    if cases.is_empty() {
        bail!("{}: this split has no cases", source.data.display());
    }
    if let Some(directory) = &args.out {
        fs::create_dir_all(directory.join("masks"))
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let config = EvalConfig {
        points: args.points.iter().map(|count| count.get()).collect(),
        click_sets: args.clicks.get(),
        position: args.position.into(),
        tolerances: args.tolerance.clone(),
        seed: global.seed.unwrap_or_default(),
        ball: args.ball,
    };
    let method = method::open(args, &source, runtime::device(global.device)?)?;
    let pipeline = Pipeline {
        method: method.as_ref(),
        target_class: prepared.dataset.target_class,
        config: &config,
        limits: ReadLimits::default(),
        readers: args.readers.get(),
    };
    let (evaluations, failures) = evaluate(&pipeline, &cases, args.out.as_deref())?;
    let report = Report {
        method: method.name(),
        weights: source.weights.clone(),
        dataset: prepared.dataset.name.clone(),
        cases: evaluations.len(),
        failures,
        summary: summarise(&config, &evaluations),
        scores: evaluations.into_iter().flat_map(|evaluation| evaluation.scores).collect(),
        config,
    };
    if let Some(directory) = &args.out {
        report.write(directory)?;
    }
    output::emit(&report, global.json)?;
    match report.failures.len() {
        0 => Ok(()),
        count => bail!("{count} of {} cases failed; they are listed in the report", cases.len()),
    }
}

/// Scores the cases; one that fails is listed and does not stop the others.
fn evaluate(
    pipeline: &Pipeline<'_>,
    cases: &[&Case],
    out: Option<&Path>,
) -> anyhow::Result<(Vec<CaseEvaluation>, Vec<Failure>)> {
    let bar = ProgressBar::new(cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} cases, {eta} left, {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    let keep = |score: &ClickScore, mask: ArrayView3<'_, u8>, grid: &Grid| -> Result<(), IoError> {
        let Some(directory) = out else { return Ok(()) };
        let name = format!("{}_{}points_set{}.nii.gz", score.case, score.points, score.click_set);
        nifti::write_mask(&directory.join("masks").join(name), mask, grid, Overwrite::Replace)
    };
    let mut outcomes: Vec<Option<Result<CaseEvaluation, String>>> = cases.iter().map(|_| None).collect();
    let result = pipeline.run(cases, &keep, &mut |index, outcome| {
        bar.set_message(cases[index].id.to_string());
        bar.inc(1);
        outcomes[index] = Some(outcome.map_err(|error| output::one_line(&error.into())));
    });
    bar.finish_and_clear();
    result?;
    let (mut evaluations, mut failures) = (Vec::new(), Vec::new());
    for (case, outcome) in cases.iter().zip(outcomes) {
        match outcome {
            Some(Ok(evaluation)) => evaluations.push(evaluation),
            Some(Err(error)) => failures.push(Failure { case: case.id.to_string(), error }),
            None => {}
        }
    }
    Ok((evaluations, failures))
}

#[derive(Serialize)]
struct Failure {
    case: String,
    error: String,
}

#[derive(Serialize)]
struct Report {
    method: &'static str,
    weights: PathBuf,
    dataset: String,
    config: EvalConfig,
    cases: usize,
    summary: Vec<PointsSummary>,
    failures: Vec<Failure>,
    scores: Vec<ClickScore>,
}

impl Report {
    /// Writes `scores.json` with everything and `cases.csv` with a line for each prediction.
    fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let path = directory.join("scores.json");
        atomic::write(&path, Overwrite::Replace, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })?;
        atomic::write(&directory.join("cases.csv"), Overwrite::Replace, |file| {
            file.write_all(self.csv().as_bytes())
        })?;
        Ok(())
    }

    fn csv(&self) -> String {
        let mut text = "case,points,click_set,dice".to_owned();
        for tolerance in &self.config.tolerances {
            let _ = write!(text, ",nsd_{}mm", tolerance.mm());
        }
        text.push_str(",truth_ml,prediction_ml\n");
        for score in &self.scores {
            let _ = write!(text, "{},{},{},{}", score.case, score.points, score.click_set, score.dice);
            for nsd in &score.nsd {
                let _ = write!(text, ",{nsd}");
            }
            let _ = writeln!(text, ",{},{}", score.truth_ml, score.prediction_ml);
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases of {}, {}", self.cases, self.dataset, self.weights.display())?;
        write!(f, "\n{:<26}{:>16}", "", "Dice")?;
        for tolerance in &self.config.tolerances {
            write!(f, "{:>18}", format!("NSD at {} mm", tolerance.mm()))?;
        }
        writeln!(f)?;
        let cell = |mean: f64, std: f64| format!("{:.2} +- {:.2} %", 100.0 * mean, 100.0 * std);
        for row in &self.summary {
            let clicks = if row.points == 1 { "click" } else { "clicks" };
            write!(
                f,
                "{:<26}{:>16}",
                format!("{} {clicks}", row.points),
                cell(row.dice.cases.mean, row.dice.cases.std)
            )?;
            for nsd in &row.nsd {
                write!(f, "{:>18}", cell(nsd.cases.mean, nsd.cases.std))?;
            }
            writeln!(f)?;
        }
        for row in &self.summary {
            if let Some(ball) = &row.ball {
                let name = format!("best ball, {} ({} mm)", row.points, ball.radius_mm);
                writeln!(f, "{name:<26}{:>16}", format!("{:.2} %", 100.0 * ball.mean_dice))?;
            }
        }
        for failure in &self.failures {
            writeln!(f, "failed: {}: {}", failure.case, failure.error)?;
        }
        Ok(())
    }
}
