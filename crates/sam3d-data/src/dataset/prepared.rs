use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Case, CaseId, Dataset, DatasetError};
use crate::splits::{Part, Split};
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};

/// The splits a dataset was prepared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splits {
    /// Seed they were drawn from.
    pub seed: u64,
    /// One split, or one for each fold of a cross-validation.
    pub folds: Vec<Split>,
}

/// A dataset whose cases were found, checked and split.
///
/// A prepared directory holds `dataset.toml`, `cases.json` and `splits.json`. The volumes stay where they are; their paths
/// are relative to the directory where they lie below it, and absolute elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedDataset {
    /// What the dataset is, as it was when it was prepared.
    pub dataset: Dataset,
    /// All cases, sorted by id.
    pub cases: Vec<Case>,
    /// Which case is for what.
    pub splits: Splits,
}

const DATASET_FILE: &str = "dataset.toml";
const CASES_FILE: &str = "cases.json";
const SPLITS_FILE: &str = "splits.json";

impl PreparedDataset {
    /// Opens the prepared directory `directory`.
    ///
    /// # Errors
    /// [`DatasetError::NotPrepared`] with the file that is missing, [`DatasetError::PreparedDamaged`],
    /// [`DatasetError::Description`], [`DatasetError::CaseUnknown`] if a split names a case that is not listed.
    pub fn open(directory: &Path) -> Result<Self, DatasetError> {
        let dataset =
            Dataset::parse(&read_text(&directory.join(DATASET_FILE))?, &directory.join(DATASET_FILE))?;
        let mut cases: Vec<Case> = read_json(&directory.join(CASES_FILE))?;
        for case in &mut cases {
            // An absolute path replaces the directory it is joined to.
            case.image = directory.join(&case.image);
            case.label = directory.join(&case.label);
        }
        let splits: Splits = read_json(&directory.join(SPLITS_FILE))?;
        let known: BTreeSet<&CaseId> = cases.iter().map(|case| &case.id).collect();
        let mut named =
            splits.folds.iter().flat_map(|fold| fold.train.iter().chain(&fold.validation).chain(&fold.test));
        if let Some(case) = named.find(|id| !known.contains(id)) {
            return Err(DatasetError::CaseUnknown { path: directory.join(SPLITS_FILE), case: case.clone() });
        }
        Ok(Self { dataset, cases, splits })
    }

    /// Writes the three files into `directory`, which is created if need be, and replaces those of an earlier
    /// preparation. `splits.json`, without which the directory counts as not prepared, comes last.
    ///
    /// # Errors
    /// [`DatasetError::Io`] with the path that cannot be written, [`DatasetError::Read`] if a case's path cannot be made
    /// absolute.
    pub fn write(&self, directory: &Path) -> Result<(), DatasetError> {
        fs::create_dir_all(directory).map_err(IoError::write(directory))?;
        let root = absolute(directory)?;
        let cases = self
            .cases
            .iter()
            .map(|case| {
                let [image, label] = [&case.image, &case.label].map(|path| portable(&root, path));
                Ok(Case { image: image?, label: label?, ..case.clone() })
            })
            .collect::<Result<Vec<_>, DatasetError>>()?;
        let path = directory.join(DATASET_FILE);
        let text = toml::to_string_pretty(&self.dataset)
            .map_err(|source| DatasetError::Serialize { path: path.clone(), source: Box::new(source) })?;
        atomic::write(&path, Overwrite::Replace, |file| file.write_all(text.as_bytes()))?;
        write_json(&directory.join(CASES_FILE), &cases)?;
        write_json(&directory.join(SPLITS_FILE), &self.splits)
    }

    /// The cases of one part of a fold (0 without cross-validation), sorted by id.
    ///
    /// # Errors
    /// [`DatasetError::FoldMissing`].
    pub fn part(&self, fold: usize, part: Part) -> Result<Vec<&Case>, DatasetError> {
        let folds = self.splits.folds.len();
        let split = self.splits.folds.get(fold).ok_or(DatasetError::FoldMissing { fold, folds })?;
        let wanted: BTreeSet<&CaseId> = split.part(part).iter().collect();
        Ok(self.cases.iter().filter(|case| wanted.contains(&case.id)).collect())
    }
}

fn read_text(path: &Path) -> Result<String, DatasetError> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DatasetError::NotPrepared { path: path.to_owned() },
        _ => DatasetError::Read { path: path.to_owned(), source },
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, DatasetError> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|source| DatasetError::PreparedDamaged { path: path.to_owned(), source })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DatasetError> {
    atomic::write(path, Overwrite::Replace, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })?;
    Ok(())
}

/// `path` relative to `root` if it lies below, so that the directory can be moved; else absolute.
fn portable(root: &Path, path: &Path) -> Result<PathBuf, DatasetError> {
    let path = absolute(path)?;
    Ok(path.strip_prefix(root).map(Path::to_owned).unwrap_or(path))
}

fn absolute(path: &Path) -> Result<PathBuf, DatasetError> {
    path.canonicalize().map_err(|source| DatasetError::Read { path: path.to_owned(), source })
}
