//! What has arrived of a file, and which version of it that belongs to.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The bytes that have arrived, on the disk. One process at a time holds them.
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
    /// What an earlier attempt left beside `target`, if it is a known version of what is at `url`; else nothing.
    ///
    /// A version that the server never named is only gone on with if the whole is checked in the end.
    ///
    /// # Errors
    /// If the directory takes no file, or another process is at work on the same target.
    pub(super) fn open(target: &Path, url: &str, checked_in_the_end: bool) -> Result<Self> {
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        let (path, origin_path) = (beside(target, ".part"), beside(target, ".part.from"));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("{}: another process is downloading it", path.display()),
            // A file system without locks: two downloads at once are then the user's own care.
            Err(TryLockError::Error(_)) => {}
        }
        // Whoever held the lock until now may have finished: the file just opened is then the target itself.
        if target.exists() {
            bail!("{}: another process has just downloaded it", target.display());
        }
        let length = file.metadata().with_context(|| format!("cannot read {}", path.display()))?.len();
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

    /// Throws away what has arrived and begins with `version`.
    pub(super) fn restart(&mut self, version: Option<String>) -> Result<()> {
        self.file.set_len(0).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.length = 0;
        let origin = format!("{}\n{}\n", self.url, version.as_deref().unwrap_or_default());
        fs::write(&self.origin_path, origin)
            .with_context(|| format!("cannot write {}", self.origin_path.display()))?;
        self.version = version;
        Ok(())
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(bytes)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Puts the complete file in its place.
    pub(super) fn finish(self, target: &Path) -> Result<()> {
        self.file.sync_all().with_context(|| format!("cannot write {}", self.path.display()))?;
        fs::rename(&self.path, target)
            .with_context(|| format!("cannot rename {} to {}", self.path.display(), target.display()))?;
        // Only a note on what was a part; the file itself is in place.
        let _ = fs::remove_file(&self.origin_path);
        Ok(())
    }

    /// Removes what has arrived.
    pub(super) fn discard(self) -> Result<()> {
        for path in [&self.path, &self.origin_path] {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(ending);
    name.into()
}
