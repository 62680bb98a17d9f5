//! The directory of studies, as a listing by id.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sam3d_io::{Format, volume_ending};

/// Directories below the studies' own that are looked into.
const DEPTH: usize = 6;
/// Files of a directory that are looked into to see whether it holds a DICOM series.
const LOOKED_AT: usize = 4;
/// Most studies that are listed.
const MOST: usize = 10_000;

/// A volume that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Study {
    /// What clients call it: its path below the directory without the ending.
    pub(crate) id: String,
    /// The own name of the file, or of the directory that holds a DICOM series.
    pub(crate) file_name: String,
    /// The file, or the directory.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The volumes of `directory` and below by id, without hidden files and without the directory `leave_out`. A directory
/// with DICOM slices is one volume.
///
/// The listing is made anew for each question, so that files may come and go. A client's id is a key into it and nothing
/// else: no text of a client becomes a path.
pub(crate) fn list(directory: &Path, leave_out: Option<&Path>) -> io::Result<BTreeMap<String, Study>> {
    let mut studies = BTreeMap::new();
    let mut waiting = vec![(directory.to_owned(), String::new(), 0)];
    while let Some((directory, prefix, depth)) = waiting.pop() {
        let mut entries: Vec<fs::DirEntry> = fs::read_dir(&directory)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut others = Vec::new();
        for entry in entries {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            // A link to a file is followed, because its owner put it there; one to a directory could lead in circles.
            let (Ok(kind), Ok(metadata)) = (entry.file_type(), fs::metadata(&path)) else { continue };
            if name.starts_with('.') || leave_out.is_some_and(|other| path == other) || studies.len() >= MOST
            {
                continue;
            }
            if kind.is_dir() && depth < DEPTH {
                waiting.push((path, format!("{prefix}{name}/"), depth + 1));
            } else if metadata.is_file()
                && let Some(stem) = stem(&name)
            {
                let short = format!("{prefix}{stem}");
                // Two files of one name in different formats: the second keeps its ending.
                let id = if studies.contains_key(&short) { format!("{prefix}{name}") } else { short };
                let study = Study { id: id.clone(), file_name: name, path, bytes: metadata.len() };
                studies.insert(id, study);
            } else if metadata.is_file() {
                others.push((path, metadata.len()));
            }
        }
        if let Some(study) = series(&directory, &prefix, &others) {
            studies.insert(study.id.clone(), study);
        }
    }
    Ok(studies)
}

/// The DICOM series of the files `others` in `directory`, if they begin as such.
fn series(directory: &Path, prefix: &str, others: &[(PathBuf, u64)]) -> Option<Study> {
    let is_slice = |path: &Path| Format::recognise(path).is_ok_and(|format| format == Format::Dicom);
    others.iter().take(LOOKED_AT).any(|(path, _)| is_slice(path)).then(|| {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let id = if prefix.is_empty() { name.clone() } else { prefix.trim_end_matches('/').to_owned() };
        let bytes = others.iter().map(|(_, bytes)| bytes).sum();
        Study { id, file_name: name, path: directory.to_owned(), bytes }
    })
}

/// The name without the ending of a volume; `None` if it has none.
pub(crate) fn stem(name: &str) -> Option<&str> {
    let ending = volume_ending(name)?;
    name.get(..name.len() - ending.len()).filter(|stem| !stem.is_empty())
}

/// The ending of a volume's name as one of a fixed list; empty if it has none of them.
pub(crate) fn ending(name: &str) -> &'static str {
    volume_ending(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_listed_by_name_without_ending() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in ["labels/final", "sub/deeper", "a/b/c/d/e/f/g", "1.2.840.7"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for name in [
            "one.nii.gz",
            "one.nrrd",
            "two.MHA",
            "notes.txt",
            ".hidden.nii",
            "labels/final/one.nii.gz",
            "sub/deeper/three.nii",
            "a/b/c/d/e/f/g/deep.nii",
            ".nii",
        ] {
            fs::write(root.join(name), "x").unwrap();
        }
        // A DICOM file begins with 128 bytes of anything and these four letters.
        let slice = [&[0; 128][..], b"DICM", &[0; 16]].concat();
        ["1.2.840.7/a", "1.2.840.7/b"].iter().for_each(|name| fs::write(root.join(name), &slice).unwrap());
        let studies = list(root, Some(&root.join("labels"))).unwrap();
        let ids: Vec<&str> = studies.keys().map(String::as_str).collect();
        assert_eq!(ids, ["1.2.840.7", "one", "one.nrrd", "sub/deeper/three", "two"]);
        assert_eq!(studies["two"].file_name, "two.MHA");
        assert_eq!(
            (studies["1.2.840.7"].path.clone(), studies["1.2.840.7"].bytes),
            (root.join("1.2.840.7"), 296)
        );
        assert!(list(&root.join("missing"), None).is_err());
    }

    #[test]
    fn endings_come_from_the_list() {
        assert_eq!((stem("a.b.nii.gz"), ending("a.b.NII.GZ")), (Some("a.b"), ".nii.gz"));
        assert_eq!((stem("../../etc/passwd"), ending("../../etc/passwd")), (None, ""));
    }
}
