//! From a published dataset, or generated phantoms, to a [`PreparedDataset`]: archives are unpacked, cases checked and
//! split.
//!
//! [`unpack()`] or [`generate`], then [`check`] (or [`write_shard`] by several jobs and [`merge_shards`]), then
//! [`prepare`].

mod checked;
mod demo;
mod error;
mod import;
mod shards;
mod unpack;

use std::{collections::BTreeSet, path::Path};

pub use checked::{CheckedCase, Outcome, check};
pub use demo::generate;
pub use error::{PreparationError, UnpackError};
pub use import::read_splits;
pub use shards::{merge_shards, write_shard};
pub use unpack::unpack;

use crate::{
    dataset::{Case, CaseId, Dataset, PreparedDataset, Splits, target_statistics},
    progress::{OnProgress, Progress, Stage},
    splits::{self, Split},
};

/// Where splits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitSource<'a> {
    /// One split drawn at random, or the published one where all published cases are there in the published numbers.
    Random,
    /// A cross-validation of so many folds.
    Folds(usize),
    /// The published list in this file ([`read_splits`]).
    Published(&'a Path),
}

/// How a dataset is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreparationOptions<'a> {
    /// Seed of the splits.
    pub seed: u64,
    /// Where they come from.
    pub splits: SplitSource<'a>,
    /// Take the normalisation from the training cases of the first fold, instead of the dataset's description.
    pub fit_intensity: bool,
}

/// Splits the usable ones of `checked` and writes them into `out`, with `report.csv`, which lists all of `checked`.
///
/// # Errors
/// [`PreparationError`] if no case is usable, the splits cannot be made, or a file cannot be read or written.
pub fn prepare(
    mut dataset: Dataset,
    checked: &[CheckedCase],
    out: &Path,
    options: &PreparationOptions<'_>,
    on_progress: OnProgress<'_>,
) -> Result<PreparedDataset, PreparationError> {
    let usable: Vec<Case> =
        checked.iter().filter(|checked| checked.is_usable()).map(|checked| checked.case.clone()).collect();
    if usable.is_empty() {
        return Err(PreparationError::NoUsableCases { dataset: dataset.name, cases: checked.len() });
    }
    let folds = folds(&dataset, &usable, checked, options)?;
    if options.fit_intensity {
        let wanted: BTreeSet<&CaseId> = folds.iter().take(1).flat_map(|fold| &fold.train).collect();
        let training: Vec<Case> = usable.iter().filter(|case| wanted.contains(&case.id)).cloned().collect();
        let (stage, total) = (Stage::Measuring, Some(training.len() as u64));
        on_progress(Progress::Begins { stage, done: 0, total });
        let found =
            target_statistics(&training, dataset.target_class, &|| on_progress(Progress::Advances(1)));
        on_progress(Progress::Ends);
        dataset.preprocessing.intensity = found?.intensity;
    }
    let prepared = PreparedDataset { dataset, cases: usable, splits: Splits { seed: options.seed, folds } };
    prepared.write(out)?;
    checked::write_report(&out.join("report.csv"), checked)?;
    Ok(prepared)
}

fn folds(
    dataset: &Dataset,
    usable: &[Case],
    checked: &[CheckedCase],
    options: &PreparationOptions<'_>,
) -> Result<Vec<Split>, PreparationError> {
    let ids: Vec<CaseId> = usable.iter().map(|case| case.id.clone()).collect();
    Ok(match options.splits {
        SplitSource::Published(path) => read_splits(path, dataset, checked)?,
        SplitSource::Folds(folds) if folds > ids.len() => {
            return Err(PreparationError::TooFewCases { folds, cases: ids.len() });
        }
        SplitSource::Folds(folds) => splits::folds(&ids, options.seed, folds),
        SplitSource::Random => vec![splits::random(&ids, options.seed, dataset.published_split)],
    })
}
