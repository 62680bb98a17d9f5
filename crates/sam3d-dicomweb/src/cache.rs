//! Series on disk, within a bound.
//!
//! Below the root lies a directory for each series: `HASH-RANDOM`, with `series.json`, `slices/` and `lock`. It appears by a
//! rename once it is complete. Whoever reads it holds a shared lock, so that no process removes it meanwhile; the time of the
//! lock's last change is that of the last use. Nothing in a name says which series it is.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{Archive, DicomWebError, FetchProgress, OnFetch, SeriesRecord, Uid};

const ARRIVING: &str = "arriving-";
const LEAVING: &str = "leaving-";
const LOCK: &str = "lock";
const SLICES: &str = "slices";
const RECORD: &str = "series.json";
/// Age at which what another process has not finished or locked counts as abandoned.
const ABANDONED: Duration = Duration::from_secs(60);

/// A directory with the series that were fetched last.
#[derive(Debug, Clone)]
pub struct SeriesCache {
    root: PathBuf,
    most_bytes: u64,
}

/// A series on disk, which stays there as long as this value is kept.
#[derive(Debug)]
pub struct CachedSeries {
    record: SeriesRecord,
    slices: PathBuf,
    _lock: File,
}

impl CachedSeries {
    /// Which series it is.
    pub fn record(&self) -> &SeriesRecord {
        &self.record
    }

    /// The directory of its files.
    pub fn directory(&self) -> &Path {
        &self.slices
    }
}

/// What a directory of the cache holds.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    archive: String,
    series: SeriesRecord,
    files: usize,
    bytes: u64,
}

