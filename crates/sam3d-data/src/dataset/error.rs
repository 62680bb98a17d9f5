use std::{io, path::PathBuf};

use sam3d_geom::GeomError;

use super::CaseId;
use sam3d_io::IoError;

/// Why a dataset could not be described, found, prepared or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// Neither a known name nor a file.
    #[error("dataset {name:?} is neither a file nor one of {known}", known = known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// A description is not valid TOML or has a wrong field.
    #[error("{path}: not a valid dataset description", path = path.display())]
    Description {
        /// The file, or the name of an embedded one.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// The `dataset.json` of a directory in nnU-Net's format cannot be used.
    #[error("{path}: not a description of a data set in nnU-Net's format: {reason}", path = path.display())]
    NnunetDescription {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The images of a data set have several channels.
    #[error(
        "{path}: the images have {} channels ({}), expected one: a network here sees a CT alone; make a data set of one channel",
        channels.len(), channels.join(", "), path = path.display()
    )]
    SeveralChannels {
        /// The description.
        path: PathBuf,
        /// Names of the channels.
        channels: Vec<String>,
    },
    /// The target of a data set in nnU-Net's format is not clear.
    #[error(
        "{path}: {}; name one of the labels: {}",
        wanted.as_ref().map_or("several labels can be the target".to_owned(), |wanted| format!("no label {wanted}")),
        labels.join(", "), path = path.display()
    )]
    LabelUnknown {
        /// The description.
        path: PathBuf,
        /// The label that was asked for.
        wanted: Option<String>,
        /// Names and values of the labels that can be the target.
        labels: Vec<String>,
    },
    /// A layout's pattern does not say where the case id stands.
    #[error("layout pattern {pattern:?} must hold {{case}} in one path component at least")]
    PatternWithoutCase {
        /// The rejected pattern.
        pattern: String,
    },
    /// A layout's pattern is more than can be compared with paths.
    #[error("layout pattern {pattern:?} cannot be used")]
    PatternInvalid {
        /// The rejected pattern.
        pattern: String,
        /// Why.
        source: Box<regex::Error>,
    },
    /// Two files are of the same case.
    #[error(
        "case {case}: both {first} and {second} are its; make the layout's patterns more exact",
        first = first.display(), second = second.display()
    )]
    CaseTwice {
        /// The case.
        case: CaseId,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Several directories hold cases, and none of them was named.
    #[error(
        "{} directories hold cases of {dataset}, expected one; give one of them as the source: {}",
        directories.len(),
        directories.iter().take(4).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    SourceAmbiguous {
        /// The dataset's name.
        dataset: String,
        /// The directories.
        directories: Vec<PathBuf>,
    },
    /// A case id cannot name a file.
    #[error("case id {id:?} must be 1 to 100 letters, digits, '_', '-' or '.' and not start with '.'")]
    CaseIdInvalid {
        /// The rejected id.
        id: String,
    },
    /// A directory holds no case of the dataset.
    #[error(
        "{path}: no case of {dataset} found; expected images named {pattern}; give the directory that holds them as the source",
        path = path.display()
    )]
    NoCases {
        /// The directory that was searched.
        path: PathBuf,
        /// The dataset's name.
        dataset: String,
        /// The pattern of its images.
        pattern: String,
    },
    /// No case has a target voxel from which statistics could be taken.
    #[error("no target voxel in {cases} cases: intensity statistics cannot be computed")]
    NoTargetVoxels {
        /// How many cases were read.
        cases: usize,
    },
    /// A directory was not prepared, or not completely.
    #[error("{path}: not found, so the data set is not prepared", path = path.display())]
    NotPrepared {
        /// The file that was expected.
        path: PathBuf,
    },
    /// A prepared file is not what it should be.
    #[error("{path}: damaged; prepare the data set again", path = path.display())]
    PreparedDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// A split names a case that is not listed.
    #[error("{path}: names the case {case}, which cases.json does not list; prepare the data set again", path = path.display())]
    CaseUnknown {
        /// The file with the split.
        path: PathBuf,
        /// The case.
        case: CaseId,
    },
    /// A fold that does not exist was asked for.
    #[error("fold {fold} does not exist: the data was prepared with {folds}, numbered from 0")]
    FoldMissing {
        /// The fold asked for.
        fold: usize,
        /// How many there are.
        folds: usize,
    },
    /// A file or directory could not be read.
    #[error("{path}: cannot be read", path = path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A description could not be put into text.
    #[error("{path}: cannot be written as TOML", path = path.display())]
    Serialize {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<toml::ser::Error>,
    },
    /// A volume could not be read, or a file could not be written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Statistics do not make a valid normalisation.
    #[error(transparent)]
    Geometry(#[from] GeomError),
}
