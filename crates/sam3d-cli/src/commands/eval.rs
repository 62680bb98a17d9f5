//! `sam3d eval`: a network scored on a dataset's cases by the published protocol.

use std::{
    fmt::{self, Write as _},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sam3d_geom::Preprocessing;
use sam3d_io::{
    atomic::{self, Overwrite},
    dataset::{Case, Dataset, PreparedDataset},
    nifti::{self, ReadLimits},
    splits::Part,
};
use sam3d_model::Sam3d;
use sam3d_train::{
    evaluate::{CaseEvaluation, ClickScore, EvalConfig, Evaluator, PointsSummary, summarise},
    run::RunDirectory,
};
use serde::Serialize;

use super::network;
use crate::{
    args::{EvalArgs, GlobalArgs, Split},
    output, runtime,
};

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
    let device = runtime::device(global.device)?;
    let (mut network, preprocessing) = network::load(&source.weights, args.dataset.as_deref(), device)?;
    network.set_precision(args.precision);
    let config = EvalConfig {
        points: args.points.iter().map(|count| count.get()).collect(),
        click_sets: args.clicks.get(),
        tolerances: args.tolerance.clone(),
        seed: global.seed.unwrap_or_default(),
    };

    let run = Run {
        network: &network,
        preprocessing: &preprocessing,
        target_class: prepared.dataset.target_class,
        config: &config,
        out: args.out.as_deref(),
    };
    let (evaluations, failures) = run.cases(&cases);
    let report = Report {
        weights: source.weights.clone(),
        dataset: prepared.dataset.name.clone(),
        cases: evaluations.len(),
        failures,
        summary: summarise(&config, &evaluations),
        scores: evaluations.into_iter().flat_map(|evaluation| evaluation.scores).collect(),
        config,
        ball: args.ball,
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

/// Where weights and data come from.
struct Source {
    weights: PathBuf,
    data: PathBuf,
    fold: usize,
}

impl Source {
    fn of(args: &EvalArgs) -> anyhow::Result<Self> {
        if let Some(directory) = &args.run {
            let config = RunDirectory::read_config(directory)?;
            let data = args.data.clone().unwrap_or_else(|| config.data_directory());
            return Ok(Self { weights: directory.join("best.safetensors"), data, fold: config.fold });
        }
        let data = match (&args.data, &args.dataset) {
            (Some(data), _) => data.clone(),
            (None, Some(name)) => Path::new("data").join(Dataset::named_or_open(name)?.name),
            (None, None) => bail!("--weights needs --data DIR or --dataset NAME to know the cases"),
        };
        let weights = args.weights.clone().context("--weights is missing")?;
        Ok(Self { weights, data, fold: 0 })
    }
}

/// What stays the same from case to case.
struct Run<'a> {
    network: &'a Sam3d,
    preprocessing: &'a Preprocessing,
    target_class: u32,
    config: &'a EvalConfig,
    out: Option<&'a Path>,
}

impl Run<'_> {
    /// Scores the cases; one that fails is listed and does not stop the others.
    fn cases(&self, cases: &[&Case]) -> (Vec<CaseEvaluation>, Vec<Failure>) {
        let bar = ProgressBar::new(cases.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} cases, {eta} left, {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        let (mut evaluations, mut failures) = (Vec::new(), Vec::new());
        for case in cases {
            bar.set_message(case.id.to_string());
            match self.case(case) {
                Ok(evaluation) => evaluations.push(evaluation),
                Err(error) => {
                    failures.push(Failure { case: case.id.to_string(), error: output::one_line(&error) })
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        (evaluations, failures)
    }

    fn case(&self, case: &Case) -> anyhow::Result<CaseEvaluation> {
        let image = sam3d_io::read(&case.image, ReadLimits::default())?;
        let label = sam3d_io::read(&case.label, ReadLimits::default())?;
        let evaluator = Evaluator {
            network: self.network,
            preprocessing: self.preprocessing,
            target_class: self.target_class,
            config: self.config,
        };
        let evaluation = evaluator.case(case.id.as_str(), &image, &label, &mut |score, mask| {
            let Some(directory) = self.out else { return Ok(()) };
            let name = format!("{}_{}points_set{}.nii.gz", score.case, score.points, score.click_set);
            let path = directory.join("masks").join(name);
            nifti::write_mask(&path, mask, &image.grid, Overwrite::Replace)
        })?;
        Ok(evaluation)
    }
}

#[derive(Serialize)]
struct Failure {
    case: String,
    error: String,
}

#[derive(Serialize)]
struct Report {
    weights: PathBuf,
    dataset: String,
    config: EvalConfig,
    cases: usize,
    summary: Vec<PointsSummary>,
    failures: Vec<Failure>,
    scores: Vec<ClickScore>,
    #[serde(skip)]
    ball: bool,
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
            write!(f, "{:<26}{:>16}", format!("{} {clicks}", row.points), cell(row.dice.mean, row.dice.std))?;
            for nsd in &row.nsd {
                write!(f, "{:>18}", cell(nsd.mean, nsd.std))?;
            }
            writeln!(f)?;
        }
        if self.ball {
            for row in &self.summary {
                let name = format!("best ball, {} ({} mm)", row.points, row.ball.radius_mm);
                writeln!(f, "{name:<26}{:>16}", format!("{:.2} %", 100.0 * row.ball.mean_dice))?;
            }
        }
        for failure in &self.failures {
            writeln!(f, "failed: {}: {}", failure.case, failure.error)?;
        }
        Ok(())
    }
}
