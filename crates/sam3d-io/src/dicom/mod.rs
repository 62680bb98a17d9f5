//! DICOM: reading a series of slices as a volume, structure sets (RTSTRUCT) and segmentations (SEG) as masks, and writing
//! both beside the series they belong to.
//!
//! A data set is walked element by element, with the headers and transfer syntaxes of the dicom-rs crates, and only the
//! values that a volume needs are read: what describes a person gets into memory only to be copied into an object that is
//! written ([`derived`]), and so not into an error or a log. No size in a file is believed before it is checked.
//!
//! Source: DICOM PS3.3 (C.7.6.2 Image Plane, C.8.8.6 ROI Contour), PS3.5 (data sets, encapsulated pixels), PS3.10 (files).

mod contour;
pub mod derived;
mod error;
mod file;
mod folder;
mod frames;
mod geometry;
mod instance;
mod jpeg;
mod parser;
mod person;
mod pixels;
mod plane;
mod read;
mod rle;
mod segmentation;
mod structure_set;
mod value;

pub use contour::{ContourWarning, MaskOptions, RoiMask};
pub use error::{DicomError, DirectoryContent, SeriesSummary};
pub(crate) use file::{START_BYTES, begins_as_dicom};
pub use person::personal_fields;
pub(crate) use read::files;
pub(crate) use read::segmentation_labels;
pub use read::{Survey, read, read_mask, read_segmentation, series_of, survey};
pub use segmentation::{SegmentDescription, Segmentation, StoredAs};
pub use structure_set::{Contour, ContourType, Roi, StructureSet};
