use std::{io, path::PathBuf};

use sam3d_io::IoError;

/// Why a file was not downloaded, or is not the one that was published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// A file or directory cannot be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file has another checksum.
    #[error("{path}: its {algorithm} is {found}, expected {expected}", path = path.display())]
    ChecksumDiffers {
        /// The file.
        path: PathBuf,
        /// Name of the hash function.
        algorithm: &'static str,
        /// The published digits.
        expected: String,
        /// The file's.
        found: String,
    },
    /// The file to be written exists and is another one.
    #[error("remove the file to replace it")]
    TargetDiffers {
        /// How it differs.
        source: Box<DownloadError>,
    },
    /// A copy of weights has another checksum than the published weights.
    #[error("these are not the published weights")]
    NotTheWeights {
        /// How they differ.
        source: Box<DownloadError>,
    },
    /// What was downloaded has another checksum.
    #[error("{url} is not the file expected and was removed")]
    NotTheFile {
        /// The address.
        url: String,
        /// How it differs.
        source: Box<DownloadError>,
    },
    /// The file to be written is a directory.
    #[error("{path} is a directory; name a file", path = path.display())]
    TargetIsDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// An address does not end in the name of a file.
    #[error("{url}: expected the address of a file, as in https://host/name.tar")]
    NotAFile {
        /// The address.
        url: String,
    },
    /// Another process has begun the same download.
    #[error("{path}: another process is downloading it", path = path.display())]
    Busy {
        /// What has arrived of the file.
        path: PathBuf,
    },
    /// Another process has completed the same download.
    #[error("{path}: another process has just downloaded it", path = path.display())]
    JustDownloaded {
        /// The file.
        path: PathBuf,
    },
    /// The connection broke or the server was busy, again and again.
    #[error("{url}: download interrupted, {arrived} bytes are kept")]
    Interrupted {
        /// The address.
        url: String,
        /// How much has arrived.
        arrived: u64,
        /// What happened last.
        source: Box<DownloadError>,
    },
    /// The server does not give the file.
    #[error("{url}: the server answers {status}")]
    Status {
        /// The address.
        url: String,
        /// Its answer.
        status: String,
    },
    /// The server gives another part of the file than the one asked for.
    #[error("{url}: asked from byte {asked} on, the server gives {given:?}")]
    Range {
        /// The address.
        url: String,
        /// First byte asked for.
        asked: u64,
        /// What the server says it gives.
        given: String,
    },
    /// What has arrived does not belong to the file that is at the address now.
    #[error("the file at the address has changed")]
    Changed,
    /// No answer.
    #[error("cannot fetch {url}")]
    NoAnswer {
        /// The address.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The connection broke while the file arrived.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// The connection ended before the file did.
    #[error("the connection ended after {arrived} of {whole} bytes")]
    Short {
        /// Bytes that have arrived.
        arrived: u64,
        /// Bytes of the whole file.
        whole: u64,
    },
}
