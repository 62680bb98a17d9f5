use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Case, CaseId, Dataset, DatasetError};

/// What a pattern has where the case id stands.
const PLACEHOLDER: &str = "{case}";
/// How many directories deep a dataset is looked through.
const MAX_DEPTH: usize = 8;
/// How many directories above the layout's own the source may be.
const MAX_ABOVE: usize = 3;

/// How a dataset's files are named, relative to its directory.
///
/// A pattern is a path with `/` between components. `{case}` stands for the case id, which it takes as much of as it can
/// within a component; where it stands twice, both are the same. `*` stands for any characters within a component, `?`
/// for one, and `**/` for any directories, or none. A `.gz` at the end may be there or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Pattern of an image.
    pub image: String,
    /// Pattern of its label.
    pub label: String,
}

impl Layout {
    pub(super) fn validate(&self) -> Result<(), DatasetError> {
        for pattern in [&self.image, &self.label] {
            if !pattern.contains(PLACEHOLDER) {
                return Err(DatasetError::PatternWithoutCase { pattern: pattern.clone() });
            }
            Pattern::new(pattern)?;
        }
        Ok(())
    }

    /// The id of the case that `path` belongs to, if its end is named as the layout's images or labels are; whatever
    /// directories come before.
    ///
    /// # Errors
    /// [`DatasetError::PatternInvalid`].
    pub fn case_of_path(&self, path: &str) -> Result<Option<CaseId>, DatasetError> {
        let path = path.replace('\\', "/");
        for pattern in [&self.image, &self.label] {
            if let Some(found) = Pattern::anywhere(pattern)?.find(path.trim_matches('/')) {
                return Ok(Some(found.id));
            }
        }
        Ok(None)
    }
}

/// The cases below `source`, sorted by id: every image that is named as the dataset's layout says.
///
/// `source` may also be a directory above the one the layout is relative to, as long as only one directory below it holds
/// cases: archives tend to unpack into a directory of their own. A label that is missing is found by
/// [`check_case`](super::check_case). Names that start with a dot are passed over.
///
/// # Errors
/// [`DatasetError::Read`] if `source` cannot be listed, [`DatasetError::NoCases`] if nothing fits,
/// [`DatasetError::SourceAmbiguous`] if several directories hold cases, [`DatasetError::CaseTwice`] if two images or
/// labels have the same case id.
pub fn find_cases(dataset: &Dataset, source: &Path) -> Result<Vec<Case>, DatasetError> {
    let files = paths_below(source)?;
    let images = Pattern::anywhere(&dataset.layout.image)?;
    let mut bases: BTreeMap<String, BTreeMap<CaseId, String>> = BTreeMap::new();
    for path in &files {
        let Some(found) = images.find(path) else { continue };
        if found.base.matches('/').count() > MAX_ABOVE {
            continue;
        }
        let cases = bases.entry(found.base).or_default();
        if let Some(first) = cases.insert(found.id.clone(), path.clone()) {
            return Err(twice(source, found.id, [&first, path]));
        }
    }
    // The directory that was named comes before those below it.
    let base = match bases.len() {
        _ if bases.contains_key("") => String::new(),
        0 => {
            return Err(DatasetError::NoCases {
                path: source.to_owned(),
                dataset: dataset.name.clone(),
                pattern: dataset.layout.image.clone(),
            });
        }
        1 => bases.keys().next().cloned().unwrap_or_default(),
        _ => {
            let directories = bases.into_keys().map(|base| source.join(base)).collect();
            return Err(DatasetError::SourceAmbiguous { dataset: dataset.name.clone(), directories });
        }
    };
    let mut labels = labels(dataset, source, &base, &files)?;
    let images = bases.remove(&base).unwrap_or_default();
    Ok(images
        .into_iter()
        .map(|(id, image)| {
            let expected = || format!("{base}{}", dataset.layout.label.replace(PLACEHOLDER, id.as_str()));
            let label = labels.remove(&id).unwrap_or_else(expected);
            Case {
                image: source.join(image),
                label: source.join(label),
                id,
                label_on_image_voxels: dataset.labels_on_image_voxels,
            }
        })
        .collect())
}

/// The labels in the directory `base` of `source`, by case.
fn labels(
    dataset: &Dataset,
    source: &Path,
    base: &str,
    files: &[String],
) -> Result<BTreeMap<CaseId, String>, DatasetError> {
    let pattern = Pattern::new(&dataset.layout.label)?;
    let mut labels = BTreeMap::new();
    for path in files {
        let found = path.strip_prefix(base).and_then(|relative| pattern.find(relative));
        if let Some(found) = found
            && let Some(first) = labels.insert(found.id.clone(), path.clone())
        {
            return Err(twice(source, found.id, [&first, path]));
        }
    }
    Ok(labels)
}

fn twice(source: &Path, case: CaseId, paths: [&String; 2]) -> DatasetError {
    let [first, second] = paths.map(|path| source.join(path));
    DatasetError::CaseTwice { case, first, second }
}

/// A layout's pattern, ready to be compared with paths.
struct Pattern {
    regex: Regex,
    /// How often the case id stands in it.
    captures: usize,
}

/// A path that fits a pattern.
struct Match {
    /// What comes before the pattern: empty, or directories that end in `/`.
    base: String,
    id: CaseId,
}

impl Pattern {
    /// The pattern from the start of a path on.
    fn new(pattern: &str) -> Result<Self, DatasetError> {
        Self::compile(pattern, "^(?P<base>)")
    }

