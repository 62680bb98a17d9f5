//! Datasets: what they are, where their files lie, and how a prepared one is kept.
//!
//! A dataset is described by a TOML file. Those of `datasets/` are part of the program and known by name
//! ([`Dataset::named`]); any other one is given as a path ([`Dataset::open`]).

mod case;
mod check;
mod comparison;
mod error;
mod layout;
mod prepared;
mod statistics;

use std::{fs, path::Path};

use sam3d_geom::Preprocessing;
use serde::{Deserialize, Serialize};

pub use case::{Case, CaseId};
pub use check::{CaseFacts, CaseProblem, check_case};
pub use comparison::comparison_preprocessing;
pub use error::DatasetError;
pub use layout::{Layout, find_cases};
pub use prepared::{PreparedDataset, Splits};
pub use statistics::{TargetStatistics, target_statistics};

use crate::{nnunet, splits::SplitCounts};

/// The embedded descriptions, by name.
const EMBEDDED: [(&str, &str); 6] = [
    ("demo", include_str!("../../datasets/demo.toml")),
    ("kits21", include_str!("../../datasets/kits21.toml")),
    ("lits17", include_str!("../../datasets/lits17.toml")),
    ("msd-colon", include_str!("../../datasets/msd-colon.toml")),
    ("msd-pancreas", include_str!("../../datasets/msd-pancreas.toml")),
    ("sts-ct", include_str!("../../datasets/sts-ct.toml")),
];

/// What is known of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Short name, as in commands.
    pub name: String,
    /// Name for readers.
    pub title: String,
    /// Licence of the data.
    pub licence: String,
    /// Whom to cite.
    pub citation: String,
    /// Where the data can be downloaded.
    pub url: String,
    /// How to come by the data: what has to be agreed to, and where it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access: String,
    /// The archive of it that may be fetched without a login, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<Download>,
    /// Values that occur in the label files; any whole numbers if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<u32>,
    /// Value of the target in the label files.
    pub target_class: u32,
    /// What the target is.
    pub target_name: String,
    /// Whether augmentation rotates and zooms within slices only, for data with thick slices.
    pub in_plane_augmentation: bool,
    /// Whether a label's voxels are those of its image, whatever the label's affine says, if there are as many: for data
    /// whose labels were written without their image's geometry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub labels_on_image_voxels: bool,
    /// Sizes of the published split, which apply where all its cases are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_split: Option<SplitCounts>,
    /// How the files are named.
    pub layout: Layout,
    /// How volumes become the network's input.
    pub preprocessing: Preprocessing,
}

/// An archive of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// Its address.
    pub url: String,
    /// Its MD5, 32 lower-case hexadecimal digits.
    pub md5: String,
    /// About how large it is, in GB.
    pub gb: f64,
}

impl Dataset {
    /// The names [`named`](Self::named) knows, sorted.
    pub fn names() -> Vec<&'static str> {
        EMBEDDED.iter().map(|(name, _)| *name).collect()
    }

    /// The embedded description `name`.
    ///
    /// # Errors
    /// [`DatasetError::Unknown`], which lists the names.
    pub fn named(name: &str) -> Result<Self, DatasetError> {
        let (_, text) = EMBEDDED
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| DatasetError::Unknown { name: name.to_owned(), known: Self::names() })?;
        Self::parse(text, Path::new(name))
    }

    /// The description in the TOML file `path`.
    ///
    /// # Errors
    /// [`DatasetError::Read`], [`DatasetError::Description`], [`DatasetError::PatternWithoutCase`].
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let text = fs::read_to_string(path)
            .map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// What a user typed: an embedded name, else the path of a TOML file or of a directory in nnU-Net's format with one label.
    ///
    /// # Errors
    /// [`DatasetError::Unknown`] if it is neither; as [`open`](Self::open).
    pub fn named_or_open(name_or_path: &str) -> Result<Self, DatasetError> {
        match Self::named(name_or_path) {
            Err(DatasetError::Unknown { .. }) if nnunet::is_nnunet(Path::new(name_or_path)) => {
                nnunet::describe(Path::new(name_or_path), None)
            }
            Err(DatasetError::Unknown { .. }) if Path::new(name_or_path).exists() => {
                Self::open(Path::new(name_or_path))
            }
            result => result,
        }
    }

    /// The name of what a user typed: an embedded name, the path of a TOML file, or a directory in nnU-Net's format.
    ///
    /// # Errors
    /// As [`named_or_open`](Self::named_or_open).
    pub fn name_of(name_or_path: &str) -> Result<String, DatasetError> {
        let path = Path::new(name_or_path);
        if Self::named(name_or_path).is_err() && nnunet::is_nnunet(path) {
            return Ok(nnunet::name_of(path));
        }
        Ok(Self::named_or_open(name_or_path)?.name)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, DatasetError> {
        let dataset: Self = toml::from_str(text).map_err(|source| DatasetError::Description {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        dataset.layout.validate()?;
        Ok(dataset)
    }
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Orientation;

    use super::*;

    #[test]
    fn embedded_descriptions_are_valid_and_bear_their_names() {
        for name in Dataset::names() {
            let dataset = Dataset::named(name).unwrap();
            assert_eq!(dataset.name, name);
            let text = toml::to_string(&dataset).unwrap();
            assert_eq!(Dataset::parse(&text, Path::new(name)).unwrap(), dataset, "{text}");
        }
    }

    /// The table of the published preprocessing: clip range, mean, standard deviation, class, axes, cases, split.
    #[test]
    fn published_values() {
        let check = |name: &str, clip, mean, std, class, axes, counts: [usize; 3], in_plane| {
            let dataset = Dataset::named(name).unwrap();
            let intensity = dataset.preprocessing.intensity;
            assert_eq!((intensity.clip_hu(), intensity.mean(), intensity.std()), (clip, mean, std), "{name}");
            assert_eq!(dataset.target_class, class, "{name}");
            let Orientation::AsStored(stored) = dataset.preprocessing.orientation else { panic!("{name}") };
            assert_eq!(stored.axes(), axes, "{name}");
            let split = dataset.published_split.unwrap();
            assert_eq!([split.train, split.validation, split.test], counts, "{name}");
            assert_eq!(dataset.in_plane_augmentation, in_plane, "{name}");
            assert_eq!(dataset.preprocessing.spacing_mm.mm(), [1.0; 3], "{name}");
        };
        check("kits21", [-54.0, 247.0], 59.53867, 55.457336, 2, [0, 1, 2], [209, 30, 61], false);
        check("msd-pancreas", [-39.0, 204.0], 68.45214, 63.422806, 2, [2, 1, 0], [196, 28, 57], true);
        check("lits17", [-48.0, 163.0], 60.057533, 40.198017, 2, [2, 1, 0], [83, 11, 24], false);
        check("msd-colon", [-57.0, 175.0], 65.175035, 32.651197, 1, [2, 1, 0], [89, 11, 26], true);
    }

    #[test]
    fn unknown_names_and_fields_are_refused() {
        let error = Dataset::named_or_open("kits19").unwrap_err().to_string();
        assert!(error.contains("kits21, lits17"), "{error}");
        let text = toml::to_string(&Dataset::named("demo").unwrap()).unwrap();
        let renamed = text.replace("target_name", "target");
        assert!(matches!(Dataset::parse(&renamed, Path::new("x")), Err(DatasetError::Description { .. })));
    }
}
