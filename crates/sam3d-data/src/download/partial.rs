//! A partial download and the version of the file it belongs to.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sam3d_io::IoError;

use super::DownloadError;

/// A partial download on disk. One process at a time has the file open.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    origin_path: PathBuf,
    file: File,
    length: u64,
    url: String,
    version: Option<String>,
}

impl Partial {
    /// The partial download of an earlier attempt beside `target`, if its version of `url` is known; else an empty one.
    ///
    /// Without a version named by the server it is resumed only if the complete file is checked in the end.
    ///
    /// # Errors
    /// If the directory cannot be written to, or another process downloads the same target.
    pub(super) fn open(target: &Path, url: &str, checked_in_the_end: bool) -> Result<Self, DownloadError> {
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(IoError::write(directory))?;
        }
        let (path, origin_path) = (beside(target, ".part"), beside(target, ".part.from"));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(IoError::write(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DownloadError::Busy { path }),
            // A file system without locks: two downloads at once are then the user's own care.
            Err(TryLockError::Error(_)) => {}
        }
        // Whoever held the lock until now may have finished: the file just opened is then the target itself.
        if target.exists() {
            return Err(DownloadError::JustDownloaded { path: target.to_owned() });
        }
        let length = file.metadata().map_err(IoError::read(&path))?.len();
        let origin = fs::read_to_string(&origin_path).unwrap_or_default();
        let mut lines = origin.lines();
        let same_address = lines.next() == Some(url);
        let version = lines.next().filter(|line| same_address && !line.is_empty()).map(str::to_owned);
        let usable = same_address && (version.is_some() || checked_in_the_end);
        let mut partial = Self { path, origin_path, file, length, url: url.to_owned(), version };
        if !usable {
            partial.restart(None)?;
        }
        Ok(partial)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The version that the server named: an entity tag or a date, fit for `If-Range`.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Discards the partial download and starts over with `version`.
    pub(super) fn restart(&mut self, version: Option<String>) -> Result<(), DownloadError> {
        self.file.set_len(0).map_err(IoError::write(&self.path))?;
        self.length = 0;
        let origin = format!("{}\n{}\n", self.url, version.as_deref().unwrap_or_default());
        fs::write(&self.origin_path, origin).map_err(IoError::write(&self.origin_path))?;
        self.version = version;
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(bytes)
        };
        write().map_err(IoError::write(&self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Moves the complete file to its place.
    pub(super) fn finish(self, target: &Path) -> Result<(), DownloadError> {
        self.file.sync_all().map_err(IoError::write(&self.path))?;
        fs::rename(&self.path, target).map_err(IoError::write(target))?;
        // Only a note on what was a part; the file itself is in place.
        let _ = fs::remove_file(&self.origin_path);
        Ok(())
    }

    /// Removes what has arrived.
    pub(super) fn discard(self) -> Result<(), DownloadError> {
        for path in [&self.path, &self.origin_path] {
            fs::remove_file(path).map_err(IoError::write(path))?;
        }
        Ok(())
    }
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(ending);
    name.into()
}
