//! Unpacks untrusted archives: nothing is written outside the directory or beyond a limit, and the directory
//! appears whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use flate2::bufread::MultiGzDecoder;
use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};
use serde::{Deserialize, Serialize};
use tar::EntryType;

use super::error::{PreparationError, UnpackError};
use crate::progress::{OnProgress, Progress, Stage};

/// The most entries of an archive: KiTS21 has a hundred for each of 300 cases.
const MAX_ENTRIES: usize = 1_000_000;
/// The record of the archive in an unpacked directory.
const STAMP: &str = ".unpacked.json";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stamp {
    archive: String,
    bytes: u64,
    modified_ns: u128,
}

/// Unpacks `archive` (tar, gzipped or not, or zip; recognised by content) into a directory of its own below `out`, and
/// returns that. An archive that was unpacked before is not unpacked again.
///
/// # Errors
/// [`PreparationError::Archive`] if it is another kind of file, is damaged, holds links, devices or paths that lead outside, or
/// more than `limit_bytes`; nothing is left behind then.
pub fn unpack(
    archive: &Path,
    out: &Path,
    limit_bytes: u64,
    on_progress: OnProgress<'_>,
) -> Result<PathBuf, PreparationError> {
    let metadata = fs::metadata(archive).map_err(IoError::read(archive))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let modified_ns = modified.map_or(0, |time| time.as_nanos());
    let stamp = Stamp { archive: name.clone(), bytes: metadata.len(), modified_ns };

    let stem = [".gz", ".tgz", ".tar", ".zip"]
        .iter()
        .fold(name.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name));
    let parent = out.join("unpacked");
    let target = parent.join(stem.trim_start_matches('.'));
    let known =
        fs::read(target.join(STAMP)).ok().and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
    if known.as_ref() == Some(&stamp) {
        on_progress(Progress::UnpackedBefore(&target));
        return Ok(target);
    }
    if target.exists() && known.is_none() {
        return Err(PreparationError::InTheWay { directory: target, archive: archive.to_owned() });
    }
    fs::create_dir_all(&parent).map_err(IoError::write(&parent))?;
    let stage = Stage::Unpacking { archive, directory: &target };
    on_progress(Progress::Begins { stage, done: 0, total: Some(metadata.len()) });
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(&parent)
        .map_err(IoError::write(&parent))?;
    let mut sink =
        Unpacker { root: temporary.path(), left: limit_bytes, limit: limit_bytes, entries: 0, on_progress };
    let unpacked = sink.archive(archive);
    on_progress(Progress::Ends);
    unpacked.map_err(|source| PreparationError::Archive { archive: archive.to_owned(), source })?;
    atomic::write(&temporary.path().join(STAMP), Overwrite::Replace, |file| {
        serde_json::to_writer(&mut *file, &stamp)?;
        file.write_all(b"\n")
    })?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(IoError::write(&target))?;
    }
    let temporary = temporary.keep();
    fs::rename(&temporary, &target).map_err(IoError::write(&target))?;
    Ok(target)
}

/// The directory that entries are written to, and the remaining limits.
struct Unpacker<'a> {
    root: &'a Path,
    left: u64,
    limit: u64,
    entries: usize,
    on_progress: OnProgress<'a>,
}

/// A file that tells how much of it was read.
struct CountingReader<'a> {
    file: File,
    on_progress: OnProgress<'a>,
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        (self.on_progress)(Progress::Advances(count as u64));
        Ok(count)
    }
}

