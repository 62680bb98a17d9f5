//! Volumes that clients sent: files with generated names in a private directory, gone after a while or at the end.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tempfile::{TempDir, TempPath};

use crate::{Limits, ServeError, refusal::Refusal, studies};

/// A file that was received and belongs to nobody yet; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) file: TempPath,
    /// What the client calls it.
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// What is known of an upload.
#[derive(Debug, Clone)]
pub(crate) struct UploadInfo {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Seconds without use after which it is removed.
    pub(crate) idle_seconds: u64,
    /// Seconds since 1970 of its arrival and of its last use.
    pub(crate) created: u64,
    pub(crate) last_used: u64,
}

/// The uploads, by id.
#[derive(Debug)]
pub(crate) struct Uploads {
    directory: TempDir,
    limits: Limits,
    kept: Mutex<HashMap<String, Upload>>,
}

#[derive(Debug)]
struct Upload {
    received: Received,
    idle: Duration,
    used_at: Instant,
    created: u64,
    last_used: u64,
}

impl Uploads {
    /// An empty store, with a directory that only this user can enter.
    pub(crate) fn new(limits: Limits) -> Result<Self, ServeError> {
        let directory = tempfile::Builder::new().prefix("sam3d-serve-").tempdir();
        let directory = directory
            .map_err(|source| ServeError::System { action: "make a temporary directory", source })?;
        Ok(Self { directory, limits, kept: Mutex::default() })
    }

    /// A new file with a generated name for what the client calls `name`.
    pub(crate) fn new_file(&self, name: &str) -> Result<tempfile::NamedTempFile, Refusal> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("upload-").rand_bytes(16).suffix(studies::ending(name));
        builder
            .tempfile_in(self.directory.path())
            .map_err(|error| Refusal::internal("keep the upload", &error))
    }

    /// Keeps `received` and returns its id. `idle` is how long the client wants it kept without use.
    pub(crate) fn add(&self, received: Received, idle: Option<Duration>) -> Result<String, Refusal> {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        if kept.len() >= self.limits.uploads {
            return Err(Refusal::busy(format!(
                "{} uploads are open already; close one, or wait until one expires",
                kept.len()
            )));
        }
        let bytes: u64 = kept.values().map(|upload| upload.received.bytes).sum();
        if bytes.saturating_add(received.bytes) > self.limits.uploads_bytes {
            return Err(Refusal::busy(format!(
                "the open uploads hold {bytes} of {} bytes; close one, or wait until one expires",
                self.limits.uploads_bytes
            )));
        }
        let id = format!("{:032x}", rand::random::<u128>());
        let idle = idle.map_or(self.limits.idle, |idle| idle.min(self.limits.idle));
        let now = seconds_since_1970();
        let upload = Upload { received, idle, used_at: Instant::now(), created: now, last_used: now };
        kept.insert(id.clone(), upload);
        Ok(id)
    }

    /// The upload `id`, which counts as used now if `used`.
    pub(crate) fn get(&self, id: &str, used: bool) -> Result<UploadInfo, Refusal> {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        let upload = kept.get_mut(id).ok_or_else(gone)?;
        if used {
            upload.used_at = Instant::now();
            upload.last_used = seconds_since_1970();
        }
        Ok(upload.info())
    }

    /// Removes the upload `id` and its file.
    pub(crate) fn remove(&self, id: &str) -> Result<UploadInfo, Refusal> {
        self.kept().remove(id).map(|upload| upload.info()).ok_or_else(gone)
    }

    /// Number of uploads that are kept.
    pub(crate) fn count(&self) -> usize {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        kept.len()
    }

    /// Number of files on disk, those that are still arriving among them.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(self.directory.path()).map_or(0, Iterator::count)
    }

    /// Removes what nobody used for its time.
    pub(crate) fn sweep(&self) {
        forget_idle(&mut self.kept());
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Upload>> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn info(&self) -> UploadInfo {
        UploadInfo {
            name: self.received.name.clone(),
            path: self.received.file.to_path_buf(),
            bytes: self.received.bytes,
            idle_seconds: self.idle.as_secs(),
            created: self.created,
            last_used: self.last_used,
        }
    }
}

fn forget_idle(kept: &mut HashMap<String, Upload>) {
    kept.retain(|_, upload| upload.used_at.elapsed() < upload.idle);
}

fn gone() -> Refusal {
    Refusal::not_found("there is no such session: it expired, was closed, or never was; send the image again")
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn received(uploads: &Uploads, bytes: u64) -> Received {
        let file = uploads.new_file("../../ct.nii.gz").unwrap().into_temp_path();
        Received { file, name: "ct.nii.gz".to_owned(), bytes }
    }

    fn files(uploads: &Uploads) -> usize {
        std::fs::read_dir(uploads.directory()).unwrap().count()
    }

    #[test]
    fn uploads_are_bounded_and_expire_with_their_files() {
        let limits = Limits { uploads: 2, uploads_bytes: 100, ..Limits::default() };
        let uploads = Uploads::new(limits).unwrap();
        let id = uploads.add(received(&uploads, 60), None).unwrap();
        let info = uploads.get(&id, true).unwrap();
        assert_eq!(info.path.parent(), Some(uploads.directory()));
        assert_eq!((info.bytes, info.idle_seconds), (60, 3600));

        let refused = uploads.add(received(&uploads, 60), None).unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.detail.contains("60 of 100 bytes"), "{}", refused.detail);
        let brief = uploads.add(received(&uploads, 1), Some(Duration::ZERO)).unwrap();
        assert_eq!(uploads.get(&brief, true).unwrap_err().status, StatusCode::NOT_FOUND);
        assert_eq!(files(&uploads), 1);

        uploads.add(received(&uploads, 1), None).unwrap();
        assert!(uploads.add(received(&uploads, 1), None).unwrap_err().detail.contains("2 uploads"));
        uploads.remove(&id).unwrap();
        assert!(uploads.remove(&id).is_err());
        assert_eq!(files(&uploads), 1);
        let directory = uploads.directory().to_owned();
        drop(uploads);
        assert!(!directory.exists());
    }
}
