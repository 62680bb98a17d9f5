//! `cargo xtask prepare-data`: a dataset's cases, found, checked and split.

mod demo;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use rayon::prelude::*;
use sam3d_io::{
    dataset::{
        Case, CaseId, CaseProblem, Dataset, PreparedDataset, Splits, check_case, find_cases, fit_intensity,
    },
    splits::{self, Part},
};

use crate::workspace;

/// Most cases checked at once: each holds an image or a label in memory, which is 0.5 GB for 500 slices.
const CHECKED_AT_ONCE: usize = 4;

/// Generated cases: enough to split, few enough to be made within a minute.
const DEMO_CASES: u64 = 24;

/// Arguments of `cargo xtask prepare-data`.
#[derive(Debug, Args)]
pub(crate) struct PrepareDataArguments {
    /// Dataset: demo, kits21, lits17, msd-colon, msd-pancreas, sts-ct, or the path of a TOML file like those in datasets/
    #[arg(long, default_value = "demo", value_name = "NAME|FILE")]
    dataset: String,
    /// Directory with the dataset as it is published; `demo` is generated and needs none
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Directory to write to [default: data/NAME in the workspace]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of the splits, and of the generated cases
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Folds of a cross-validation instead of one split
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=100))]
    folds: Option<u16>,
    /// Take clip range, mean and deviation from the training cases (of the first fold) instead of the description
    #[arg(long)]
    fit_intensity: bool,
}

impl PrepareDataArguments {
    /// The generated dataset in the directory `out`.
    pub(crate) fn demo(out: PathBuf) -> Self {
        Self {
            dataset: "demo".to_owned(),
            source: None,
            out: Some(out),
            seed: 0,
            folds: None,
            fit_intensity: false,
        }
    }
}

/// Finds or generates the cases, checks and splits them, and writes what `sam3d train` reads.
///
/// # Errors
/// If no usable case is found, or a file cannot be written. Nothing is written before all cases were checked, except the
/// generated cases themselves.
pub(crate) fn run(arguments: &PrepareDataArguments) -> Result<()> {
    let mut dataset = Dataset::named_or_open(&arguments.dataset)?;
    let default_out = || workspace::root().join("data").join(&dataset.name);
    let out = arguments.out.clone().unwrap_or_else(default_out);
    let found = match &arguments.source {
        Some(source) => find_cases(&dataset, source)?,
        None if dataset.name == "demo" => demo::generate(&dataset, &out, arguments.seed, DEMO_CASES)?,
        None => bail!(
            "--source is missing: download {} from {} and name its directory",
            dataset.title,
            dataset.url
        ),
    };

    let checked = check(&dataset, found)?;
    let kept = report(&checked);
    if kept.is_empty() {
        bail!("{}: none of the {} cases can be used, nothing was written", dataset.name, checked.len());
    }
    let ids: Vec<CaseId> = kept.iter().map(|case| case.id.clone()).collect();
    let folds = match arguments.folds {
        Some(count) if usize::from(count) > ids.len() => {
            bail!("--folds {count}: there are only {} cases", ids.len())
        }
        Some(count) => splits::folds(&ids, arguments.seed, usize::from(count)),
        None => vec![splits::random(&ids, arguments.seed, dataset.published_split)],
    };
    if arguments.fit_intensity {
        let training: Vec<Case> =
            kept.iter().filter(|case| folds[0].train.contains(&case.id)).cloned().collect();
        dataset.preprocessing.intensity = fit_intensity(&training, dataset.target_class)?;
    }
    let prepared = PreparedDataset { dataset, cases: kept, splits: Splits { seed: arguments.seed, folds } };
    prepared.write(&out)?;

    let intensity = prepared.dataset.preprocessing.intensity;
    let [low, high] = intensity.clip_hu();
    println!(
        "intensities: {low} to {high} HU, mean {:.2}, standard deviation {:.2}",
        intensity.mean(),
        intensity.std()
    );
    for (number, fold) in prepared.splits.folds.iter().enumerate() {
        let [train, validation, test] =
            [Part::Train, Part::Validation, Part::Test].map(|part| fold.part(part).len());
        println!("fold {number}: {train} cases for training, {validation} for validation, {test} for test");
    }
    println!("{}: {} cases, ready for `sam3d train --data`", out.display(), prepared.cases.len());
    Ok(())
}

/// The first test case of the prepared directory `data`.
pub(crate) fn first_test_case(data: &Path) -> Result<Case> {
    let prepared = PreparedDataset::open(data)?;
    let case = prepared.part(0, Part::Test)?.first().copied().cloned();
    case.with_context(|| format!("{}: no case for test", data.display()))
}

/// Each case with what is wrong with it, if anything, in the order given.
fn check(dataset: &Dataset, cases: Vec<Case>) -> Result<Vec<(Case, Option<CaseProblem>)>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(CHECKED_AT_ONCE));
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
    Ok(pool.install(|| {
        cases
            .into_par_iter()
            .map(|case| {
                let problem = check_case(dataset, &case).err();
                (case, problem)
            })
            .collect()
    }))
}

/// Prints which cases are dropped and why, and returns the others.
fn report(checked: &[(Case, Option<CaseProblem>)]) -> Vec<Case> {
    let dropped: Vec<_> = checked
        .iter()
        .filter_map(|(case, problem)| problem.as_ref().map(|problem| (&case.id, problem)))
        .collect();
    println!(
        "{} cases found, {} usable, {} dropped",
        checked.len(),
        checked.len() - dropped.len(),
        dropped.len()
    );
    if !dropped.is_empty() {
        let width = dropped.iter().map(|(id, _)| id.as_str().len()).max().unwrap_or(0).max("dropped".len());
        println!("  {:<width$}  why", "dropped");
        for (id, problem) in dropped {
            println!("  {:<width$}  {}", id.as_str(), in_one_line(problem));
        }
    }
    checked.iter().filter(|(_, problem)| problem.is_none()).map(|(case, _)| case.clone()).collect()
}

/// The problem with all its causes.
fn in_one_line(problem: &CaseProblem) -> String {
    let mut text = problem.to_string();
    let mut cause = std::error::Error::source(problem);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
