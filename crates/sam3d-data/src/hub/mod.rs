//! Files from Hugging Face's hub (or another server with its addresses): pinned, cached, and then used without a network.
//!
//! A revision such as `main` is resolved to its commit once, and the SHA-256 of a file is recorded when it first arrives; from
//! then on both are fixed. In the cache:
//!
//! ```text
//! OWNER/REPO/refs/REVISION               the commit that a branch or tag was when it was first asked for
//! OWNER/REPO/pins/COMMIT/FILE.sha256     SHA-256 of the file, compared at every use
//! OWNER/REPO/files/COMMIT/FILE           the file
//! ```
//!
//! This does not use the crate `hf-hub`: its version 1.0 brings an asynchronous client, a second HTTP stack and a protocol of
//! its own (225 crates), and pins no hashes. Two addresses of the hub and the client of [`crate::download`] are enough here.

mod address;
mod error;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use sam3d_geom::sha256_of_file;
use sam3d_io::atomic::{self, Overwrite};
use serde::Deserialize;

use self::address::{is_commit, is_name, is_sha256};
pub use self::{
    address::{HubFile, SCHEME},
    error::HubError,
};
use crate::{
    download::{self, Checksum, DownloadError},
    progress::OnProgress,
};

/// Address of Hugging Face's hub.
pub const HUGGING_FACE: &str = "https://huggingface.co";

/// Ending of the files with hashes.
const PIN_ENDING: &str = ".sha256";

/// A hub and the directory in which its files are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
}

/// A file that is in the cache and has its pinned hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// Its address with commit and SHA-256: what to type for exactly this file anywhere.
    pub address: HubFile,
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Whether commit and hash were recorded just now, so that there was nothing to compare them with.
    pub newly_pinned: bool,
}

