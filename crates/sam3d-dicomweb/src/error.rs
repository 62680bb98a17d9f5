use std::{io, path::PathBuf};

use crate::Uid;

/// Why an archive was not asked, or what was wrong with its answer.
///
/// Addresses are named without their queries, in which patients may be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DicomWebError {
    /// An address that is not that of an archive's services.
    #[error("{found:?} is not the address of a DICOMweb archive, as https://host/dicom-web: {problem}")]
    AddressInvalid {
        /// What was given, without a secret in it.
        found: String,
        /// Why.
        problem: &'static str,
    },
    /// A UID that is not one.
    #[error("{found:?} is not a UID: expected up to 64 digits and dots")]
    UidInvalid {
        /// What was given.
        found: String,
    },
    /// A token that no header can carry.
    #[error("the archive's token must be one line: the token, or `Basic` or `Bearer` and a value")]
    TokenUnusable,
    /// No connection, or one that broke before the answer.
    #[error("cannot reach the archive {url}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// A deadline has passed.
    #[error("the archive {url} took too long to {action}")]
    TimedOut {
        /// The address.
        url: String,
        /// What it was at.
        action: &'static str,
    },
    /// The archive wants a token, or another one.
    #[error(
        "the archive {url} refuses access ({status}): {}",
        if *.with_token { "the token is not valid there, or may not do this" } else { "it needs a token" }
    )]
    AccessRefused {
        /// The address.
        url: String,
        /// Its answer.
        status: u16,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// There is no such thing at the archive, or no DICOMweb service at the address.
    #[error("the archive has nothing at {url} (404): is this the root of its DICOMweb services?")]
    NotFound {
        /// The address.
        url: String,
    },
    /// Another address is named instead. It is not followed, because the token could go astray.
    #[error("the archive {url} redirects to {to:?}: give that address")]
    Redirected {
        /// The address.
        url: String,
        /// Where to.
        to: String,
    },
    /// Another status.
    #[error(
        "the archive {url} answers {status}{}",
        if matches!(*.status, 400 | 405 | 501) { ": is this the root of its DICOMweb services?" } else { "" }
    )]
    Status {
        /// The address.
        url: String,
        /// Its answer.
        status: u16,
    },
    /// An answer of another form.
    #[error("{url} does not speak DICOMweb: expected {expected}, found {found}")]
    NotDicomWeb {
        /// The address.
        url: String,
        /// What was expected.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// The connection ended before the answer did.
    #[error("the archive {url} broke off after {arrived} bytes")]
    Truncated {
        /// The address.
        url: String,
        /// Bytes of files that had arrived.
        arrived: u64,
        /// Why, if the connection says.
        source: Option<io::Error>,
    },
    /// More than is accepted.
    #[error("the archive {url} sends more than {most} {what}")]
    TooLarge {
        /// The address.
        url: String,
        /// The bound.
        most: u64,
        /// On what.
        what: &'static str,
    },
    /// A series that the archive does not have.
    #[error("the archive has no series {uid}")]
    SeriesNotFound {
        /// The series.
        uid: Uid,
    },
    /// A series of several studies, which breaks the standard.
    #[error("the archive has the series {uid} in several studies: name the study as well")]
    SeriesInSeveralStudies {
        /// The series.
        uid: Uid,
    },
    /// Fewer files than the archive says it has.
    #[error("the archive sent {found} of the {expected} images of the series {uid}")]
    SeriesIncomplete {
        /// The series.
        uid: Uid,
        /// Images it says there are.
        expected: usize,
        /// Files that came.
        found: usize,
    },
    /// What is to be stored is not a DICOM file.
    #[error("what is to be stored is not a DICOM file: {problem}")]
    NotADicomFile {
        /// Why.
        problem: &'static str,
    },
    /// The archive answered, but not whether it has stored the objects.
    #[error("the archive {url} does not say whether it has stored the objects ({found})")]
    StoreUnconfirmed {
        /// The address.
        url: String,
        /// What it said.
        found: String,
    },
    /// The fetch was called off.
    #[error("the fetch was called off")]
    CalledOff,
    /// A file or directory of the cache.
    #[error("cannot use {path}", path = path.display())]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
