//! What an entry is known by: the content of the case's files, and all that decides how they are prepared.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sam3d_geom::Preprocessing;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::Case;
use sam3d_io::{
    Format, IoError,
    atomic::{self, Overwrite},
    dicom::StructureSet,
};

/// To be raised with every change of reading or preparing that changes a voxel.
const PREPARATION: u32 = 1;
/// The most files of one volume: a series of slices has some thousands.
const MAX_FILES: usize = 20_000;

/// Files whose content is known, by their state: `stamps/` in the cache.
#[derive(Debug)]
pub(super) struct Stamps {
    directory: PathBuf,
}

/// A volume's files as they were when their content was hashed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    files: Vec<FileState>,
    sha256: String,
}

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileState {
    path: PathBuf,
    bytes: u64,
    modified_ns: u128,
    /// Inode and time of the last change of either content or name: no program sets the latter back.
    identity: [u64; 3],
}

impl Stamps {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The key of `case` prepared as said: hexadecimal digits.
    ///
    /// The files are read whole when they are new or have changed, and not otherwise.
    ///
    /// # Errors
    /// [`IoError::Read`] that names the file which cannot be read.
    pub(super) fn key(
        &self,
        case: &Case,
        target_class: u32,
        preprocessing: &Preprocessing,
    ) -> Result<String, IoError> {
        let mut hash = Sha256::new();
        hash.update(format!("sam3d {} preparation {PREPARATION}\n", env!("CARGO_PKG_VERSION")));
        for path in [&case.image, &case.label] {
            hash.update(self.content(path)?);
            hash.update("\n");
        }
        if case.label_on_image_voxels {
            hash.update("label on the image's voxels\n");
        }
        // Mean and deviation are applied when a crop is drawn, so data with other statistics shares the entry.
        let Preprocessing { intensity, spacing_mm, orientation, interpolation } = preprocessing;
        hash.update(format!(
            "{:?} {:?} {orientation:?} {interpolation:?} {target_class}",
            intensity.clip_hu(),
            spacing_mm.mm()
        ));
        Ok(hex(&hash.finalize()))
    }

    /// SHA-256 of the content of the volume at `path`, from its stamp or from the files.
    fn content(&self, path: &Path) -> Result<String, IoError> {
        let failed = |source| IoError::Read { path: path.to_owned(), source };
        let path = &path.canonicalize().map_err(failed)?;
        let files = files_of(path)?;
        let states = files.iter().map(|file| state(file)).collect::<Result<Vec<_>, _>>()?;
        let stamp = self
            .directory
            .join(format!("{}.json", hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()))));
        let known = fs::read(&stamp).ok().and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
        if let Some(known) = known.filter(|known| known.files == states) {
            return Ok(known.sha256);
        }
        let mut hash = Sha256::new();
        for file in &files {
            let name = file.strip_prefix(path).unwrap_or(Path::new(""));
            hash.update(name.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash_file(file, &mut hash).map_err(|source| IoError::Read { path: file.clone(), source })?;
        }
        let fresh = Stamp { files: states, sha256: hex(&hash.finalize()) };
        // A stamp only saves reading the file again: a cache that takes none is slower and no less right.
        let written = atomic::write(&stamp, Overwrite::Replace, |file| {
            serde_json::to_writer(&mut *file, &fresh)?;
            file.write_all(b"\n")
        });
        if let Err(error) = written {
            tracing::debug!(%error, "a stamp was not written");
        }
        Ok(fresh.sha256)
    }
}