    /// The pattern at the end of a path, after as few directories as can be.
    fn anywhere(pattern: &str) -> Result<Self, DatasetError> {
        Self::compile(pattern, "^(?P<base>(?:[^/]+/)*?)")
    }

    fn compile(pattern: &str, start: &str) -> Result<Self, DatasetError> {
        let plain = pattern.strip_suffix(".gz").unwrap_or(pattern);
        let (mut regex, mut rest, mut captures) = (start.to_owned(), plain, 0);
        while let Some(next) = rest.chars().next() {
            let (length, part) = if rest.starts_with(PLACEHOLDER) {
                captures += 1;
                (PLACEHOLDER.len(), format!("(?P<case{captures}>[^/]+)"))
            } else if rest.starts_with("**/") {
                (3, "(?:[^/]+/)*".to_owned())
            } else if next == '*' {
                (1, "[^/]*".to_owned())
            } else if next == '?' {
                (1, "[^/]".to_owned())
            } else {
                (next.len_utf8(), regex::escape(&rest[..next.len_utf8()]))
            };
            regex.push_str(&part);
            rest = &rest[length..];
        }
        regex.push_str(r"(?:\.gz)?$");
        let invalid =
            |source| DatasetError::PatternInvalid { pattern: pattern.to_owned(), source: Box::new(source) };
        Ok(Self { regex: Regex::new(&regex).map_err(invalid)?, captures })
    }

    fn find(&self, path: &str) -> Option<Match> {
        let captures = self.regex.captures(path)?;
        let ids: BTreeSet<&str> = (1..=self.captures)
            .map(|n| captures.name(&format!("case{n}")).map_or("", |m| m.as_str()))
            .collect();
        // A path with two ids, or with a name that cannot be an id, is not a case.
        let [id] = ids.into_iter().collect::<Vec<_>>()[..] else { return None };
        let id = CaseId::new(id.strip_suffix(".gz").unwrap_or(id)).ok()?;
        Some(Match { base: captures["base"].to_owned(), id })
    }
}

/// Every file and directory below `source` as a path relative to it with `/` between components, sorted. A directory may
/// be a volume: a series of slices.
fn paths_below(source: &Path) -> Result<Vec<String>, DatasetError> {
    let mut paths = Vec::new();
    let mut waiting = vec![(source.to_owned(), String::new(), 0)];
    while let Some((directory, prefix, depth)) = waiting.pop() {
        let failed = |source| DatasetError::Read { path: directory.clone(), source };
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Names that are not UTF-8 cannot be case ids, and hidden files belong to file managers, not to the dataset.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            if depth < MAX_DEPTH && entry.path().is_dir() {
                waiting.push((entry.path(), format!("{path}/"), depth + 1));
            }
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(pattern: &str, path: &str) -> Option<String> {
        Pattern::new(pattern).unwrap().find(path).map(|found| found.id.as_str().to_owned())
    }

    #[test]
    fn ids_from_the_challenges_names() {
        let check = |pattern, path, expected: Option<&str>| {
            assert_eq!(id(pattern, path).as_deref(), expected, "{path}")
        };
        check("imagesTr/{case}.nii.gz", "imagesTr/colon_001.nii.gz", Some("colon_001"));
        check("imagesTr/{case}.nii.gz", "imagesTr/colon_001.nii", Some("colon_001"));
        check("volume-{case}.nii", "volume-8.nii", Some("8"));
        check("volume-{case}.nii", "volume-8.nii.gz", Some("8"));
        check("volume-{case}.nii", "segmentation-8.nii", None);
        check("**/volume-{case}.nii", "Training Batch 1/volume-8.nii", Some("8"));
        check("**/volume-{case}.nii", "volume-8.nii", Some("8"));
        check("{case}/imaging.nii.gz", "case_00013/imaging.nii.gz", Some("case_00013"));
        check("{case}/imaging.nii.gz", "data/case_00013/imaging.nii.gz", None);
    }

    #[test]
    fn wildcards_and_repeated_ids() {
        let check = |pattern, path, expected: Option<&str>| {
            assert_eq!(id(pattern, path).as_deref(), expected, "{path}")
        };
        check("{case}/{case}_ct.nii.gz", "p1/p1_ct.nii.gz", Some("p1"));
        check("{case}/{case}_ct.nii.gz", "p1/p2_ct.nii.gz", None);
        check("{case}/*_ct?.nrrd", "p1/2020_ct3.nrrd", Some("p1"));
        check("{case}_*.nrrd", "p_1_b.nrrd", Some("p_1"));
        check("{case}/series", "p1/series", Some("p1"));
        check("a+b/{case}.nii", "a+b/1.nii", Some("1"));
        check("{case}.nii", "a b.nii", None);
    }

    #[test]
    fn a_path_from_elsewhere_names_its_case() {
        let layout =
            Layout { image: "imagesTr/{case}.nii.gz".into(), label: "labelsTr/{case}.nii.gz".into() };
        let case = |path: &str| layout.case_of_path(path).unwrap().map(String::from);
        assert_eq!(case("/imagesTr/colon_001.nii.gz").as_deref(), Some("colon_001"));
        assert_eq!(case("D:\\msd\\labelsTr\\colon_001.nii").as_deref(), Some("colon_001"));
        assert_eq!(case("colon_001"), None);
    }
}
