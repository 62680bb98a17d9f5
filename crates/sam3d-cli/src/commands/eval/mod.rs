//! `sam3d eval`: a method scored on a dataset's cases by the published protocol.

mod corrections;
mod inputs;
mod method;
mod table;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::ArrayView3;
use sam3d_data::{
    dataset::{Case, PreparedDataset},
    splits::Part,
};
use sam3d_eval::{
    CaseEvaluation, CaseResult, ClickScore, EvalConfig, Pipeline, Timings,
    records::{EvaluationDirectory, Existing, FORMAT_VERSION, Identity, write_json},
    report,
    scores::{Failure, Scores},
    summarise, summarise_corrections,
};
use sam3d_io::{
    Grid, IoError, ReadLimits,
    atomic::{self, Overwrite},
    nifti,
};
use sam3d_metrics::Tolerance;

use crate::{
    args::{EvalArgs, GlobalArgs, KeepMasks, ProtocolArg, Split},
    commands::weights,
    output, runtime,
};
use inputs::EvaluationInputs;
use table::Table;

/// Scores every case of the split, or of this job's share of it, and prints the summary.
///
/// # Errors
/// If weights or data cannot be read, or results cannot be written; after all cases are done, if any of them failed.
pub fn run(args: &EvalArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let source = EvaluationInputs::of(args, global)?;
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
    let corrections = corrections::config(args)?;
    let config = EvalConfig {
        // Corrections begin with one click, if with any.
        points: match corrections {
            Some(_) => vec![1],
            None => args.points.iter().map(|count| count.get()).collect(),
        },
        click_sets: args.clicks.get(),
        position: args.position.into(),
        tolerances: match args.protocol {
            Some(ProtocolArg::Imed3d) => vec![Tolerance::new(2.0)?],
            None => args.tolerance.clone(),
        },
        seed: global.seed.unwrap_or_default(),
        ball: args.ball,
        corrections,
    };
    let opened = method::open(args, &source, runtime::device(global.device)?)?;
    let identity = Identity {
        format_version: FORMAT_VERSION,
        method: opened.method.name().to_owned(),
        details: opened.method.details(),
        weights_sha256: opened.weights_sha256,
        dataset: prepared.dataset.name.clone(),
        target_class: prepared.dataset.target_class,
        part,
        fold: source.fold,
        cases: cases.iter().map(|case| case.id.to_string()).collect(),
        preprocessing: *opened.method.preprocessing(),
        precision: args.precision,
        config,
    };
    let pipeline = Pipeline {
        method: opened.method.as_ref(),
        target_class: identity.target_class,
        config: &identity.config,
        limits: ReadLimits::default(),
        readers: args.readers.get(),
    };
    let out = args.out.as_deref().map(|path| OutputDirectory::open(path, &identity, args)).transpose()?;
    let mine: Vec<&Case> = match args.shard {
        Some(shard) => shard.of(cases.iter().copied()),
        None => cases.clone(),
    };
    let (mut evaluated, mut failures) = evaluate(&pipeline, &mine, out.as_ref())?;
    if let (Some(shard), Some(out)) = (args.shard, &out) {
        // The job that finishes last finds a record of every case and writes the scores.
        let (finished, failed) = out.records(&cases)?;
        let done = finished.len() + failed.len();
        if done < cases.len() {
            tracing::info!(
                "shard {shard}: {done} of {} cases of the split are done; the job that finishes last writes the scores",
                cases.len()
            );
            return finish(&failures, mine.len());
        }
        (evaluated, failures) = (finished, failed);
    }
    let timings = Timings::of(evaluated.iter().map(CaseResult::case_timings).collect());
    let evaluations: Vec<CaseEvaluation> =
        evaluated.into_iter().map(|evaluated| evaluated.evaluation).collect();
    let scores = Scores {
        program: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
        summary: summarise(&identity.config, &evaluations),
        corrections: summarise_corrections(&identity.config, &evaluations),
        identity,
        weights: PathBuf::from(weights::names(&source.weights)),
        provenance: opened.provenance,
        tuned_parameters: opened.method.tuned_parameters(),
        failures,
        cases: evaluations,
    };
    if let Some(out) = &out {
        out.write(&scores, &timings, &prepared.dataset.title, &cases)?;
    }
    output::emit(&Table { scores: &scores, timings: &timings }, global.json)?;
    finish(&scores.failures, cases.len())
}

fn finish(failures: &[Failure], cases: usize) -> anyhow::Result<()> {
    let Some(first) = failures.first() else { return Ok(()) };
    bail!("{} of {cases} cases failed; the first is {}: {}", failures.len(), first.case, first.error)
}

/// Where results go.
struct OutputDirectory<'a> {
    path: &'a Path,
    directory: EvaluationDirectory,
    masks: KeepMasks,
    is_corrected: bool,
}