impl Hub {
    /// The hub at the address `endpoint`, with its files in the directory `cache`.
    pub fn new(endpoint: &str, cache: PathBuf) -> Self {
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), cache }
    }

    /// Finds `file` in the cache, or downloads it. The network is used only for a file, or with a hash, that is not there.
    ///
    /// # Errors
    /// [`HubError`] if the hub does not give the file, or it has another hash than the address or the cache says.
    pub fn fetch(&self, file: &HubFile, on_progress: OnProgress<'_>) -> Result<CachedFile, HubError> {
        if let Some(commit) = self.known_commit(file)?
            && let Some(pinned) = self.pin(file, &commit)?
            && file.sha256.as_ref().is_none_or(|wanted| *wanted == pinned)
        {
            return self.download(file, &commit, Some(&pinned), on_progress);
        }
        let commit = match file.commit() {
            Some(commit) => commit.to_owned(),
            None => self.ask_for_commit(file)?,
        };
        let pinned = self.pin(file, &commit)?;
        if let (Some(wanted), Some(pinned)) = (&file.sha256, &pinned)
            && wanted != pinned
        {
            return Err(HubError::HashDiffers { address: file.to_string(), pinned: pinned.clone() });
        }
        let expected = pinned.as_ref().or(file.sha256.as_ref());
        if expected.is_none() {
            // Without a hash nothing says that a file left there is whole.
            remove(&self.path_of(file, &commit))?;
        }
        let cached = self.download(file, &commit, expected.map(String::as_str), on_progress)?;
        if pinned.is_none() {
            write(&self.pin_path(file, &commit), &cached.sha256)?;
        }
        if file.commit().is_none() {
            write(&self.ref_path(file), &commit)?;
        }
        Ok(CachedFile { newly_pinned: expected.is_none(), ..cached })
    }

    /// The files in the cache, by address. Their hashes are those recorded, not compared here.
    ///
    /// # Errors
    /// [`HubError::Cache`] if a directory cannot be read.
    pub fn cached(&self) -> Result<Vec<CachedFile>, HubError> {
        let mut found = Vec::new();
        for (owner, directory) in entries(&self.cache)? {
            for (repository, directory) in entries(&directory)? {
                for (commit, directory) in entries(&directory.join("pins"))? {
                    let mut pins = Vec::new();
                    files_below(&directory, String::new(), &mut pins)?;
                    for name in pins.iter().filter_map(|name| name.strip_suffix(PIN_ENDING)) {
                        let text = format!("{SCHEME}{owner}/{repository}@{commit}/{name}");
                        let Ok(file) = text.parse::<HubFile>() else { continue };
                        let (path, pin) = (self.path_of(&file, &commit), self.pin(&file, &commit)?);
                        if let (Some(sha256), true) = (pin, path.is_file()) {
                            let address = file.pinned(&commit, &sha256);
                            found.push(CachedFile { address, path, sha256, newly_pinned: false });
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn download(
        &self,
        file: &HubFile,
        commit: &str,
        expected: Option<&str>,
        on_progress: OnProgress<'_>,
    ) -> Result<CachedFile, HubError> {
        let HubFile { owner, repository, file: name, .. } = file;
        let url = format!("{}/{owner}/{repository}/resolve/{commit}/{name}", self.endpoint);
        let path = self.path_of(file, commit);
        let checksum = expected.map(|sha256| Checksum::Sha256(sha256.to_owned()));
        download::fetch(&url, checksum.as_ref(), &path, on_progress).map_err(|error| failed(file, error))?;
        let sha256 = match expected {
            Some(sha256) => sha256.to_owned(),
            None => sha256_of_file(&path).map_err(|source| HubError::Cache {
                action: "read",
                path: path.clone(),
                source,
            })?,
        };
        Ok(CachedFile { address: file.pinned(commit, &sha256), path, sha256, newly_pinned: false })
    }

    /// The commit of the revision, if known without the hub.
    fn known_commit(&self, file: &HubFile) -> Result<Option<String>, HubError> {
        if let Some(commit) = file.commit() {
            return Ok(Some(commit.to_owned()));
        }
        recorded(&self.ref_path(file), is_commit, "a commit of 40 hexadecimal digits")
    }

    fn ask_for_commit(&self, file: &HubFile) -> Result<String, HubError> {
        #[derive(Deserialize)]
        struct Revision {
            sha: String,
        }
        let HubFile { owner, repository, revision, .. } = file;
        let url = format!("{}/api/models/{owner}/{repository}/revision/{revision}", self.endpoint);
        let text = download::text(&url).map_err(|error| failed(file, error))?;
        let commit =
            serde_json::from_str(&text).ok().map(|Revision { sha }| sha).filter(|sha| is_commit(sha));
        commit.ok_or(HubError::NoCommit { url })
    }

    /// The hash recorded for the file at this commit.
    fn pin(&self, file: &HubFile, commit: &str) -> Result<Option<String>, HubError> {
        recorded(&self.pin_path(file, commit), is_sha256, "a SHA-256 of 64 hexadecimal digits")
    }

    fn repository(&self, file: &HubFile) -> PathBuf {
        self.cache.join(&file.owner).join(&file.repository)
    }

    fn ref_path(&self, file: &HubFile) -> PathBuf {
        self.repository(file).join("refs").join(&file.revision)
    }

    fn pin_path(&self, file: &HubFile, commit: &str) -> PathBuf {
        self.repository(file).join("pins").join(commit).join(format!("{}{PIN_ENDING}", file.file))
    }

    fn path_of(&self, file: &HubFile, commit: &str) -> PathBuf {
        self.repository(file).join("files").join(commit).join(&file.file)
    }
}

fn failed(file: &HubFile, source: DownloadError) -> HubError {
    HubError::Download { address: file.to_string(), source: Box::new(source) }
}

/// The line in the file at `path`; `None` if there is no such file.
fn recorded(
    path: &Path,
    is_valid: impl Fn(&str) -> bool,
    expected: &'static str,
) -> Result<Option<String>, HubError> {
    match fs::read_to_string(path) {
        Ok(text) if is_valid(text.trim_end()) => Ok(Some(text.trim_end().to_owned())),
        Ok(_) => Err(HubError::PinDamaged { path: path.to_owned(), expected }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::Cache { action: "read", path: path.to_owned(), source }),
    }
}

fn write(path: &Path, line: &str) -> Result<(), HubError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|source| HubError::Cache {
            action: "create",
            path: directory.to_owned(),
            source,
        })?;
    }
    Ok(atomic::write(path, Overwrite::Replace, |file| writeln!(file, "{line}"))?)
}

fn remove(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(HubError::Cache { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Names and paths in `directory`, sorted; none if it does not exist.
fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, HubError> {
    let failed = |source| HubError::Cache { action: "read", path: directory.to_owned(), source };
    let read = match fs::read_dir(directory) {
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in read {
        let entry = entry.map_err(failed)?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)) {
            found.push((name.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The files below `directory`, as paths with `/` that begin with `prefix`.
fn files_below(directory: &Path, prefix: String, found: &mut Vec<String>) -> Result<(), HubError> {
    for (name, path) in entries(directory)? {
        if path.is_dir() {
            files_below(&path, format!("{prefix}{name}/"), found)?;
        } else {
            found.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
