//! A client of DICOMweb archives: series are searched (QIDO-RS), fetched (WADO-RS) into a cache on disk, and objects stored
//! beside them (STOW-RS).
//!
//! What an archive sends is not believed: sizes, numbers and times are bounded by [`ArchiveLimits`], nothing it says becomes a
//! path, and what arrives counts only once it is complete. Calls block; an async program runs them on a thread of their own.
//!
//! Patients' data does not get into errors and logs: addresses are named without their queries, and what a search finds of a
//! patient is asked for explicitly and hidden in debug output. Secrets are hidden as well.
//!
//! Source: DICOM PS3.18 (Web Services), PS3.18 Annex F (DICOM JSON model).

#![forbid(unsafe_code)]

mod address;
mod archive;
mod cache;
mod error;
mod json;
mod limits;
mod multipart;
mod retrieve;
mod search;
mod store;
mod uid;

pub use address::Token;
pub use archive::Archive;
pub use cache::{CachedSeries, SeriesCache};
pub use error::DicomWebError;
pub use limits::ArchiveLimits;
pub use retrieve::{FetchProgress, OnFetch};
pub use search::{Patient, SeriesRecord, SeriesSearch};
pub use store::{FailedInstance, StoreReport, StoredInstance, sop_instance_uid};
pub use uid::Uid;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