impl Unpacker<'_> {
    fn archive(&mut self, path: &Path) -> Result<(), UnpackError> {
        let mut file = File::open(path)?;
        let mut start = Vec::new();
        (&mut file).take(512).read_to_end(&mut start)?;
        file.seek(SeekFrom::Start(0))?;
        let is_tar = start.get(257..262) == Some(b"ustar");
        let on_progress = self.on_progress;
        match start.as_slice() {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => self.zip(BufReader::new(file)),
            [0x1f, 0x8b, ..] => {
                self.tar(MultiGzDecoder::new(BufReader::new(CountingReader { file, on_progress })))
            }
            _ if is_tar => self.tar(CountingReader { file, on_progress }),
            _ => Err(UnpackError::NotAnArchive),
        }
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), UnpackError> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.into_owned();
            match entry.header().entry_type() {
                EntryType::Directory => self.directory(&name)?,
                EntryType::Regular | EntryType::Continuous => self.file(&name, &mut entry)?,
                EntryType::XGlobalHeader => {}
                kind => return Err(UnpackError::EntryKind { name, kind: format!("a {kind:?}") }),
            }
        }
        if self.entries == 0 {
            return Err(UnpackError::Empty);
        }
        Ok(())
    }

    fn zip(&mut self, reader: impl Read + Seek) -> Result<(), UnpackError> {
        let mut archive = zip::ZipArchive::new(reader)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = PathBuf::from(entry.name()?.replace('\\', "/"));
            if entry.is_symlink() {
                return Err(UnpackError::EntryKind { name, kind: "a link".to_owned() });
            } else if entry.is_dir() {
                self.directory(&name)?;
            } else {
                self.file(&name, &mut entry)?;
            }
            (self.on_progress)(Progress::Advances(entry.compressed_size()));
        }
        Ok(())
    }

    fn directory(&mut self, name: &Path) -> Result<(), UnpackError> {
        let path = self.place(name)?;
        fs::create_dir_all(&path).map_err(|source| UnpackError::Entry { name: name.to_owned(), source })
    }

    fn file(&mut self, name: &Path, content: &mut impl Read) -> Result<(), UnpackError> {
        let path = self.place(name)?;
        let mut write = || -> io::Result<u64> {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            // A byte more than allowed tells a file that ends there from one that does not.
            io::copy(&mut content.take(self.left.saturating_add(1)), &mut File::create(&path)?)
        };
        let written = write().map_err(|source| UnpackError::Entry { name: name.to_owned(), source })?;
        self.left = self
            .left
            .checked_sub(written)
            .ok_or(UnpackError::TooLarge { limit_gb: self.limit / 1_000_000_000 })?;
        Ok(())
    }

    /// Where the entry `name` goes.
    fn place(&mut self, name: &Path) -> Result<PathBuf, UnpackError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(UnpackError::TooManyFiles { limit: MAX_ENTRIES });
        }
        let mut path = self.root.to_owned();
        for component in name.components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                _ => return Err(UnpackError::Outside { name: name.to_owned() }),
            }
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::{super::error::in_one_line, *};

    /// A tar archive with one entry of each name, whose header is written as it is, escapes and all.
    fn tar_of(names: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind, content) in names {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            if *kind == EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn zip_of(names: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, content) in names {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(
        name: &str,
        bytes: &[u8],
        limit: u64,
    ) -> (tempfile::TempDir, Result<PathBuf, PreparationError>) {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join(name);
        fs::write(&archive, bytes).unwrap();
        let result = unpack(&archive, &directory.path().join("out"), limit, &|_| {});
        (directory, result)
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn every_kind_is_unpacked_once() {
        let tar = tar_of(&[("set/a.txt", FILE, b"one"), ("./set/b.txt", FILE, b"two")]);
        let zip = zip_of(&[("set/a.txt", b"one"), ("set/b.txt", b"two")]);
        for (name, bytes) in [("x.tar", tar.clone()), ("x.tar.gz", gzip(&tar)), ("x.zip", zip), ("x", tar)] {
            let (directory, result) = unpacked(name, &bytes, 6);
            let target = result.unwrap();
            assert_eq!(target, directory.path().join("out/unpacked/x"), "{name}");
            assert_eq!(fs::read(target.join("set/a.txt")).unwrap(), b"one");
            assert_eq!(fs::read(target.join("set/b.txt")).unwrap(), b"two");
            // Once is enough: what is there is not written again.
            fs::write(target.join("set/a.txt"), "mine").unwrap();
            let again =
                unpack(&directory.path().join(name), &directory.path().join("out"), 6, &|_| {}).unwrap();
            assert_eq!(fs::read(again.join("set/a.txt")).unwrap(), b"mine");
        }
    }

    #[test]
    fn what_could_do_harm_leaves_nothing_behind() {
        let big = vec![0; 5000];
        let tar = |name, kind| tar_of(&[("fine.txt", FILE, b"x"), (name, kind, b"x")]);
        for (name, bytes, why) in [
            ("up.tar", tar("../escaped", FILE), "leads outside"),
            ("deep.tar", tar("a/../../escaped", FILE), "leads outside"),
            ("absolute.tar", tar("/tmp/sam3d_escaped", FILE), "leads outside"),
            ("link.tar", tar("link", EntryType::Symlink), "found a Symlink"),
            ("hard.tar", tar("link", EntryType::Link), "found a Link"),
            ("device.tar", tar("device", EntryType::Char), "found a Char"),
            ("up.zip", zip_of(&[("../escaped", b"x")]), "leads outside"),
            ("windows.zip", zip_of(&[("..\\escaped", b"x")]), "leads outside"),
            ("bomb.tar.gz", gzip(&tar_of(&[("big", FILE, &big)])), "holds more than"),
            ("bomb.zip", zip_of(&[("big", &big)]), "holds more than"),
            ("torn.tar.gz", gzip(&tar_of(&[("big", FILE, &big)]))[..30].to_vec(), ""),
            ("empty.tar", vec![0; 1024], "another kind of file"),
            ("text.tar", b"not an archive".to_vec(), "another kind of file"),
        ] {
            let (directory, result) = unpacked(name, &bytes, 1000);
            let error = in_one_line(&result.unwrap_err());
            assert!(error.contains(name) && error.contains(why), "{name}: {error}");
            let left: Vec<_> = fs::read_dir(directory.path().join("out/unpacked")).unwrap().collect();
            assert!(left.is_empty(), "{name}: {left:?}");
            assert!(!directory.path().join("escaped").exists() && !Path::new("/tmp/sam3d_escaped").exists());
        }
    }

    #[test]
    fn a_directory_of_the_user_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("x.zip");
        fs::write(&archive, zip_of(&[("a", b"x")])).unwrap();
        fs::create_dir_all(directory.path().join("unpacked/x")).unwrap();
        let error = unpack(&archive, directory.path(), 10, &|_| {}).unwrap_err().to_string();
        assert!(error.contains("is in the way"), "{error}");
    }
}
