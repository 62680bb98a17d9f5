//! The card of a checkpoint: what weights were trained on, how well they do, and what they are not for.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// The largest header of a safetensors file that is read, in bytes; as in the crate `safetensors`.
const LARGEST_HEADER: u64 = 100_000_000;

/// The card of a checkpoint, stored as JSON in the file's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What the weights are, in a few words.
    pub title: String,
    /// The training data as the end of the sentence "trained on ...".
    pub trained_on: String,
    /// The training data in full: cases, origin, selection, preparation.
    pub data: String,
    /// Licence of the weights, and of the data.
    pub licence: String,
    /// Who must be named, and the publications to cite.
    pub attribution: String,
    /// The command that trained them.
    pub training: String,
    /// Seed of the training.
    pub seed: u64,
    /// Scores by what was measured, each with its interval if it has one.
    #[serde(default)]
    pub scores: BTreeMap<String, String>,
    /// What the weights are meant for.
    pub intended_use: String,
    /// What they must not be used for.
    pub not_for: String,
}

impl Card {
    /// The key in the file's metadata.
    pub(crate) const KEY: &'static str = "card";

    /// The card in a file's metadata; errors name the file as `path`.
    ///
    /// # Errors
    /// [`ModelError::Checkpoint`] if it cannot be parsed.
    pub(crate) fn from_metadata(text: Option<&String>, path: &Path) -> Result<Option<Self>, ModelError> {
        let understood = text.map(|text| serde_json::from_str(text)).transpose();
        understood.map_err(|error| ModelError::Checkpoint {
            path: path.to_owned(),
            detail: format!("cannot parse the card: {error}"),
        })
    }

    /// The card of the checkpoint at `path`, of which only the header is read; `None` if it has none.
    ///
    /// # Errors
    /// [`ModelError::File`], [`ModelError::NotSafetensors`], or [`ModelError::Checkpoint`] if the card cannot be parsed.
    pub fn of_file(path: &Path) -> Result<Option<Self>, ModelError> {
        let failed = |source| ModelError::File { action: "read", path: path.to_owned(), source };
        let header = read_header(path).map_err(failed)?;
        let header: Header = serde_json::from_slice(&header).map_err(|error| ModelError::NotSafetensors {
            path: path.to_owned(),
            detail: error.to_string(),
        })?;
        Self::from_metadata(header.metadata.get(Self::KEY), path)
    }

    /// The first field without text.
    pub fn empty_field(&self) -> Option<&'static str> {
        let fields = [
            ("title", &self.title),
            ("trained_on", &self.trained_on),
            ("data", &self.data),
            ("licence", &self.licence),
            ("attribution", &self.attribution),
            ("training", &self.training),
            ("intended_use", &self.intended_use),
            ("not_for", &self.not_for),
        ];
        fields.into_iter().find(|(_, text)| text.trim().is_empty()).map(|(name, _)| name)
    }
}

/// The needed part of a safetensors file's header, which is JSON after its length in 8 bytes.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: HashMap<String, String>,
}

/// The header; shorter if the file ends early.
fn read_header(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let (mut length, mut header) = (Vec::new(), Vec::new());
    file.by_ref().take(8).read_to_end(&mut length)?;
    if let Ok(length) = <[u8; 8]>::try_from(length.as_slice()) {
        file.take(u64::from_le_bytes(length).min(LARGEST_HEADER)).read_to_end(&mut header)?;
    }
    Ok(header)
}

impl fmt::Display for Card {
    /// A line for each field, its name in a column of 15 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed.to_string();
        let above = [
            ("card", &self.title),
            ("trained on", &self.trained_on),
            ("data", &self.data),
            ("licence", &self.licence),
            ("attribution", &self.attribution),
            ("training", &self.training),
            ("seed", &seed),
        ];
        let scores: Vec<(&str, String)> =
            self.scores.iter().map(|(name, score)| ("score", format!("{name}: {score}"))).collect();
        let below = [("intended use", &self.intended_use), ("not for", &self.not_for)];
        let fields = above.into_iter().chain(scores.iter().map(|(name, text)| (*name, text))).chain(below);
        for (name, text) in fields {
            // A text of several lines stays in its column.
            let text = text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n               ");
            writeln!(f, "{name:<15}{text}")?;
        }
        Ok(())
    }
}
