//! `cargo xtask prepare-data`: a dataset's cases, found, checked and split.

mod checked;
mod demo;
mod import;
mod shard;
mod source;
mod unpack;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use sam3d_data::{
    dataset::{Case, CaseId, Dataset, PreparedDataset, Splits, find_cases, target_statistics},
    splits::{self, Part, Split},
};

use self::{
    checked::Checked,
    shard::{Merge, Shard},
};
use crate::{progress, workspace};

/// Generated cases: enough to split, few enough to be made within a minute.
const DEMO_CASES: u64 = 24;

/// Arguments of `cargo xtask prepare-data`.
#[derive(Debug, Args)]
pub(crate) struct PrepareDataArguments {
    /// Dataset: demo, kits21, lits17, msd-colon, msd-pancreas, sts-ct, or the path of a TOML file like those in datasets/
    #[arg(long, default_value = "demo", value_name = "NAME|FILE")]
    dataset: String,
    /// The dataset as it is published: a directory, an archive (.tar, .tar.gz, .zip) or the address of one. Without it,
    /// `demo` is generated, msd-colon and msd-pancreas are downloaded, and for the others it says where they are
    #[arg(long, value_name = "DIR|ARCHIVE|URL")]
    source: Option<String>,
    /// Directory to write to [default: data/NAME in the workspace]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of the splits, and of the generated cases
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Folds of a cross-validation instead of one split
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=100), conflicts_with = "import_splits")]
    folds: Option<u16>,
    /// A published list of splits instead: JSON, a pickle, or text with a part and a case on each line
    #[arg(long, value_name = "FILE")]
    import_splits: Option<PathBuf>,
    /// Take clip range, mean and deviation from the training cases (of the first fold) instead of the description
    #[arg(long)]
    fit_intensity: bool,
    /// Check only part I (from 0) of N of the cases, for a job array; --merge puts the parts together
    #[arg(long, value_name = "I/N", conflicts_with_all = ["merge", "folds", "import_splits", "fit_intensity"])]
    shard: Option<Shard>,
    /// Put together what N jobs with --shard have checked, and split it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "source")]
    merge: Option<u32>,
    /// Take each label for its image's voxels, whatever the label's affine says, if there are as many
    #[arg(long)]
    labels_on_image_voxels: bool,
    /// The most that an archive may hold once unpacked, in GB
    #[arg(long, default_value_t = 500, value_name = "GB")]
    max_unpacked: u64,
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
            import_splits: None,
            fit_intensity: false,
            shard: None,
            merge: None,
            labels_on_image_voxels: false,
            max_unpacked: 500,
        }
    }
}

/// Finds or generates the cases, checks and splits them, and writes what `sam3d train` reads.
///
/// # Errors
/// If no usable case is found, or a file cannot be written. No list is written before all cases were checked.
pub(crate) fn run(arguments: &PrepareDataArguments) -> Result<()> {
    let mut dataset = Dataset::named_or_open(&arguments.dataset)?;
    dataset.labels_on_image_voxels |= arguments.labels_on_image_voxels;
    let default_out = || workspace::root().join("data").join(&dataset.name);
    let out = arguments.out.clone().unwrap_or_else(default_out);
    let checked = match (arguments.merge, arguments.shard) {
        (Some(count), _) => Merge { directory: &out, count }.read(&dataset)?,
        (None, Some(shard)) => {
            let found = found(arguments, &dataset, &out)?;
            let part = checked::check(&dataset, shard.of(&found))?;
            return shard.write(&out, &dataset, &found, part);
        }
        (None, None) => checked::check(&dataset, found(arguments, &dataset, &out)?)?,
    };

    checked::print(&checked);
    let kept: Vec<Case> =
        checked.iter().filter(|checked| checked.is_usable()).map(|checked| checked.case.clone()).collect();
    if kept.is_empty() {
        bail!("{}: none of the {} cases can be used, nothing was written", dataset.name, checked.len());
    }
    let folds = folds(arguments, &dataset, &kept, &checked)?;
    if arguments.fit_intensity {
        let training: Vec<Case> =
            kept.iter().filter(|case| folds[0].train.contains(&case.id)).cloned().collect();
        let bar = progress::cases(training.len());
        let found = target_statistics(&training, dataset.target_class, &|| bar.inc(1))?;
        bar.finish_and_clear();
        dataset.preprocessing.intensity = found.intensity;
    }
    let prepared = PreparedDataset { dataset, cases: kept, splits: Splits { seed: arguments.seed, folds } };
    prepared.write(&out)?;
    checked::write(&out.join("report.csv"), &checked)?;
    summarise(&prepared, &out);
    Ok(())
}

/// The cases, from wherever the arguments say.
fn found(arguments: &PrepareDataArguments, dataset: &Dataset, out: &Path) -> Result<Vec<Case>> {
    if arguments.source.is_none() && dataset.name == "demo" {
        if arguments.shard.is_some() {
            bail!("--shard: the demo's cases are generated here, there is nothing to share out");
        }
        return demo::generate(dataset, out, arguments.seed, DEMO_CASES);
    }
    let limit = arguments.max_unpacked.saturating_mul(1_000_000_000);
    let directory = source::directory(dataset, arguments.source.as_deref(), out, limit)?;
    Ok(find_cases(dataset, &directory)?)
}

fn folds(
    arguments: &PrepareDataArguments,
    dataset: &Dataset,
    kept: &[Case],
    checked: &[Checked],
) -> Result<Vec<Split>> {
    let ids: Vec<CaseId> = kept.iter().map(|case| case.id.clone()).collect();
    if let Some(path) = &arguments.import_splits {
        return import::read(path, dataset, checked);
    }
    Ok(match arguments.folds {
        Some(count) if usize::from(count) > ids.len() => {
            bail!("--folds {count}: there are only {} cases", ids.len())
        }
        Some(count) => splits::folds(&ids, arguments.seed, usize::from(count)),
        None => vec![splits::random(&ids, arguments.seed, dataset.published_split)],
    })
}

fn summarise(prepared: &PreparedDataset, out: &Path) {
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
}

/// The first test case of the prepared directory `data`.
pub(crate) fn first_test_case(data: &Path) -> Result<Case> {
    let prepared = PreparedDataset::open(data)?;
    let case = prepared.part(0, Part::Test)?.first().copied().cloned();
    case.with_context(|| format!("{}: no case for test", data.display()))
}
