use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Case, CaseId, Dataset, DatasetError};

/// What a pattern has where the case id stands.
const PLACEHOLDER: &str = "{case}";

/// How a dataset's files are named, relative to its directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Path of an image, with `/` between components and `{case}` where the case id stands.
    pub image: String,
    /// Path of its label.
    pub label: String,
}

impl Layout {
    pub(super) fn validate(&self) -> Result<(), DatasetError> {
        for pattern in [&self.image, &self.label] {
            if !pattern.contains(PLACEHOLDER) {
                return Err(DatasetError::PatternWithoutCase { pattern: pattern.clone() });
            }
        }
        Ok(())
    }

    /// The file of the case `id` by `pattern`; the other of `.nii` and `.nii.gz` if only that one exists.
    fn path(source: &Path, pattern: &str, id: &str) -> PathBuf {
        let named = pattern.replace(PLACEHOLDER, id);
        let other = match named.strip_suffix(".gz") {
            Some(plain) => plain.to_owned(),
            None => format!("{named}.gz"),
        };
        let [named, other] = [named, other].map(|name| source.join(name));
        if !named.exists() && other.exists() { other } else { named }
    }
}

/// The cases below `source`, sorted by id: every image that is named as the dataset's layout says.
///
/// `source` may also be a directory above the one the layout is relative to, as long as only one of its subdirectories
/// holds cases: archives tend to unpack into a directory of their own. A label that is missing is found by
/// [`check_case`](super::check_case).
///
/// # Errors
/// [`DatasetError::Read`] if `source` cannot be listed, [`DatasetError::NoCases`] if nothing fits.
pub fn find_cases(dataset: &Dataset, source: &Path) -> Result<Vec<Case>, DatasetError> {
    let mut cases = cases_in(&dataset.layout, source)?;
    if cases.is_empty() {
        let found = subdirectories(source)?
            .iter()
            .map(|directory| cases_in(&dataset.layout, directory))
            .filter(|found| found.as_ref().map_or(true, |cases| !cases.is_empty()))
            .collect::<Result<Vec<_>, _>>()?;
        if let Ok([only]) = <[Vec<Case>; 1]>::try_from(found) {
            cases = only;
        }
    }
    if cases.is_empty() {
        return Err(DatasetError::NoCases {
            path: source.to_owned(),
            dataset: dataset.name.clone(),
            pattern: dataset.layout.image.clone(),
        });
    }
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(cases)
}

fn cases_in(layout: &Layout, source: &Path) -> Result<Vec<Case>, DatasetError> {
    let Some((directory, component)) = placed_component(&layout.image) else {
        return Ok(Vec::new());
    };
    let directory = source.join(directory);
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<CaseId> = names(&directory)?
        .iter()
        .filter_map(|name| id_from_name(component, name))
        .filter_map(|id| CaseId::new(id).ok())
        .collect();
    ids.sort();
    ids.dedup();
    let case = |id: CaseId| {
        let [image, label] =
            [&layout.image, &layout.label].map(|pattern| Layout::path(source, pattern, id.as_str()));
        image.is_file().then_some(Case { id, image, label })
    };
    Ok(ids.into_iter().filter_map(case).collect())
}

/// The directories before the first component with the placeholder, and that component.
fn placed_component(pattern: &str) -> Option<(&str, &str)> {
    let at = pattern.find(PLACEHOLDER)?;
    let start = pattern[..at].rfind('/').map_or(0, |slash| slash + 1);
    let end = pattern[at..].find('/').map_or(pattern.len(), |slash| at + slash);
    Some((&pattern[..start], &pattern[start..end]))
}

/// The case id in `name` if it fits `component`; `.gz` may be there or not.
fn id_from_name<'a>(component: &str, name: &'a str) -> Option<&'a str> {
    let (before, after) = component.split_once(PLACEHOLDER)?;
    // The same id twice in one component is more than this needs to take apart.
    let plain = |text: &'a str| text.strip_suffix(".gz").unwrap_or(text);
    let rest = plain(name).strip_prefix(before)?;
    rest.strip_suffix(after.strip_suffix(".gz").unwrap_or(after)).filter(|id| !id.is_empty())
}

fn names(directory: &Path) -> Result<Vec<String>, DatasetError> {
    let failed = |source| DatasetError::Read { path: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        // Names that are not UTF-8 are no case ids, and hidden files are a file manager's, not the dataset's.
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn subdirectories(source: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    Ok(names(source)?.into_iter().map(|name| source.join(name)).filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_from_the_challenges_names() {
        assert_eq!(placed_component("{case}/imaging.nii.gz"), Some(("", "{case}")));
        assert_eq!(placed_component("imagesTr/{case}.nii.gz"), Some(("imagesTr/", "{case}.nii.gz")));
        assert_eq!(id_from_name("{case}.nii.gz", "colon_001.nii.gz"), Some("colon_001"));
        assert_eq!(id_from_name("volume-{case}.nii", "volume-8.nii"), Some("8"));
        assert_eq!(id_from_name("volume-{case}.nii", "volume-8.nii.gz"), Some("8"));
        assert_eq!(id_from_name("volume-{case}.nii", "segmentation-8.nii"), None);
        assert_eq!(id_from_name("{case}", "case_00013"), Some("case_00013"));
    }
}
