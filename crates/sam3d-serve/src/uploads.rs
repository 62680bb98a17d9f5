//! Volumes that clients sent, by a generated id; gone after a while without use, and at the end unless they are to stay.

use std::{
    collections::HashMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sam3d_io::{atomic, atomic::Overwrite};
use serde::{Deserialize, Serialize};

use crate::{
    Limits, ServeError,
    names::Called,
    private::{PrivateDirectory, Root},
    received::Received,
    refusal::Refusal,
    room::{Full, Place, Purpose, Room},
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
    called: Vec<Called>,
    /// Whether it was used since its note was written.
    is_noted: bool,
}

/// What is written beside an upload that outlives the server.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    id: String,
    file: String,
    name: String,
    sha256: String,
    bytes: u64,
    client: Option<IpAddr>,
    idle_seconds: u64,
    created: u64,
    last_used: u64,
    called: Vec<Called>,
}

const NOTE: &str = "note.json";
const PREFIX: &str = "upload-";

impl Uploads {
    /// A store with a directory that only this user can enter: a temporary one, or `directory`, with the uploads that an earlier
    /// server left there.
    pub(crate) fn new(limits: Limits, directory: Option<&Path>) -> Result<Self, ServeError> {
        let root = match directory {
            Some(path) => {
                Root::kept(path).map_err(|source| ServeError::Directory { path: path.to_owned(), source })?
            }
            None => Root::new(&std::env::temp_dir())
                .map_err(|source| ServeError::System { action: "make a temporary directory", source })?,
        };
        let uploads = Self { root, room: Room::new(&limits), limits, kept: Mutex::default() };
        if let Some(path) = directory {
            uploads
                .take_over(path)
                .map_err(|source| ServeError::Directory { path: path.to_owned(), source })?;
        }
        Ok(uploads)
    }