/// A directory of the cache.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl SeriesCache {
    /// The cache in the directory `root`, which is made so that only this user can enter it.
    ///
    /// # Errors
    /// [`DicomWebError::Cache`] if it cannot be made.
    pub fn new(root: &Path, most_bytes: u64) -> Result<Self, DicomWebError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(root).map_err(|source| cache_failure(root, source))?;
        Ok(Self { root: root.to_owned(), most_bytes })
    }

    /// The series from the cache if it has all its images there, as the archive counts them now; else fetched.
    ///
    /// # Errors
    /// [`DicomWebError`] if the archive does not send it, it is larger than the cache may be, or the disk fails.
    pub fn fetch(
        &self,
        archive: &Archive,
        record: &SeriesRecord,
        on_progress: OnFetch<'_>,
    ) -> Result<CachedSeries, DicomWebError> {
        match self.find(archive, &record.series) {
            Some(found)
                if found.record.study == record.study && found.record.instances == record.instances =>
            {
                Ok(found)
            }
            _ => self.fetch_again(archive, record, on_progress),
        }
    }

    /// The series of this archive that was fetched last, without asking the archive.
    pub fn find(&self, archive: &Archive, series: &Uid) -> Option<CachedSeries> {
        let begin = format!("{}-", key(archive, series));
        let mut found: Vec<Entry> = self.entries().ok()?;
        found.retain(|entry| file_name(&entry.path).starts_with(&begin));
        found.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        found.into_iter().find_map(|entry| {
            let cached = open(&entry.path)?;
            (cached.record.series == *series).then_some(cached)
        })
    }

    fn fetch_again(
        &self,
        archive: &Archive,
        record: &SeriesRecord,
        on_progress: OnFetch<'_>,
    ) -> Result<CachedSeries, DicomWebError> {
        let failed = |source| cache_failure(&self.root, source);
        self.remove_abandoned().map_err(failed)?;
        let arriving = self.new_directory().map_err(failed)?;
        let slices = arriving.path().join(SLICES);
        let lock = new_file(&arriving.path().join(LOCK)).map_err(failed)?;
        lock.lock_shared().map_err(failed)?;
        make_private(&slices).map_err(failed)?;
        let most = self.most_bytes.min(archive.limits.series_bytes);
        let mut room = 0;
        let mut tell = |progress: FetchProgress| {
            // Room is made in steps, for looking through the cache takes a while.
            if progress.bytes > room {
                room = progress.bytes.saturating_mul(2).min(most);
                self.make_room(room).map_err(failed)?;
            }
            on_progress(progress)
        };
        let received = archive.retrieve(record, &slices, most, &mut tell)?;
        tracing::info!("fetched {} files of {} MiB", received.instances, received.bytes >> 20);
        let content = Content {
            archive: archive.url().to_owned(),
            series: SeriesRecord { patient: None, ..record.clone() },
            files: received.instances,
            bytes: received.bytes,
        };
        let json = serde_json::to_vec(&content).map_err(|error| failed(io::Error::other(error)))?;
        io::Write::write_all(&mut new_file(&arriving.path().join(RECORD)).map_err(failed)?, &json)
            .map_err(failed)?;
        self.make_room(received.bytes).map_err(failed)?;
        let random = file_name(arriving.path()).trim_start_matches(ARRIVING);
        let directory = self.root.join(format!("{}-{random}", key(archive, &record.series)));
        fs::rename(arriving.path(), &directory).map_err(failed)?;
        // It has another name now, under which it stays.
        let _old_name = arriving.keep();
        let slices = directory.join(SLICES);
        Ok(CachedSeries { record: content.series, slices, _lock: lock })
    }

    fn new_directory(&self) -> io::Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(ARRIVING).rand_bytes(16);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        builder.tempdir_in(&self.root)
    }

    /// The complete directories.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.root)? {
            let path = found?.path();
            if !is_entry(file_name(&path)) {
                continue;
            }
            // One that goes while it is looked at is not there.
            let Some(content) = read_content(&path) else { continue };
            let Ok(used) = fs::metadata(path.join(LOCK)).and_then(|lock| lock.modified()) else { continue };
            entries.push(Entry { path, bytes: content.bytes, used });
        }
        Ok(entries)
    }

    /// Removes the series that were used longest ago until `bytes` more fit the bound. Those in use stay.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries = self.entries()?;
        entries.sort_by_key(|entry| entry.used);
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if total.saturating_add(bytes) <= self.most_bytes {
                break;
            }
            if self.remove(&entry.path)? {
                total -= entry.bytes;
            }
        }
        Ok(())
    }

    /// Removes a directory unless somebody uses it.
    fn remove(&self, path: &Path) -> io::Result<bool> {
        let lock = match OpenOptions::new().read(true).write(true).open(path.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Out of sight at once, also for a process that is stopped in the middle of the removal.
        let leaving = self.root.join(format!("{LEAVING}{}", file_name(path)));
        match fs::rename(path, &leaving) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        fs::remove_dir_all(&leaving)?;
        Ok(true)
    }

    /// Removes what processes left that were killed.
    fn remove_abandoned(&self) -> io::Result<()> {
        for found in fs::read_dir(&self.root)? {
            let path = found?.path();
            let name = file_name(&path);
            let modified = fs::metadata(&path).and_then(|directory| directory.modified());
            let is_old = modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > ABANDONED));
            if name.starts_with(LEAVING) && is_old {
                let _another_may_have = fs::remove_dir_all(&path);
            } else if name.starts_with(ARRIVING) && is_old {
                if path.join(LOCK).exists() {
                    self.remove(&path)?;
                } else {
                    let _another_may_have = fs::remove_dir_all(&path);
                }
            }
        }
        Ok(())
    }
}

/// The series in a complete directory, locked; `None` if it goes or is damaged.
fn open(directory: &Path) -> Option<CachedSeries> {
    let lock = OpenOptions::new().read(true).write(true).open(directory.join(LOCK)).ok()?;
    lock.try_lock_shared().ok()?;
    // Only now it stays: whoever held the lock may have removed it.
    let content = read_content(directory)?;
    let slices = directory.join(SLICES);
    if fs::read_dir(&slices).ok()?.count() != content.files {
        return None;
    }
    if let Err(error) = lock.set_modified(SystemTime::now()) {
        tracing::debug!("the use of a series in the cache is not noted: {error}");
    }
    Some(CachedSeries { record: content.series, slices, _lock: lock })
}

fn read_content(directory: &Path) -> Option<Content> {
    serde_json::from_slice(&fs::read(directory.join(RECORD)).ok()?).ok()
}

/// Names the series of an archive without saying which it is.
fn key(archive: &Archive, series: &Uid) -> String {
    let digest = Sha256::digest(format!("{}\n{series}", archive.url()));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn is_entry(name: &str) -> bool {
    name.split_once('-').is_some_and(|(key, random)| {
        key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()) && !random.is_empty()
    })
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn cache_failure(path: &Path, source: io::Error) -> DicomWebError {
    DicomWebError::Cache { path: path.to_owned(), source }
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
