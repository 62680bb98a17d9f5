//! The state of a volume's files, by which a change is noticed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A volume in the state it was read in: one that was replaced since, in whole or in part, is read again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) series: Option<String>,
    files: Vec<FileState>,
}

/// What changes when a file is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FileState {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    /// Number of the file, and the time at which the system changed anything of it, where there are such.
    identity: [i64; 3],
}

/// Levels of directories below a series, as many as the reader of DICOM looks into.
const LEVELS: usize = 8;

impl Source {
    /// The state of the files that may belong to the volume at `path`: of a header with a detached data file those beside
    /// it, of a directory all.
    fn now(path: PathBuf, series: Option<String>) -> io::Result<Self> {
        let is_directory = fs::metadata(&path)?.is_dir();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let is_header = [".mhd", ".nhdr", ".hdr", ".hdr.gz"].iter().any(|ending| name.ends_with(ending));
        let mut files = Vec::new();
        if is_directory {
            collect(&path, LEVELS, &mut files)?;
        } else if let Some(parent) = path.parent().filter(|_| is_header) {
            collect(parent, 1, &mut files)?;
        } else {
            files.push(FileState::of(path.clone())?);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { path, series, files })
    }

    /// The same, where waiting for the disk holds up nobody.
    pub(crate) async fn of(path: PathBuf, series: Option<String>) -> io::Result<Self> {
        tokio::task::spawn_blocking(move || Self::now(path, series)).await.map_err(io::Error::other)?
    }
}

impl FileState {
    fn of(path: PathBuf) -> io::Result<Self> {
        let metadata = fs::metadata(&path)?;
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt;
            [metadata.ino() as i64, metadata.ctime(), metadata.ctime_nsec()]
        };
        #[cfg(not(unix))]
        let identity = [0; 3];
        Ok(Self { path, bytes: metadata.len(), modified: metadata.modified().ok(), identity })
    }
}

/// The states of the files in `directory` and, down to `levels`, below.
fn collect(directory: &Path, levels: usize, files: &mut Vec<FileState>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            // A link to nowhere is no file of the volume.
            files.extend(FileState::of(entry.path()).ok());
        } else if levels > 1 {
            collect(&entry.path(), levels - 1, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_was_replaced_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("series/deep")).unwrap();
        let names = ["ct.nii", "ct.mhd", "ct.raw", "series/deep/slice"];
        names.iter().for_each(|name| fs::write(root.join(name), "old").unwrap());
        for (image, part) in [("ct.nii", "ct.nii"), ("ct.mhd", "ct.raw"), ("series", "series/deep/slice")] {
            let state = || Source::now(root.join(image), None).unwrap();
            let (before, part) = (state(), root.join(part));
            assert_eq!(before, state());
            // Of the same size and time, as a copy that keeps the times makes it.
            let modified = fs::metadata(&part).unwrap().modified().unwrap();
            fs::write(root.join("new"), "new").unwrap();
            fs::File::open(root.join("new")).unwrap().set_modified(modified).unwrap();
            fs::rename(root.join("new"), &part).unwrap();
            assert_ne!(before, state(), "{image}");
        }
        assert!(Source::now(root.join("missing"), None).is_err());
    }
}
