//! Published lists of splits: JSON, pickles, and text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use sam3d_io::{IoError, volume_ending};
use sam3d_pickle::{Limits, Value};

use super::{
    checked::{CheckedCase, Outcome},
    error::PreparationError,
};
use crate::{
    dataset::{CaseId, Dataset},
    splits::{Part, Split},
};

/// The folds in the list at `path`, by the ids of the usable cases.
///
/// A list is a dictionary with `train`, `val` and `test`, a list of those, one for each fold, or a dictionary of those. A
/// part is a list of cases, each a name, a path or a pair of paths, or a dictionary of them. Names and paths are taken for
/// the case whose id they are, or which the dataset's layout reads in them.
///
/// # Errors
/// [`PreparationError`] if the file is not such a list, or names cases that are missing or unusable.
pub fn read_splits(
    path: &Path,
    dataset: &Dataset,
    checked: &[CheckedCase],
) -> Result<Vec<Split>, PreparationError> {
    let node = node_of(path)?;
    let folds = folds_of(&node);
    if folds.is_empty() {
        return Err(PreparationError::NoSplits { path: path.to_owned() });
    }
    let names = CaseNames::new(dataset, checked);
    let mut unmatched = BTreeSet::new();
    let mut splits = Vec::new();
    for fold in folds {
        let mut split = Split::default();
        let mut seen = BTreeMap::new();
        for (part, node) in fold {
            let ids = match part {
                Part::Train => &mut split.train,
                Part::Validation => &mut split.validation,
                Part::Test => &mut split.test,
            };
            for candidates in entries(node) {
                let Some(id) = names.find(&candidates)? else {
                    // The key of an entry may be a mere number; its longest text is the best name.
                    let name = candidates.iter().max_by_key(|text| text.len());
                    unmatched.insert(name.map_or("an entry without a name", |name| name).to_string());
                    continue;
                };
                if let Some(other) = seen.insert(id.clone(), part) {
                    return Err(PreparationError::CaseInTwoParts {
                        path: path.to_owned(),
                        fold: splits.len(),
                        case: id,
                        first: other.name(),
                        second: part.name(),
                    });
                }
                ids.push(id);
            }
            ids.sort();
        }
        splits.push(split);
    }
    if !unmatched.is_empty() {
        return Err(PreparationError::CasesUnknown {
            path: path.to_owned(),
            count: unmatched.len(),
            usable: names.usable.len(),
            named: names.listed(&unmatched),
        });
    }
    Ok(splits)
}

/// A value of JSON or of a pickle.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Other,
}

fn node_of(path: &Path) -> Result<Node, PreparationError> {
    let bytes = fs::read(path).map_err(IoError::read(path))?;
    let invalid = |reason| PreparationError::SplitsFormat { path: path.to_owned(), reason };
    if bytes.first() == Some(&0x80) || bytes.starts_with(b"PK") {
        // Read as data: what a pickle would run is refused by name.
        return Ok(Node::from(&sam3d_pickle::read_bytes(bytes, path, &Limits::default())?));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("expected JSON, a pickle or text".to_owned()))?;
    if text.trim_start().starts_with(['{', '[']) {
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|source| PreparationError::SplitsJson { path: path.to_owned(), source })?;
        return Ok(Node::from(&value));
    }
    lines(&text).map_err(invalid)
}

/// Text with a part and a case on each line, in either order.
fn lines(text: &str) -> Result<Node, String> {
    let mut parts: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let words: Vec<&str> =
            line.split([',', ';', '\t', ' ']).map(str::trim).filter(|word| !word.is_empty()).collect();
        let (part, case) = match words[..] {
            [first, second] => match (part_of(first), part_of(second)) {
                (Some(part), _) => (part, second),
                (None, Some(part)) => (part, first),
                (None, None) => {
                    return Err(format!(
                        "line {}: expected train, val or test beside a case, found {line:?}",
                        number + 1
                    ));
                }
            },
            _ => return Err(format!("line {}: expected a part and a case, found {line:?}", number + 1)),
        };
        parts.entry(part.name()).or_default().push(Node::Text(case.to_owned()));
    }
    Ok(Node::Map(parts.into_iter().map(|(part, cases)| (part.to_owned(), Node::List(cases))).collect()))
}

