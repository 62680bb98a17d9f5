//! Archives from anywhere, unpacked: nothing is written outside the directory, nothing beyond a limit, and the directory
//! appears whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use sam3d_io::atomic::{self, Overwrite};
use serde::{Deserialize, Serialize};
use tar::EntryType;

use crate::progress;

/// The most entries of an archive: KiTS21 has a hundred for each of 300 cases.
const MAX_ENTRIES: usize = 1_000_000;
/// What an unpacked directory says of the archive it was.
const STAMP: &str = ".unpacked.json";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stamp {
    archive: String,
    bytes: u64,
    modified_ns: u128,
}

/// Unpacks `archive` (tar, gzipped or not, or zip; told by content) into a directory of its own below `out`, and returns
/// that. What was unpacked from the same file before is taken as it is.
///
/// # Errors
/// If it is no such archive or damaged, holds links, devices or paths that lead outside, or more than `limit` bytes.
/// Nothing is left behind then.
pub(super) fn unpack(archive: &Path, out: &Path, limit: u64) -> Result<PathBuf> {
    let failed = || format!("cannot read {}", archive.display());
    let metadata = fs::metadata(archive).with_context(failed)?;
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
        println!("{}: unpacked before", target.display());
        return Ok(target);
    }
    if target.exists() && known.is_none() {
        bail!("{}: is in the way of unpacking {}; remove it", target.display(), archive.display());
    }
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    println!("unpacking {} to {}", archive.display(), target.display());
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot create a directory in {}", parent.display()))?;
    let mut sink = Sink { root: temporary.path(), left: limit, limit, entries: 0 };
    sink.archive(archive).with_context(|| format!("{}: cannot be unpacked", archive.display()))?;
    atomic::write(&temporary.path().join(STAMP), Overwrite::Replace, |file| {
        serde_json::to_writer(&mut *file, &stamp)?;
        file.write_all(b"\n")
    })?;
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    }
    let temporary = temporary.keep();
    fs::rename(&temporary, &target)
        .with_context(|| format!("cannot rename {} to {}", temporary.display(), target.display()))?;
    Ok(target)
}

/// Where entries are written, and what is still allowed.
struct Sink<'a> {
    root: &'a Path,
    left: u64,
    limit: u64,
    entries: usize,
}

impl Sink<'_> {
    fn archive(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path)?;
        let bar = progress::bytes(file.metadata()?.len());
        let mut start = Vec::new();
        (&mut file).take(512).read_to_end(&mut start)?;
        file.seek(SeekFrom::Start(0))?;
        let is_tar = start.get(257..262) == Some(b"ustar");
        let done = match start.as_slice() {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => self.zip(BufReader::new(file)),
            [0x1f, 0x8b, ..] => self.tar(MultiGzDecoder::new(BufReader::new(bar.wrap_read(file)))),
            _ if is_tar => self.tar(bar.wrap_read(file)),
            _ => Err(anyhow!("expected a .tar, .tar.gz or .zip archive, found another kind of file")),
        };
        bar.finish_and_clear();
        done
    }

    fn tar(&mut self, reader: impl Read) -> Result<()> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.into_owned();
            match entry.header().entry_type() {
                EntryType::Directory => self.directory(&name)?,
                EntryType::Regular | EntryType::Continuous => self.file(&name, &mut entry)?,
                EntryType::XGlobalHeader => {}
                kind => bail!(
                    "{}: expected files and directories, found a {kind:?}; unpack it yourself and name the directory",
                    name.display()
                ),
            }
        }
        if self.entries == 0 {
            bail!("it is empty");
        }
        Ok(())
    }

    fn zip(&mut self, reader: impl Read + Seek) -> Result<()> {
        let mut archive = zip::ZipArchive::new(reader)?;
        let bar = progress::cases(archive.len());
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = PathBuf::from(entry.name()?.replace('\\', "/"));
            if entry.is_symlink() {
                bail!(
                    "{}: expected files and directories, found a link; unpack it yourself and name the directory",
                    name.display()
                );
            } else if entry.is_dir() {
                self.directory(&name)?;
            } else {
                self.file(&name, &mut entry)?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn directory(&mut self, name: &Path) -> Result<()> {
        let path = self.place(name)?;
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))
    }

    fn file(&mut self, name: &Path, content: &mut impl Read) -> Result<()> {
        let path = self.place(name)?;
        let mut write = || -> io::Result<u64> {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            // A byte more than allowed tells a file that ends there from one that does not.
            io::copy(&mut content.take(self.left.saturating_add(1)), &mut File::create(&path)?)
        };
        let written = write().with_context(|| format!("{}", name.display()))?;
        match self.left.checked_sub(written) {
            Some(left) => self.left = left,
            None => bail!(
                "it holds more than {} GB; raise --max-unpacked if that is true",
                self.limit / 1_000_000_000
            ),
        }
        Ok(())
    }

    /// Where the entry `name` goes.
    fn place(&mut self, name: &Path) -> Result<PathBuf> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            bail!("it holds more than {MAX_ENTRIES} files");
        }
        let mut path = self.root.to_owned();
        for component in name.components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                _ => bail!("{}: leads outside the directory it is unpacked to", name.display()),
            }
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

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

    fn unpacked(name: &str, bytes: &[u8], limit: u64) -> (tempfile::TempDir, Result<PathBuf>) {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join(name);
        fs::write(&archive, bytes).unwrap();
        let result = unpack(&archive, &directory.path().join("out"), limit);
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
            let again = unpack(&directory.path().join(name), &directory.path().join("out"), 6).unwrap();
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
            let error = format!("{:#}", result.unwrap_err());
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
        let error = unpack(&archive, directory.path(), 10).unwrap_err().to_string();
        assert!(error.contains("is in the way"), "{error}");
    }
}
