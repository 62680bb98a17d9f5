//! `sam3d study`: trains and evaluates a table of methods, each unit in processes of its own.

mod child;
mod configuration;
mod results;
mod rows_table;
mod unit;

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, bail};
use sam3d_data::{dataset::PreparedDataset, splits::Part};
use sam3d_eval::study::{Budget, Study, StudyPlan, StudyRow, UnitResult};
use sam3d_metrics::Tolerance;

use self::{configuration::Base, rows_table::RowsTable, unit::Unit};
use crate::{
    args::{GlobalArgs, Split, StudyArgs},
    output, stop,
};

/// Trains and evaluates the units that are not done, and writes table and report.
///
/// # Errors
/// If the settings or the data do not allow a study; after all units are done, if any of them failed.
pub fn run(args: &StudyArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    if args.list {
        return output::emit(&RowsTable, global.json);
    }
    let out = args.out.as_deref().context("--out is missing")?;
    let rows = StudyRow::named(&args.rows)?;
    let budget = match (args.minutes_per_row, args.steps_per_row) {
        (Some(minutes), _) if minutes.is_finite() && minutes > 0.0 => Budget::Minutes(minutes),
        (Some(minutes), _) => bail!("--minutes-per-row {minutes}: expected a number above 0"),
        (None, Some(steps)) => Budget::Steps(steps),
        (None, None) => bail!("say how long each row trains: --minutes-per-row N or --steps-per-row N"),
    };
    let base = Base::of(args)?;
    let prepared = PreparedDataset::open(&base.data)?;
    let part = match args.split {
        Split::Train => Part::Train,
        Split::Val => Part::Validation,
        Split::Test => Part::Test,
    };
    for fold in &args.folds.0 {
        if prepared.part(*fold, part)?.is_empty() {
            bail!(
                "{}: the {} part of fold {fold} has no cases; choose another with --split",
                base.data.display(),
                part.name()
            );
        }
    }
    let plan = StudyPlan {
        program: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
        dataset: prepared.dataset.name.clone(),
        title: prepared.dataset.title.clone(),
        part,
        folds: args.folds.0.clone(),
        seeds: args.seeds.0.iter().map(|seed| *seed as u64).collect(),
        budget,
        click_sets: args.clicks.get(),
        click_seed: global.seed.unwrap_or_default(),
        tolerance: Tolerance::PUBLISHED,
        jobs: args.jobs.get(),
        base: base.text()?,
    };
    let units = Unit::all(&rows, &plan, &base, &prepared, out, args.size)?;
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = global.threads.map_or_else(|| (cores / args.jobs.get()).max(1), NonZeroUsize::get);
    let stop = stop::on_signal().context("cannot catch signals")?;
    let runner = child::Runner::new(global, threads, &stop)?;
    let study = work(&units, &rows, &plan, out, &runner)?;
    output::emit(&results::Printed { study: &study, out }, global.json)?;
    finish(&study, &stop, &units)
}

/// Runs the units, `plan.jobs` at a time, and writes the results whenever one is done.
fn work(
    units: &[Unit],
    rows: &[&'static StudyRow],
    plan: &StudyPlan,
    out: &Path,
    runner: &child::Runner<'_>,
) -> anyhow::Result<Study> {
    let queue: Mutex<VecDeque<&Unit>> = Mutex::new(units.iter().collect());
    let failures: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::new());
    let written: Mutex<anyhow::Result<()>> = Mutex::new(Ok(()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..plan.jobs.min(units.len()) {
            scope.spawn(|| {
                while let Some(unit) = next() {
                    if runner.is_stopped() {
                        break;
                    }
                    tracing::info!("{} ({} of {})", unit.name(), unit.number + 1, units.len());
                    if let Err(error) = unit.run(plan, runner) {
                        let text = output::one_line(&error);
                        tracing::error!("{}: {text}", unit.name());
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push((unit.number, text));
                    }
                    let failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                    *written =
                        gather(units, rows, plan, &failures).and_then(|study| results::write(&study, out));
                }
            });
        }
    });
    written.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    let study = gather(units, rows, plan, &failures)?;
    results::write(&study, out)?;
    Ok(study)
}

/// The study as far as it is done.
fn gather(
    units: &[Unit],
    rows: &[&'static StudyRow],
    plan: &StudyPlan,
    failures: &[(usize, String)],
) -> anyhow::Result<Study> {
    let mut results: Vec<UnitResult> = Vec::new();
    for unit in units {
        let failure = failures.iter().find(|(number, _)| *number == unit.number);
        results.extend(unit.results(plan, failure.map(|(_, text)| text.as_str()))?);
    }
    Ok(Study::of(plan.clone(), rows, results)?)
}

fn finish(study: &Study, stop: &AtomicBool, units: &[Unit]) -> anyhow::Result<()> {
    let failed: Vec<_> = study.failures().collect();
    if stop.load(Ordering::Relaxed) {
        tracing::warn!("stopped by a signal, and saved; the same command resumes it");
        return Ok(());
    }
    let Some((unit, failure)) = failed.first() else { return Ok(()) };
    bail!(
        "{} of {} units failed; the same command tries them again. The first is {}, fold {}, seed {}: {failure}",
        failed.len(),
        study.units.len().max(units.len()),
        unit.row,
        unit.fold,
        unit.seed
    )
}
