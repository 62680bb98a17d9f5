//! One training in one fold with one seed, and the evaluations of the rows that it serves.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use sam3d_baselines::Size;
use sam3d_data::{dataset::PreparedDataset, splits::Part};
use sam3d_eval::{
    records::{read_json, write_json},
    scores::Scores,
    study::{Evaluation, StudyPlan, StudyRow, Training, TrainingRecord, UnitResult, UnitScores},
};
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};
use sam3d_train::run::RunDirectory;
use serde::Deserialize;

use super::{
    child::{End, Runner},
    configuration::{Base, TrainingJob},
};

/// A training and its evaluations.
pub(super) struct Unit {
    /// Number in the study, from 0.
    pub(super) number: usize,
    training: Training,
    fold: usize,
    seed: u64,
    rows: Vec<&'static StudyRow>,
    directory: PathBuf,
    config: String,
}

/// What `sam3d train --json` prints.
#[derive(Deserialize)]
struct TrainReport {
    progress: TrainProgress,
    ended: String,
    parameters: Parameters,
    device: String,
    peak_memory_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct TrainProgress {
    epochs: u64,
    steps: u64,
    trained_seconds: f64,
}

#[derive(Deserialize)]
struct Parameters {
    trained: u64,
    frozen: u64,
}

impl Unit {
    /// The units of `rows`: in all folds and with all seeds, those of the first fold and seed first.
    ///
    /// # Errors
    /// If a configuration is not valid, or the directory has a unit with another one.
    pub(super) fn all(
        rows: &[&'static StudyRow],
        plan: &StudyPlan,
        base: &Base,
        prepared: &PreparedDataset,
        out: &Path,
        size: Size,
    ) -> anyhow::Result<Vec<Self>> {
        let mut units: Vec<Self> = Vec::new();
        for fold in &plan.folds {
            let cases = prepared.part(*fold, Part::Train)?.len();
            for seed in &plan.seeds {
                let first = units.len();
                for row in rows {
                    let training = row.training;
                    if let Some(unit) = units[first..].iter_mut().find(|unit| unit.training == training) {
                        unit.rows.push(row);
                        continue;
                    }
                    let wanted =
                        TrainingJob { training, size, fold: *fold, seed: *seed, budget: plan.budget, cases };
                    let name = format!("fold{fold}-seed{seed}");
                    let unit = Self {
                        number: units.len(),
                        training,
                        fold: *fold,
                        seed: *seed,
                        rows: vec![row],
                        directory: out.join("units").join(training.name()).join(name),
                        config: base.of_training(&wanted)?,
                    };
                    unit.check()?;
                    units.push(unit);
                }
            }
        }
        Ok(units)
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        format!("{}, fold {}, seed {}", self.training.name(), self.fold, self.seed)
    }

    fn config_path(&self) -> PathBuf {
        self.directory.join("config.toml")
    }

    fn run_path(&self) -> PathBuf {
        self.directory.join("run")
    }

    fn record_path(&self) -> PathBuf {
        self.directory.join("training.json")
    }

    fn scores_path(&self, evaluation: &Evaluation) -> PathBuf {
        self.directory.join(evaluation.name()).join(Scores::FILE)
    }

    /// Fails if the unit was begun with another configuration.
    fn check(&self) -> anyhow::Result<()> {
        let path = self.config_path();
        match fs::read_to_string(&path) {
            Ok(text) if text != self.config => bail!(
                "{} was begun with another configuration; choose another --out, or delete {} to train it again",
                self.name(),
                self.directory.display()
            ),
            _ => Ok(()),
        }
    }

    /// Trains and evaluates what is not done.
    ///
    /// # Errors
    /// If a process fails, or its results cannot be read.
    pub(super) fn run(&self, plan: &StudyPlan, runner: &Runner<'_>) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot create {}", self.directory.display()))?;
        let written: Result<(), IoError> = atomic::write(&self.config_path(), Overwrite::Replace, |file| {
            file.write_all(self.config.as_bytes())
        });
        written?;
        if self.record()?.is_none() && !self.train(runner)? {
            return Ok(());
        }
        let mut done: Vec<Evaluation> = Vec::new();
        for evaluation in self.rows.iter().flat_map(|row| row.evaluations) {
            if runner.is_stopped() {
                return Ok(());
            }
            if !done.contains(evaluation) {
                self.evaluate(evaluation, plan, runner)?;
                done.push(*evaluation);
            }
        }
        Ok(())
    }

    /// Trains, or resumes an interrupted training; `false` if it was stopped.
    fn train(&self, runner: &Runner<'_>) -> anyhow::Result<bool> {
        let run = RunDirectory::at(&self.run_path());
        self.wait_for(&run, runner)?;
        let mut arguments = vec!["train".to_owned(), "--out".to_owned(), text(run.path())?];
        if run.has_state()? {
            arguments.push("--resume".to_owned());
        } else {
            arguments.extend(["--config".to_owned(), text(&self.config_path())?]);
        }
        let json = match runner.run(&arguments, &self.directory.join("train.log"))? {
            End::Done(json) => json,
            End::Failed(_) if runner.is_stopped() => return Ok(false),
            End::Failed(reason) => bail!("training: {reason}"),
        };
        let report: TrainReport = serde_json::from_str(&json).context("what the training printed")?;
        let sessions = self.directory.join("peak_memory.json");
        let earlier: Option<u64> = if sessions.exists() { read_json(&sessions)? } else { None };
        let peak_memory_bytes = report.peak_memory_bytes.max(earlier);
        write_json(&sessions, &peak_memory_bytes)?;
        if !matches!(report.ended.as_str(), "complete" | "no_better") {
            return if runner.is_stopped() {
                Ok(false)
            } else {
                bail!("training: ended as {}", report.ended)
            };
        }
        let Parameters { trained, frozen } = report.parameters;
        let record = TrainingRecord {
            steps: report.progress.steps,
            epochs: report.progress.epochs,
            minutes: report.progress.trained_seconds / 60.0,
            peak_memory_bytes,
            device: report.device,
            threads: runner.threads(),
            tuned_parameters: trained,
            parameters: trained + frozen,
        };
        write_json(&self.record_path(), &record)?;
        Ok(true)
    }

    /// Waits while the process of a study that was killed still trains.
    fn wait_for(&self, run: &RunDirectory, runner: &Runner<'_>) -> anyhow::Result<()> {
        let mut said = false;
        while run.is_in_use()? && !runner.is_stopped() {
            if !said {
                tracing::warn!("{}: waiting for another process that trains into it", run.path().display());
                said = true;
            }
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn evaluate(&self, evaluation: &Evaluation, plan: &StudyPlan, runner: &Runner<'_>) -> anyhow::Result<()> {
        if self.scores(evaluation, plan)?.is_some_and(|scores| scores.failures.is_empty()) {
            return Ok(());
        }
        let out = self.directory.join(evaluation.name());
        let run = self.run_path();
        let part = match plan.part {
            Part::Train => "train",
            Part::Validation => "val",
            Part::Test => "test",
        };
        let words = ["eval", "--resume", "--checkpoint", "last", "--split", part];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--run", text(&run)?);
        option("--out", text(&out)?);
        option("--seed", plan.click_seed.to_string());
        option("--tolerance", plan.tolerance.mm().to_string());
        match evaluation {
            Evaluation::Automatic(method) => option("--method", (*method).to_owned()),
            Evaluation::Clicks(points, position) => {
                let points: Vec<String> = points.iter().map(usize::to_string).collect();
                option("--points", points.join(","));
                option("--position", position.name().to_owned());
                option("--clicks", plan.click_sets.to_string());
            }
            Evaluation::Corrections(clicks) => {
                option("--corrections", clicks.to_string());
                option("--clicks", plan.click_sets.to_string());
            }
        }
        let log = self.directory.join(format!("{}.log", evaluation.name()));
        match runner.run(&arguments, &log)? {
            End::Done(_) => Ok(()),
            End::Failed(_) if runner.is_stopped() => Ok(()),
            // Some cases may have scores, which are in the table then.
            End::Failed(reason) => bail!("evaluation ({}): {reason}", evaluation.name()),
        }
    }

    fn record(&self) -> anyhow::Result<Option<TrainingRecord>> {
        let path = self.record_path();
        Ok(if path.exists() { Some(read_json(&path)?) } else { None })
    }

    /// The scores of an evaluation, if it is done.
    fn scores(&self, evaluation: &Evaluation, plan: &StudyPlan) -> anyhow::Result<Option<Scores>> {
        let path = self.scores_path(evaluation);
        if !path.exists() {
            return Ok(None);
        }
        let scores = Scores::read(&path)?;
        let config = &scores.identity.config;
        let clicked = !matches!(evaluation, Evaluation::Automatic(_));
        let same_clicks = (config.click_sets, config.seed) == (plan.click_sets, plan.click_seed);
        if scores.identity.part != plan.part || clicked && !same_clicks {
            bail!(
                "{}: an evaluation of other cases or clicks; choose another --out, or delete it",
                path.display()
            );
        }
        Ok(Some(scores))
    }

    /// What it found, for each of its rows.
    ///
    /// # Errors
    /// If a result cannot be read.
    pub(super) fn results(&self, plan: &StudyPlan, failure: Option<&str>) -> anyhow::Result<Vec<UnitResult>> {
        let training = self.record()?;
        let of_row = |row: &&'static StudyRow| {
            let mut found = Vec::new();
            for evaluation in row.evaluations {
                if let Some(scores) = self.scores(evaluation, plan)? {
                    found.extend(UnitScores::of(evaluation, &scores));
                }
            }
            Ok(UnitResult {
                row: row.name.to_owned(),
                fold: self.fold,
                seed: self.seed,
                training: training.clone(),
                scores: found,
                failure: failure.map(str::to_owned),
            })
        };
        self.rows.iter().map(of_row).collect()
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))?;
    Ok(text.to_owned())
}
