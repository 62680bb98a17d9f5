//! The key of an entry: a hash of the content of the case's files and of all settings that decide how they are prepared.

use std::{
    fs::{self, Metadata},
    io::Write,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sam3d_geom::{Preprocessing, hexadecimal, sha256_of_file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::Case;
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
    files_of_volume,
};

/// Raise this with every change of reading or preparation that changes a voxel.
const PREPARATION: u32 = 1;

/// Hashes of files, valid as long as the file is unchanged: `stamps/` in the cache.
#[derive(Debug)]
pub(super) struct FileHashes {
    directory: PathBuf,
}

/// A volume's files as they were when their content was hashed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    files: Vec<FileState>,
    sha256: String,
}

/// The state of a file, which differs after a change of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileState {
    path: PathBuf,
    bytes: u64,
    modified_ns: u128,
    /// Inode and time of the last change of either content or name: no program sets the latter back.
    identity: [u64; 3],
}

impl FileHashes {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The key of `case` with this preparation: hexadecimal digits.
    ///
    /// The files are read in full only if they are new or have changed.
    ///
    /// # Errors
    /// [`IoError`] that names the unreadable file, or the one with an invalid header.
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
        Ok(hexadecimal(&hash.finalize()))
    }

    /// SHA-256 of the content of the volume at `path`, from its stamp or from the files.
    fn content(&self, path: &Path) -> Result<String, IoError> {
        // Links stay: a header's data file lies beside the path that is read, wherever the header itself may be.
        let path = &std::path::absolute(path).map_err(IoError::read(path))?;
        let files = files_of_volume(path)?;
        let states = files.iter().map(|file| state(file)).collect::<Result<Vec<_>, _>>()?;
        let stamp = self
            .directory
            .join(format!("{}.json", hexadecimal(&Sha256::digest(path.as_os_str().as_encoded_bytes()))));
        let known = fs::read(&stamp).ok().and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
        if let Some(known) = known.filter(|known| known.files == states) {
            return Ok(known.sha256);
        }
        let mut hash = Sha256::new();
        for file in &files {
            let name = file.strip_prefix(path).unwrap_or(Path::new(""));
            hash.update(name.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(sha256_of_file(file).map_err(IoError::read(file))?);
        }
        let fresh = Stamp { files: states, sha256: hexadecimal(&hash.finalize()) };
        // A stamp only saves reading the file again: without it the cache is slower, not wrong.
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
    let metadata = fs::metadata(path).map_err(IoError::read(path))?;
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

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use sam3d_geom::Affine;
    use sam3d_io::{Grid, nifti};

    use super::*;

    /// Writes a volume of one voxel, in a file of always the same length.
    fn write_voxel(path: &Path, value: i16) {
        let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let grid = Grid::from_affine([1; 3], Affine::new(affine).unwrap()).unwrap();
        nifti::write(path, Array3::from_elem([1; 3], value).view(), &grid, Overwrite::Replace).unwrap();
    }

    #[test]
    fn content_is_read_once_and_again_when_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let stamps = FileHashes::new(directory.path().join("stamps"));
        fs::create_dir(&stamps.directory).unwrap();
        let path = directory.path().join("volume.nii");
        write_voxel(&path, 1);
        let first = stamps.content(&path).unwrap();
        // The stamp is believed: were the file read, its content would be found out.
        let stamp = fs::read_dir(&stamps.directory).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(&stamp).unwrap();
        fs::write(&stamp, text.replace(&first, "known")).unwrap();
        assert_eq!(stamps.content(&path).unwrap(), "known");

        // The same size and, set back, the same time of modification: still another content.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        write_voxel(&path, 2);
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        let second = stamps.content(&path).unwrap();
        assert!(second != first && second != "known");
        // A copy of the same content is the same, wherever it lies.
        write_voxel(&directory.path().join("copy.nii"), 1);
        assert_eq!(stamps.content(&directory.path().join("copy.nii")).unwrap(), first);
    }
}
