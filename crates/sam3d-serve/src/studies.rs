//! The directory of studies, as a listing by id.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sam3d_io::{Format, volume_ending};

use crate::{series::Surveys, truths};

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
    /// Series Instance UID, if the directory holds several series.
    pub(crate) series: Option<String>,
    pub(crate) bytes: u64,
}

/// The volumes of `directory` and below by id, without hidden files, without the directory `leave_out`, and without labels that
/// lie beside their images. A directory with DICOM slices is one volume.
///
/// The listing is made anew for each question, so that files may come and go. A client's id is a key into it and nothing
/// else: no text of a client becomes a path.
pub(crate) fn list(
    directory: &Path,
    leave_out: Option<&Path>,
    surveys: &Surveys,
) -> io::Result<BTreeMap<String, Study>> {
    let mut studies = BTreeMap::new();
    // The same directory may be given in several ways.
    let leave_out = leave_out.and_then(|other| fs::canonicalize(other).ok());
    let is_left_out = |path: &Path| leave_out.is_some() && fs::canonicalize(path).ok() == leave_out;
    let mut waiting = vec![(directory.to_owned(), String::new(), 0)];
    while let Some((directory, prefix, depth)) = waiting.pop() {
        let entries = fs::read_dir(&directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(error),
            // One directory that may not be read, such as lost+found, does not hide the others.
            Err(error) => {
                tracing::debug!("{} is not listed: {error}", directory.display());
                continue;
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<String> =
            entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let beside = |own: &str| {
            let own = own.to_owned();
            names.iter().map(String::as_str).filter(move |name| *name != own && !name.starts_with('.'))
        };
        let mut others = Vec::new();
        for entry in entries {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            // A link to a file is followed, because its owner put it there; one to a directory could lead in circles.
            let (Ok(kind), Ok(metadata)) = (entry.file_type(), fs::metadata(&path)) else { continue };
            if name.starts_with('.') || studies.len() >= MOST {
                continue;
            }
            if kind.is_dir() && depth < DEPTH && !is_left_out(&path) {
                if truths::is_of_labels(&name, beside(&name)) {
                    continue;
                }
                waiting.push((path, format!("{prefix}{name}/"), depth + 1));
            } else if metadata.is_file()
                && let Some(stem) = stem(&name)
            {
                let is_segments = name.to_ascii_lowercase().ends_with(".seg.nrrd");
                let has_image = || beside(&name).any(|other| self::stem(other) == Some(stem));
                if truths::is_label(stem, beside(&name).filter_map(self::stem)) || is_segments && has_image()
                {
                    continue;
                }
                let short = format!("{prefix}{stem}");
                // Two files of one name in different formats: the second keeps its ending.
                let id = if studies.contains_key(&short) { format!("{prefix}{name}") } else { short };
                let study =
                    Study { id: id.clone(), file_name: name, path, series: None, bytes: metadata.len() };
                studies.insert(id, study);
            } else if metadata.is_file() {
                others.push((path, metadata.len()));
            }
        }
        for mut study in series(&directory, &prefix, &others, surveys) {
            // A file beside the directory has its name already.
            if studies.contains_key(&study.id) {
                study.id.push_str(" (DICOM)");
            }
            studies.insert(study.id.clone(), study);
        }
    }
    Ok(studies)
}

/// The DICOM series of the files `others` in `directory`, if they begin as such: a study of the directory's name, or several
/// with number and slices of each.
fn series(directory: &Path, prefix: &str, others: &[(PathBuf, u64)], surveys: &Surveys) -> Vec<Study> {
    let is_slice = |path: &Path| Format::recognise(path).is_ok_and(|format| format == Format::Dicom);
    if !others.iter().take(LOOKED_AT).any(|(path, _)| is_slice(path)) {
        return Vec::new();
    }
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = if prefix.is_empty() { name.clone() } else { prefix.trim_end_matches('/').to_owned() };
    let bytes: u64 = others.iter().map(|(_, bytes)| bytes).sum();
    let path = directory.to_owned();
    let several = surveys.several(directory, others);
    if several.is_empty() {
        return vec![Study { id, file_name: name, path, series: None, bytes }];
    }
    // Ids name files of labels: of what the slices say only the UID is used, which has digits and dots.
    let is_uid = |uid: &str| uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    several
        .into_iter()
        .filter(|series| is_uid(&series.uid))
        .map(|series| Study {
            id: format!("{id} ({})", series.uid),
            file_name: format!("{name}: {} of {} slices, {}", series.modality, series.images, series.uid),
            path: path.clone(),
            bytes: bytes * series.images as u64 / others.len().max(1) as u64,
            series: Some(series.uid),
        })
        .collect()
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
        let studies = list(root, Some(&root.join("labels")), &Surveys::default()).unwrap();
        let ids: Vec<&str> = studies.keys().map(String::as_str).collect();
        assert_eq!(ids, ["1.2.840.7", "one", "one.nrrd", "sub/deeper/three", "two"]);
        assert_eq!(studies["two"].file_name, "two.MHA");
        assert_eq!(
            (studies["1.2.840.7"].path.clone(), studies["1.2.840.7"].bytes),
            (root.join("1.2.840.7"), 296)
        );
        assert!(list(&root.join("missing"), None, &Surveys::default()).is_err());
    }

    #[test]
    fn a_directory_does_not_hide_others() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in ["lost+found", "ct", "labels/final"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let slice = [&[0; 128][..], b"DICM", &[0; 16]].concat();
        fs::write(root.join("ct/a"), &slice).unwrap();
        for name in ["ct.nii.gz", "labels/final/ct.nii.gz", "lost+found/hidden.nii"] {
            fs::write(root.join(name), "x").unwrap();
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(root.join("lost+found"), fs::Permissions::from_mode(0o000)).unwrap();
        }
        // The administrator can read everything.
        let is_readable = fs::read_dir(root.join("lost+found")).is_ok();
        let studies = list(root, Some(&root.join("lost+found/../labels")), &Surveys::default()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(root.join("lost+found"), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let ids: Vec<&str> = studies.keys().map(String::as_str).filter(|id| !id.contains("lost")).collect();
        assert_eq!(ids, ["ct", "ct (DICOM)"]);
        assert_eq!(studies["ct"].file_name, "ct.nii.gz");
        assert_eq!(studies.len(), if is_readable { 3 } else { 2 });
    }

    #[test]
    fn labels_beside_their_images_are_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for path in
            ["case_0/image.nii.gz", "case_0/label.nii.gz", "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"]
        {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "x").unwrap();
        }
        for name in ["lung.nrrd", "lung.seg.nrrd", "lone_label.nii"] {
            fs::write(root.join(name), "x").unwrap();
        }
        let ids: Vec<String> = list(root, None, &Surveys::default()).unwrap().into_keys().collect();
        assert_eq!(ids, ["case_0/image", "imagesTr/a_0000", "lone_label", "lung"]);
    }

    #[test]
    fn endings_come_from_the_list() {
        assert_eq!((stem("a.b.nii.gz"), ending("a.b.NII.GZ")), (Some("a.b"), ".nii.gz"));
        assert_eq!((stem("../../etc/passwd"), ending("../../etc/passwd")), (None, ""));
    }
}