    /// Takes over what an earlier server left in `directory`, what was used last first; what is damaged, expired or too much is
    /// removed.
    fn take_over(&self, directory: &Path) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // What begins otherwise was not written by a server.
            let is_own = entry.file_name().to_str().is_some_and(|name| {
                [PREFIX, "mask-", "volume-"].iter().any(|prefix| name.starts_with(prefix))
            });
            if !is_own || !entry.file_type()?.is_dir() {
                continue;
            }
            let left = PrivateDirectory::existing(entry.path());
            let note = fs::read(left.path().join(NOTE)).ok();
            if let Some(note) = note.and_then(|note| serde_json::from_slice::<Note>(&note).ok()) {
                found.push((note, left));
            }
        }
        found.sort_by_key(|(note, _)| std::cmp::Reverse(note.last_used));
        let now = (Instant::now(), seconds_since_1970());
        let mut kept = self.kept();
        for (note, left) in found {
            if let Some((id, upload)) = self.earlier(note, left, now) {
                kept.insert(id, upload);
            }
        }
        tracing::info!("{} uploads of an earlier server are kept", kept.len());
        Ok(())
    }

    /// The upload that an earlier server left; `None` if it is incomplete, expired, or there is no room for it.
    fn earlier(
        &self,
        note: Note,
        directory: PrivateDirectory,
        (now, seconds): (Instant, u64),
    ) -> Option<(String, Upload)> {
        let Note { id, file, name, sha256, bytes, client, idle_seconds, created, last_used, called } = note;
        // The file lies beside its note, whatever the note says.
        let file_name = Path::new(&file).file_name()?.to_str()?.to_owned();
        let found = fs::metadata(directory.path().join(&file_name)).ok()?;
        // A folder was noted once it was unpacked.
        let length = if found.is_dir() { bytes } else { found.len() };
        let idle = Duration::from_secs(idle_seconds).min(self.limits.idle);
        let unused = Duration::from_secs(seconds.saturating_sub(last_used));
        let mut place = self.room.reserve(Purpose::Keep, client).ok()?;
        let is_whole = length == bytes && unused < idle;
        if !is_whole || place.take(bytes).is_err() {
            return None;
        }
        let received = Received { directory, file: file_name, name, sha256, place };
        let used_at = now.checked_sub(unused).unwrap_or(now);
        let upload = Upload { received, idle, used_at, created, last_used, called, is_noted: true };
        Some((id, upload))
    }

    /// A place for a file of `client` that is about to arrive. If uploads hold all of them, the one unused longest gives way,
    /// unless it was used lately: of the client's own ones, if it holds all it may, else of all.
    pub(crate) fn reserve(&self, purpose: Purpose, client: Option<IpAddr>) -> Result<Place, Refusal> {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        let full = match self.room.reserve(purpose, client) {
            Ok(place) => return Ok(place),
            Err(full) if purpose == Purpose::Keep => full,
            Err(full) => return Err(full.refusal(purpose)),
        };
        let (gives_way, of_client) = match full {
            Full::All(_) => (self.limits.gives_way, false),
            Full::Client(_) => (self.limits.gives_way_to_own, true),
        };
        let may_go = |upload: &Upload| !of_client || upload.received.place.client() == client;
        let oldest =
            kept.iter().filter(|(_, upload)| may_go(upload)).min_by_key(|(_, upload)| upload.used_at);
        let Some(id) =
            oldest.filter(|(_, upload)| upload.used_at.elapsed() >= gives_way).map(|(id, _)| id.clone())
        else {
            return Err(full.refusal(purpose));
        };
        kept.remove(&id);
        self.room.reserve(purpose, client).map_err(|full| full.refusal(purpose))
    }

    /// Keeps `received` and returns its id. `idle` is how long the client wants it kept without use.
    pub(crate) fn add(&self, received: Received, idle: Option<Duration>) -> String {
        let id = format!("{:032x}", rand::random::<u128>());
        let idle = idle.map_or(self.limits.idle, |idle| idle.min(self.limits.idle));
        let now = seconds_since_1970();
        let upload = Upload {
            received,
            idle,
            used_at: Instant::now(),
            created: now,
            last_used: now,
            called: Vec::new(),
            is_noted: false,
        };
        let mut kept = self.kept();
        let upload = kept.entry(id.clone()).or_insert(upload);
        self.note(&id, upload);
        id
    }

    /// Remembers that a client calls the upload `id` so.
    pub(crate) fn called(&self, id: &str, called: Called) {
        if let Some(upload) = self.kept().get_mut(id) {
            upload.called.push(called);
            self.note(id, upload);
        }
    }

    /// What clients call the uploads, with id and SHA-256 of each.
    pub(crate) fn names(&self) -> Vec<(Called, String, String)> {
        let kept = self.kept();
        let mut ids: Vec<&String> = kept.keys().collect();
        ids.sort_by_key(|id| kept[*id].created);
        let names = |id: &String| {
            let upload = &kept[id];
            let named = |called: &Called| (called.clone(), id.clone(), upload.received.sha256.clone());
            upload.called.iter().map(named).collect::<Vec<_>>()
        };
        ids.into_iter().flat_map(names).collect()
    }

    /// Writes down what is known of an upload, if it is to outlive the server.
    fn note(&self, id: &str, upload: &mut Upload) {
        if !self.root.is_kept() {
            return;
        }
        upload.is_noted = true;
        let note = Note {
            id: id.to_owned(),
            file: upload.received.file.clone(),
            name: upload.received.name.clone(),
            sha256: upload.received.sha256.clone(),
            bytes: upload.received.bytes(),
            client: upload.received.place.client(),
            idle_seconds: upload.idle.as_secs(),
            created: upload.created,
            last_used: upload.last_used,
            called: upload.called.clone(),
        };
        let path = upload.received.directory.path().join(NOTE);
        let written = serde_json::to_vec(&note).map_err(io::Error::other).and_then(|note| {
            let write = |file: &mut io::BufWriter<&mut fs::File>| io::Write::write_all(file, &note);
            atomic::write(&path, Overwrite::Replace, write).map_err(io::Error::other)
        });
        if let Err(error) = written {
            tracing::warn!("an upload would not outlive a restart: {error}");
        }
    }

    /// The upload `id`, which counts as used now if `used`.
    pub(crate) fn get(&self, id: &str, used: bool) -> Result<UploadInfo, Refusal> {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        let upload = kept.get_mut(id).ok_or_else(gone)?;
        if used {
            upload.used_at = Instant::now();
            upload.last_used = seconds_since_1970();
            upload.is_noted = false;
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

    /// Removes what nobody used for its time, and writes down when the others were used.
    pub(crate) fn sweep(&self) {
        let mut kept = self.kept();
        forget_idle(&mut kept);
        for (id, upload) in kept.iter_mut().filter(|(_, upload)| !upload.is_noted) {
            self.note(id, upload);
        }
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

impl Drop for Uploads {
    /// Uploads that are to outlive the server stay.
    fn drop(&mut self) {
        if self.root.is_kept() {
            self.sweep();
            self.kept().values_mut().for_each(|upload| upload.received.directory.stay());
        }
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