impl<'a> OutputDirectory<'a> {
    fn open(path: &'a Path, identity: &Identity, args: &EvalArgs) -> anyhow::Result<Self> {
        let existing = match (args.force, args.resume || args.shard.is_some()) {
            (true, _) => Existing::Replace,
            (false, true) => Existing::Resume,
            (false, false) => Existing::Refuse,
        };
        let directory = EvaluationDirectory::open(path, identity, existing)?;
        let masks = path.join("masks");
        if args.masks != KeepMasks::None {
            fs::create_dir_all(&masks).with_context(|| format!("cannot create {}", masks.display()))?;
        }
        let is_corrected = identity.config.corrections.is_some();
        Ok(Self { path, directory, masks: args.masks, is_corrected })
    }

    fn mask_path(&self, score: &ClickScore) -> PathBuf {
        let kind = if self.is_corrected { "corrections" } else { "points" };
        let name = format!("{}_{}{kind}_set{}.nii.gz", score.case, score.points, score.click_set);
        self.path.join("masks").join(name)
    }

    fn keep(&self, score: &ClickScore, mask: ArrayView3<'_, u8>, grid: &Grid) -> Result<(), IoError> {
        let wanted = match self.masks {
            KeepMasks::None => false,
            KeepMasks::First => score.click_set == 0,
            KeepMasks::All => true,
        };
        if wanted { nifti::write(&self.mask_path(score), mask, grid, Overwrite::Replace) } else { Ok(()) }
    }

    /// What is recorded of `cases`, by this and other jobs: those with scores and those that failed.
    fn records(&self, cases: &[&Case]) -> anyhow::Result<(Vec<CaseResult>, Vec<Failure>)> {
        let (mut evaluations, mut failures) = (Vec::new(), Vec::new());
        for case in cases {
            match self.directory.record(case.id.as_str())? {
                Some(evaluation) => evaluations.push(evaluation),
                None => failures.extend(self.directory.failure(case.id.as_str())?),
            }
        }
        Ok((evaluations, failures))
    }

    /// Writes `scores.json`, `cases.csv` and `report.html`; of corrections `corrections.csv` and `timings.json`, too.
    fn write(&self, scores: &Scores, timings: &Timings, title: &str, cases: &[&Case]) -> anyhow::Result<()> {
        write_json(&self.path.join(Scores::FILE), scores)?;
        let write_text = |name: &str, text: &str| {
            atomic::write(&self.path.join(name), Overwrite::Replace, |file| file.write_all(text.as_bytes()))
        };
        write_text("cases.csv", &scores.csv())?;
        if let Some(text) = scores.corrections_csv() {
            write_text(Scores::CORRECTIONS_FILE, &text)?;
            write_json(&self.path.join(Timings::FILE), timings)?;
        }
        let pictures = report::draw(scores, cases, &|score| self.mask_path(score));
        write_text("report.html", &report::page(scores, title, &pictures)?)?;
        Ok(())
    }
}

/// Scores the cases that have no scores yet; one that fails is recorded and does not stop the others.
fn evaluate(
    pipeline: &Pipeline<'_>,
    cases: &[&Case],
    out: Option<&OutputDirectory<'_>>,
) -> anyhow::Result<(Vec<CaseResult>, Vec<Failure>)> {
    let mut outcomes: Vec<Option<Result<CaseResult, Failure>>> = Vec::with_capacity(cases.len());
    for case in cases {
        let record = match out {
            Some(out) => out.directory.record(case.id.as_str())?,
            None => None,
        };
        outcomes.push(record.map(Ok));
    }
    let pending: Vec<usize> = (0..cases.len()).filter(|index| outcomes[*index].is_none()).collect();
    if pending.len() < cases.len() {
        tracing::info!("{} of {} cases are done already", cases.len() - pending.len(), cases.len());
    }
    let bar = ProgressBar::new(cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} cases, {eta} left, {msg}") {
        bar.set_style(style);
    }
    bar.set_position((cases.len() - pending.len()) as u64);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(500));
    let keep = |score: &ClickScore, mask: ArrayView3<'_, u8>, grid: &Grid| match out {
        Some(out) => out.keep(score, mask, grid),
        None => Ok(()),
    };
    let wanted: Vec<&Case> = pending.iter().map(|index| cases[*index]).collect();
    let result = pipeline.run(&wanted, &keep, &mut |index, outcome| {
        let saved = match (outcome, out) {
            (Ok(evaluation), Some(out)) => out.directory.save(&evaluation).map(|()| evaluation),
            (outcome, _) => outcome,
        };
        bar.set_message(wanted[index].id.to_string());
        bar.inc(1);
        let case = wanted[index].id.to_string();
        outcomes[pending[index]] = Some(saved.map_err(|error| {
            let failure = Failure { case, error: output::one_line(&error.into()) };
            if let Some(out) = out
                && let Err(error) = out.directory.save_failure(&failure)
            {
                tracing::warn!(
                    "the failure of {} is not recorded: {}",
                    failure.case,
                    output::one_line(&error.into())
                );
            }
            failure
        }));
    });
    bar.finish_and_clear();
    result?;
    let (mut evaluations, mut failures) = (Vec::new(), Vec::new());
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            Ok(evaluation) => evaluations.push(evaluation),
            Err(failure) => failures.push(failure),
        }
    }
    Ok((evaluations, failures))
}
