//! `sam3d train`: settings from file and options, progress on standard error, the outcome on standard output.

use std::{fmt, fs, path::Path, time::Duration};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use sam3d_io::dataset::Dataset;
use sam3d_train::{
    config::TrainConfig,
    fit::{Event, Outcome, fit},
    run::{Progress, RunDirectory},
};
use serde::Serialize;
use toml::{Table, Value};

use crate::{
    args::{GlobalArgs, TrainArgs},
    output, runtime,
};

/// Trains and prints how the run ended.
///
/// # Errors
/// If the settings, the data or the run directory do not allow it.
pub fn run(args: &TrainArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let config = resolve(args, global)?;
    let device = runtime::device(global.device)?;
    let mut reporter = Reporter::new();
    let outcome = fit(&config, device, args.resume, &mut |event| reporter.report(event));
    reporter.bar.finish_and_clear();
    output::emit(&Report::new(&outcome?), global.json)
}

/// The settings of a run, in rising order of precedence: defaults, file, options, `--set`.
fn resolve(args: &TrainArgs, global: &GlobalArgs) -> anyhow::Result<TrainConfig> {
    let mut table = match (&args.config, args.resume) {
        (Some(path), _) => read_table(path)?,
        // A resumed run goes on as it was started.
        (None, true) => {
            let mut started = TrainConfig::default();
            started.out.clone_from(&args.out);
            if let Some(name) = &args.dataset {
                started.dataset = dataset_name(name)?;
            }
            Table::try_from(RunDirectory::read_config(&started.run_directory())?)?
        }
        (None, false) => Table::new(),
    };
    if let Some(name) = &args.dataset {
        table.insert("dataset".into(), Value::String(dataset_name(name)?));
    }
    if let Some(model) = args.model {
        table.insert("model".into(), Value::String(model.name().into()));
    }
    if let Some(seed) = global.seed {
        let seed = i64::try_from(seed).context("--seed must be below 2^63 here")?;
        table.insert("seed".into(), Value::Integer(seed));
    }
    for (key, path) in [("data", &args.data), ("pretrained", &args.pretrained), ("out", &args.out)] {
        if let Some(path) = path {
            let text = path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))?;
            table.insert(key.into(), Value::String(text.into()));
        }
    }
    for setting in &args.settings {
        setting.apply(&mut table)?;
    }
    table.try_into().with_context(|| match &args.config {
        Some(path) => format!("{} with the options", path.display()),
        None => "the options".to_owned(),
    })
}

fn read_table(path: &Path) -> anyhow::Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{}", path.display()))
}

fn dataset_name(name_or_path: &str) -> anyhow::Result<String> {
    Ok(Dataset::named_or_open(name_or_path)?.name)
}

/// A progress bar over the steps of the whole run, and a line for each epoch.
struct Reporter {
    bar: ProgressBar,
    epochs: u64,
}

impl Reporter {
    fn new() -> Self {
        Self { bar: ProgressBar::hidden(), epochs: 0 }
    }

    fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Started {
                parameters,
                train_cases,
                validation_cases,
                first_epoch,
                epochs,
                steps_per_epoch,
            } => {
                tracing::info!(
                    "training {} of {} parameters on {train_cases} cases, {validation_cases} for validation, epochs {} to {epochs}",
                    parameters.trained,
                    parameters.trained + parameters.frozen,
                    first_epoch + 1,
                );
                let style = "{wide_bar} {pos}/{len} steps, {per_sec}, {eta} left, {msg}";
                self.bar = ProgressBar::new(epochs * steps_per_epoch);
                // A template that does not parse would only cost the bar its looks.
                if let Ok(style) = ProgressStyle::with_template(style) {
                    self.bar.set_style(style);
                }
                self.bar.set_position(first_epoch * steps_per_epoch);
                self.bar.reset_eta();
                self.bar.enable_steady_tick(Duration::from_millis(500));
                self.epochs = *epochs;
            }
            Event::Step { report, .. } => {
                self.bar.set_message(format!("loss {:.3}", report.loss));
                self.bar.inc(1);
            }
            Event::Epoch { record, is_best } => {
                let validation = match record.validation_loss {
                    Some(loss) => format!(", validation {loss:.4}{}", if *is_best { " (best)" } else { "" }),
                    None => String::new(),
                };
                self.bar.suspend(|| {
                    tracing::info!(
                        "epoch {}/{}: loss {:.4}{validation}, {:.1} s",
                        record.epoch + 1,
                        self.epochs,
                        record.train_loss,
                        record.seconds
                    );
                });
            }
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    progress: &'a Progress,
    out_of_time: bool,
    best: String,
    last: String,
    metrics: String,
}

impl<'a> Report<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let directory = &outcome.directory;
        Self {
            progress: &outcome.progress,
            out_of_time: outcome.out_of_time,
            best: directory.best_path().display().to_string(),
            last: directory.last_path().display().to_string(),
            metrics: directory.metrics_path().display().to_string(),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { epochs, steps, best } = self.progress;
        writeln!(f, "epochs            {epochs} ({steps} steps)")?;
        if let Some(best) = best {
            writeln!(f, "validation loss   {best:.4} (lowest)")?;
        }
        if self.out_of_time {
            writeln!(f, "stopped           at the time limit; --resume goes on")?;
        }
        writeln!(f, "best checkpoint   {}", self.best)?;
        writeln!(f, "last checkpoint   {}", self.last)?;
        writeln!(f, "metrics           {}", self.metrics)
    }
}
