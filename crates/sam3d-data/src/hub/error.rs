use std::{io, path::PathBuf};

use sam3d_io::IoError;

use crate::download::DownloadError;

/// Why a file of a hub is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// An address that does not name a hub's file.
    #[error(
        "{address}: expected hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE#sha256=DIGITS; {detail}"
    )]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The hub does not give the file, or gives another one than is expected.
    #[error("{address}")]
    Download {
        /// The file.
        address: String,
        /// What happened.
        source: Box<DownloadError>,
    },
    /// The hub's answer does not say which commit a revision is.
    #[error("{url}: the answer does not name a commit")]
    NoCommit {
        /// The address that was asked.
        url: String,
    },
    /// The address names another hash than the one of the same commit's file in the cache.
    #[error("{address}: the file of this commit was downloaded before with SHA-256 {pinned}")]
    HashDiffers {
        /// The file with the hash that was asked for.
        address: String,
        /// The pinned hash.
        pinned: String,
    },
    /// A file that records a commit or a hash is damaged.
    #[error("{path}: expected {expected}; remove the file to download it again", path = path.display())]
    PinDamaged {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A file or directory of the cache cannot be read or removed.
    #[error("cannot {action} {path}", path = path.display())]
    Cache {
        /// What failed: read, create or remove.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of the cache cannot be written.
    #[error(transparent)]
    Io(#[from] IoError),
}
