use std::{error::Error, io, path::PathBuf};

use sam3d_io::IoError;
use sam3d_pickle::PickleError;

use crate::{
    dataset::{CaseId, DatasetError},
    shard::Shard,
};

/// Why a published dataset could not be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreparationError {
    /// The system starts no threads.
    #[error("cannot start threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// An archive is of another kind, damaged, or could do harm.
    #[error("{archive}: cannot be unpacked", archive = archive.display())]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// What is wrong with it.
        source: UnpackError,
    },
    /// A directory that was not unpacked from an archive is where one would be unpacked.
    #[error(
        "{directory}: is in the way of unpacking {archive}; remove it",
        directory = directory.display(), archive = archive.display()
    )]
    InTheWay {
        /// The directory.
        directory: PathBuf,
        /// The archive.
        archive: PathBuf,
    },
    /// No case can be used.
    #[error("{dataset}: none of the {cases} cases can be used, nothing was written")]
    NoUsableCases {
        /// The dataset's name.
        dataset: String,
        /// How many cases were checked.
        cases: usize,
    },
    /// A cross-validation of more folds than cases.
    #[error("{folds} folds need as many cases, there are only {cases} cases")]
    TooFewCases {
        /// Folds asked for.
        folds: usize,
        /// Usable cases.
        cases: usize,
    },
    /// A list of splits has no parts.
    #[error(
        "{path}: expected lists of cases named train, val and test, for one fold or several, found none",
        path = path.display()
    )]
    NoSplits {
        /// The file.
        path: PathBuf,
    },
    /// A list of splits is neither JSON, nor a pickle, nor text of parts and cases.
    #[error("{path}: {reason}", path = path.display())]
    SplitsFormat {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A list of splits begins as JSON.
    #[error("{path}: not valid JSON", path = path.display())]
    SplitsJson {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// A list of splits is a pickle that is refused or damaged.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// A list of splits has a case twice in one fold.
    #[error("{path}: fold {fold}: case {case} is in {first} and in {second}", path = path.display())]
    CaseInTwoParts {
        /// The file.
        path: PathBuf,
        /// The fold, from 0.
        fold: usize,
        /// The case.
        case: CaseId,
        /// Part in which it comes first.
        first: &'static str,
        /// Part in which it comes again.
        second: &'static str,
    },
    /// A list of splits names cases that are not there or cannot be used.
    #[error("{path}: {count} of its cases are not among the {usable} usable ones: {named}", path = path.display())]
    CasesUnknown {
        /// The file.
        path: PathBuf,
        /// How many cases.
        count: usize,
        /// How many usable cases there are.
        usable: usize,
        /// The first of them, with the reason where a case was dropped.
        named: String,
    },
    /// Shards have not been checked.
    #[error("{directory}: {} missing", missing_shards(shards), directory = directory.display())]
    ShardsMissing {
        /// The directory of shards.
        directory: PathBuf,
        /// Those that are missing.
        shards: Vec<Shard>,
    },
    /// The file of a shard is damaged.
    #[error("{path}: damaged; check this shard again", path = path.display())]
    ShardDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// A shard was checked with another dataset or other files than the first one.
    #[error("{path}: is of another dataset or another state of its files; check all shards again", path = path.display())]
    ShardDiffers {
        /// The file.
        path: PathBuf,
    },
    /// The shards do not make up the dataset.
    #[error(
        "{directory}: the shards do not make up the {cases} cases; check all of them again",
        directory = directory.display()
    )]
    ShardsIncomplete {
        /// The directory they lie in.
        directory: PathBuf,
        /// How many cases the dataset has.
        cases: usize,
    },
    /// A dataset could not be found, measured or written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A file or directory cannot be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// Another kind of file.
    #[error("expected a .tar, .tar.gz or .zip archive, found another kind of file")]
    NotAnArchive,
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// More files than any dataset has.
    #[error("it holds more than {limit} files")]
    TooManyFiles {
        /// The most that are unpacked.
        limit: usize,
    },
    /// More bytes than allowed.
    #[error("it holds more than {limit_gb} GB")]
    TooLarge {
        /// The most that is unpacked.
        limit_gb: u64,
    },
    /// A link or a device.
    #[error(
        "{name}: expected files and directories, found {kind}; unpack it yourself and name the directory",
        name = name.display()
    )]
    EntryKind {
        /// Name of the entry.
        name: PathBuf,
        /// What it is.
        kind: String,
    },
    /// A path that would leave the directory.
    #[error("{name}: leads outside the directory it is unpacked to", name = name.display())]
    Outside {
        /// Name of the entry.
        name: PathBuf,
    },
    /// An entry cannot be read or written.
    #[error("{name}", name = name.display())]
    Entry {
        /// Name of the entry.
        name: PathBuf,
        /// What the operating system or the decoder said.
        source: io::Error,
    },
    /// The archive cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The archive is not valid ZIP.
    #[error(transparent)]
    Zip(#[from] zip::result::ZipError),
}

fn missing_shards(shards: &[Shard]) -> String {
    let names: Vec<String> = shards.iter().map(ToString::to_string).collect();
    let (noun, verb) = if shards.len() == 1 { ("shard", "is") } else { ("shards", "are") };
    format!("{noun} {} {verb}", names.join(", "))
}

/// The error with all its causes.
pub(super) fn in_one_line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
