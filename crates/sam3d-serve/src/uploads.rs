//! Volumes that clients sent, by a generated id; gone after a while without use, or at the end.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    Limits, ServeError,
    private::Root,
    received::Received,
    refusal::Refusal,
    room::{Place, Purpose, Room},
};

/// What is known of an upload.
#[derive(Debug, Clone)]
pub(crate) struct UploadInfo {
    pub(crate) name: String,
    pub(crate) sha256: String,
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
    root: Root,
    limits: Limits,
    room: Room,
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
        let root = Root::new(&std::env::temp_dir())
            .map_err(|source| ServeError::System { action: "make a temporary directory", source })?;
        Ok(Self { root, room: Room::new(&limits), limits, kept: Mutex::default() })
    }

    /// A place for a file that is about to arrive. If uploads hold all of them, the one unused longest gives way, unless it
    /// was used lately.
    pub(crate) fn reserve(&self, purpose: Purpose) -> Result<Place, Refusal> {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        let refused = match self.room.reserve(purpose) {
            Err(refused) if purpose == Purpose::Keep => refused,
            other => return other,
        };
        let oldest = kept.iter().min_by_key(|(_, upload)| upload.used_at);
        let Some(id) = oldest
            .filter(|(_, upload)| upload.used_at.elapsed() >= self.limits.gives_way)
            .map(|(id, _)| id.clone())
        else {
            return Err(refused);
        };
        kept.remove(&id);
        self.room.reserve(purpose)
    }

    /// Keeps `received` and returns its id. `idle` is how long the client wants it kept without use.
    pub(crate) fn add(&self, received: Received, idle: Option<Duration>) -> String {
        let id = format!("{:032x}", rand::random::<u128>());
        let idle = idle.map_or(self.limits.idle, |idle| idle.min(self.limits.idle));
        let now = seconds_since_1970();
        let upload = Upload { received, idle, used_at: Instant::now(), created: now, last_used: now };
        self.kept().insert(id.clone(), upload);
        id
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
        self.room.files()
    }

    /// Bytes of those files.
    pub(crate) fn bytes(&self) -> u64 {
        self.room.bytes()
    }

    /// Removes what nobody used for its time.
    pub(crate) fn sweep(&self) {
        forget_idle(&mut self.kept());
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        self.root.path()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn info(&self) -> UploadInfo {
        UploadInfo {
            name: self.received.name.clone(),
            sha256: self.received.sha256.clone(),
            path: self.received.path(),
            bytes: self.received.bytes(),
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
