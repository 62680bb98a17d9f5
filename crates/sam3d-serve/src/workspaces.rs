//! What a person does on the page, kept so that a reload, a lost connection or a restart comes back to it: the image, its objects
//! with their prompts, and what can be undone.
//!
//! A workspace is a text of JSON that the page writes and reads, in a file of its own; the server only knows which image it is
//! about. With a directory for sessions it outlives the server.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use axum::http::StatusCode;
use sam3d_io::{atomic, atomic::Overwrite};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Limits, refusal::Refusal};

/// A workspace as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Workspace {
    /// Counts the writes: who writes must have read the last one.
    pub(crate) revision: u64,
    /// What the page keeps.
    pub(crate) content: Box<RawValue>,
}

/// The workspaces, by id.
#[derive(Debug)]
pub(crate) struct Workspaces {
    directory: PathBuf,
    most: usize,
    most_bytes: usize,
    known: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    revision: u64,
    used: SystemTime,
}

const PREFIX: &str = "workspace-";
const ENDING: &str = ".json";

impl Workspaces {
    /// Those in files of `directory`, which only this user can enter.
    pub(crate) fn new(directory: &Path, limits: &Limits) -> io::Result<Self> {
        let mut known = HashMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(ENDING));
            let Some(id) = id else { continue };
            let found = fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let Some(Workspace { revision, .. }) = found else { continue };
            let used = entry.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            known.insert(id.to_owned(), Entry { revision, used });
        }
        let (most, most_bytes) = (limits.workspaces, limits.workspace_bytes);
        let workspaces = Self { directory: directory.to_owned(), most, most_bytes, known: Mutex::new(known) };
        workspaces.drop_beyond(&mut workspaces.known(), most);
        Ok(workspaces)
    }

    /// Keeps `content` and returns its id.
    pub(crate) fn create(&self, content: Box<RawValue>) -> Result<String, Refusal> {
        let id = format!("{:032x}", rand::random::<u128>());
        let mut known = self.known();
        self.drop_beyond(&mut known, self.most.saturating_sub(1));
        self.write(&id, &Workspace { revision: 1, content })?;
        known.insert(id.clone(), Entry { revision: 1, used: SystemTime::now() });
        Ok(id)
    }

    /// The workspace `id`.
    pub(crate) fn get(&self, id: &str) -> Result<Workspace, Refusal> {
        let mut known = self.known();
        let entry = known.get_mut(id).ok_or_else(gone)?;
        entry.used = SystemTime::now();
        let text = fs::read(self.path(id)).map_err(|_| gone())?;
        serde_json::from_slice(&text).map_err(|error| Refusal::internal("read the workspace", &error))
    }

    /// Writes `content` in place of the revision `read` of the workspace `id`, and returns the new revision.
    pub(crate) fn put(&self, id: &str, read: u64, content: Box<RawValue>) -> Result<u64, Refusal> {
        let mut known = self.known();
        let entry = known.get_mut(id).ok_or_else(gone)?;
        if entry.revision != read {
            return Err(Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                "this work was changed in another window; load the page again to see it",
            ));
        }
        let revision = read + 1;
        self.write(id, &Workspace { revision, content })?;
        *entry = Entry { revision, used: SystemTime::now() };
        Ok(revision)
    }

    fn write(&self, id: &str, workspace: &Workspace) -> Result<(), Refusal> {
        let text =
            serde_json::to_vec(workspace).map_err(|error| Refusal::internal("keep the workspace", &error))?;
        if text.len() > self.most_bytes {
            return Err(Refusal::too_large(format!(
                "this work takes {} bytes, at most {} are kept; it is lost when the page is closed",
                text.len(),
                self.most_bytes
            )));
        }
        let write = |file: &mut io::BufWriter<&mut fs::File>| io::Write::write_all(file, &text);
        atomic::write(&self.path(id), Overwrite::Replace, write)
            .map_err(|error| Refusal::internal("keep the workspace", &error))
    }

    /// Removes those unused longest until there are at most `most`.
    fn drop_beyond(&self, known: &mut HashMap<String, Entry>, most: usize) {
        while known.len() > most {
            let oldest = known.iter().min_by_key(|(id, entry)| (entry.used, id.as_str()));
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
            if let Err(error) = fs::remove_file(self.path(&id)) {
                tracing::warn!("a workspace stays on the disk: {error}");
            }
            known.remove(&id);
        }
    }

    /// Of an id that is known, and thus of this server's making.
    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{PREFIX}{id}{ENDING}"))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> Refusal {
    Refusal::not_found("there is no such work here: it was made on another server, or gave way to newer work")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn workspaces_are_bounded_and_outlive_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { workspaces: 2, workspace_bytes: 100, ..Limits::default() };
        let open = || Workspaces::new(directory.path(), &limits).unwrap();
        let first = open();
        let ids: Vec<String> =
            ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"].map(|text| first.create(raw(text)).unwrap()).into();
        assert_eq!(first.get(&ids[0]).unwrap_err().status, StatusCode::NOT_FOUND, "the oldest gave way");
        assert_eq!(first.put(&ids[1], 1, raw("{\"b\":3}")).unwrap(), 2);
        let again = open();
        let found = again.get(&ids[1]).unwrap();
        assert_eq!((found.revision, found.content.get()), (2, "{\"b\":3}"));
        assert_eq!(again.put(&ids[1], 1, raw("{}")).unwrap_err().status, StatusCode::PRECONDITION_FAILED);
        let large = raw(&format!("\"{}\"", "x".repeat(100)));
        assert_eq!(again.put(&ids[1], 2, large).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(again.get(&ids[1]).unwrap().revision, 2);
        for bad in ["../../etc/passwd", "", "x"] {
            assert_eq!(again.get(bad).unwrap_err().status, StatusCode::NOT_FOUND);
        }
    }
}