impl From<&serde_json::Value> for Node {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Number(number) => Self::Text(number.to_string()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
            _ => Self::Other,
        }
    }
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Str(text) => Self::Text(text.to_string()),
            Value::Int(number) => Self::Text(number.to_string()),
            Value::List(items) | Value::Tuple(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Dict(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (key.to_string(), Self::from(value))).collect())
            }
            _ => Self::Other,
        }
    }
}

fn part_of(name: &str) -> Option<Part> {
    match name.to_lowercase().as_str() {
        "train" | "training" | "tr" => Some(Part::Train),
        "val" | "valid" | "validation" | "dev" => Some(Part::Validation),
        "test" | "testing" | "ts" => Some(Part::Test),
        _ => None,
    }
}

/// The parts of every fold.
fn folds_of(node: &Node) -> Vec<Vec<(Part, &Node)>> {
    match node {
        Node::Map(entries) => {
            let parts: Vec<_> =
                entries.iter().filter_map(|(key, node)| Some((part_of(key)?, node))).collect();
            if parts.is_empty() {
                entries.iter().flat_map(|(_, node)| folds_of(node)).collect()
            } else {
                vec![parts]
            }
        }
        Node::List(items) => items.iter().flat_map(folds_of).collect(),
        Node::Text(_) | Node::Other => Vec::new(),
    }
}

/// The cases of a part, each with its possible names.
fn entries(part: &Node) -> Vec<Vec<&str>> {
    match part {
        Node::List(items) => items.iter().map(texts).collect(),
        Node::Map(items) => items
            .iter()
            .map(|(key, node)| std::iter::once(key.as_str()).chain(texts(node)).collect())
            .collect(),
        Node::Text(text) => vec![vec![text]],
        Node::Other => Vec::new(),
    }
}

fn texts(node: &Node) -> Vec<&str> {
    match node {
        Node::Text(text) => vec![text],
        Node::List(items) => items.iter().flat_map(texts).collect(),
        Node::Map(items) => items.iter().flat_map(|(_, node)| texts(node)).collect(),
        Node::Other => Vec::new(),
    }
}

/// The cases, found by name or path.
struct CaseNames<'a> {
    dataset: &'a Dataset,
    usable: BTreeSet<&'a str>,
    dropped: BTreeMap<&'a str, &'a str>,
}

impl<'a> CaseNames<'a> {
    fn new(dataset: &'a Dataset, checked: &'a [CheckedCase]) -> Self {
        let mut names = Self { dataset, usable: BTreeSet::new(), dropped: BTreeMap::new() };
        for CheckedCase { case, outcome } in checked {
            match outcome {
                Outcome::Usable(_) => {
                    names.usable.insert(case.id.as_str());
                }
                Outcome::Dropped(why) => {
                    names.dropped.insert(case.id.as_str(), why);
                }
            }
        }
        names
    }

    /// The usable case that one of `candidates` names.
    fn find(&self, candidates: &[&str]) -> Result<Option<CaseId>, PreparationError> {
        for candidate in candidates {
            for id in self.ids_in(candidate)? {
                if self.usable.contains(id.as_str()) {
                    return Ok(Some(CaseId::new(id)?));
                }
            }
        }
        Ok(None)
    }

    /// What `text` may mean, the likeliest first: an id, a path of the layout, a path with an id in it.
    fn ids_in(&self, text: &str) -> Result<Vec<String>, PreparationError> {
        let mut ids = vec![text.to_owned()];
        ids.extend(self.dataset.layout.case_of_path(text)?.map(String::from));
        for component in text.split(['/', '\\']).rev() {
            ids.push(component.to_owned());
            // Lists name volumes, and the arrays that other programs made of them.
            let ending = volume_ending(component).or(component.ends_with(".npy").then_some(".npy"));
            ids.push(component[..component.len() - ending.map_or(0, str::len)].to_owned());
        }
        Ok(ids)
    }

    /// The names that match no usable case, with the reason where it is known.
    fn listed(&self, unmatched: &BTreeSet<String>) -> String {
        let named: Vec<String> = unmatched
            .iter()
            .take(5)
            .map(|name| {
                let ids = self.ids_in(name).unwrap_or_default();
                let why = ids.iter().find_map(|id| self.dropped.get(id.as_str()));
                why.map_or_else(|| name.clone(), |why| format!("{name} (dropped: {why})"))
            })
            .collect();
        let more = if unmatched.len() > named.len() { ", ..." } else { "" };
        format!("{}{more}", named.join(", "))
    }
}