fn state(path: &Path) -> Result<FileState, IoError> {
    let metadata = fs::metadata(path).map_err(|source| IoError::Read { path: path.to_owned(), source })?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ns = modified.map_or(0, |time| time.as_nanos());
    Ok(FileState { path: path.to_owned(), bytes: metadata.len(), modified_ns, identity: identity(&metadata) })
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> [u64; 3] {
    use std::os::unix::fs::MetadataExt;
    [metadata.ino(), metadata.ctime().cast_unsigned(), metadata.ctime_nsec().cast_unsigned()]
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> [u64; 3] {
    [0; 3]
}

/// The files that hold the volume at `path`, in an order of their names: itself, the other half of a pair, the data file a
/// header names, or everything in a directory.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, IoError> {
    let failed = |source| IoError::Read { path: path.to_owned(), source };
    let mut files = Vec::new();
    if path.is_dir() {
        let mut waiting = vec![path.to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?.path();
                if entry.is_dir() { waiting.push(entry) } else { files.push(entry) }
            }
            if files.len() + waiting.len() > MAX_FILES {
                return Err(failed(io::Error::other(format!(
                    "more than {MAX_FILES} files in one directory"
                ))));
            }
        }
    } else if let Some(series) = directory_of_slice(path)? {
        return files_of(&series);
    } else {
        files.push(path.to_owned());
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        if plain.ends_with(".hdr") || plain.ends_with(".img") {
            let stem = path.with_extension("");
            let stem = if name.ends_with(".gz") { stem.with_extension("") } else { stem };
            for ending in ["hdr", "img", "hdr.gz", "img.gz"] {
                files.push(stem.with_extension(ending));
            }
        }
        if plain.ends_with(".nhdr") || plain.ends_with(".mhd") {
            files.extend(named_data_file(path).map_err(failed)?);
        }
        files.retain(|file| file.is_file());
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The directory in which the other slices of the DICOM file at `path` are, if it is a slice.
fn directory_of_slice(path: &Path) -> Result<Option<PathBuf>, IoError> {
    let is_slice =
        Format::recognise(path).is_ok_and(|format| format == Format::Dicom) && !StructureSet::is_at(path)?;
    Ok(path.parent().filter(|_| is_slice).map(Path::to_owned))
}

/// The data file that a NRRD or MetaImage header of text names, if any.
fn named_data_file(header: &Path) -> io::Result<Option<PathBuf>> {
    for line in BufReader::new(File::open(header)?.take(1 << 20)).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        let field =
            line.split_once([':', '=']).map(|(name, value)| (name.trim().to_lowercase(), value.trim()));
        if let Some((name, value)) = field
            && ["data file", "datafile", "elementdatafile"].contains(&name.as_str())
        {
            return Ok(Some(header.with_file_name(value)));
        }
    }
    Ok(None)
}

fn hash_file(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut file = File::open(path)?;
    hash.update(file.metadata()?.len().to_le_bytes());
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_volume_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["a.hdr", "a.img", "b.nii.gz", "c.raw", "other.img"] {
            fs::write(path(name), name).unwrap();
        }
        fs::write(path("c.mhd"), "NDims = 3\nElementDataFile = c.raw\n").unwrap();
        fs::write(path("d.nhdr"), "NRRD0004\ndata file: c.raw\n").unwrap();
        fs::create_dir(path("series")).unwrap();
        fs::write(path("series/2.dcm"), "").unwrap();
        fs::write(path("series/1.dcm"), "").unwrap();
        let names = |of: &str| -> Vec<String> {
            let files = files_of(&path(of)).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names("a.hdr"), ["a.hdr", "a.img"]);
        assert_eq!(names("a.img"), ["a.hdr", "a.img"]);
        assert_eq!(names("b.nii.gz"), ["b.nii.gz"]);
        assert_eq!(names("c.mhd"), ["c.mhd", "c.raw"]);
        assert_eq!(names("d.nhdr"), ["c.raw", "d.nhdr"]);
        assert_eq!(names("series"), ["1.dcm", "2.dcm"]);
    }

    #[test]
    fn content_is_read_once_and_again_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let stamps = Stamps::new(directory.path().join("stamps"));
        fs::create_dir(&stamps.directory).unwrap();
        let path = directory.path().join("volume");
        fs::write(&path, "one").unwrap();
        let first = stamps.content(&path).unwrap();
        // The stamp is believed: were the file read, its content would be found out.
        let stamp = fs::read_dir(&stamps.directory).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(&stamp).unwrap();
        fs::write(&stamp, text.replace(&first, "known")).unwrap();
        assert_eq!(stamps.content(&path).unwrap(), "known");

        // The same size and, set back, the same time of modification: still another content.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        let second = stamps.content(&path).unwrap();
        assert!(second != first && second != "known");
        // A copy of the same content is the same, wherever it lies.
        fs::write(directory.path().join("copy"), "one").unwrap();
        assert_eq!(stamps.content(&directory.path().join("copy")).unwrap(), first);
    }
}
