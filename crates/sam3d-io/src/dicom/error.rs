use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::IoError;

/// Why DICOM files give no volume or no mask. Never holds a patient's name or any other text that describes a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DicomError {
    /// The bytes are not a sound data set.
    #[error("the DICOM file is damaged: {reason}; copy or export it again")]
    Damaged {
        /// What was expected, and where.
        reason: String,
    },
    /// The data set or its pixels are encoded in a way that is not read.
    #[error(
        "the transfer syntax {name} ({uid}) is not read; decompress the files, for example with gdcmconv --raw"
    )]
    TransferSyntaxUnsupported {
        /// Its UID.
        uid: String,
        /// Its name, if it is a known one.
        name: &'static str,
    },
    /// The compressed pixels cannot be decoded.
    #[error("the pixels cannot be decoded ({codec}): {reason}; copy or export the file again")]
    PixelsDamaged {
        /// The compression.
        codec: &'static str,
        /// What was expected and what was found.
        reason: String,
    },
    /// An attribute that a slice of a volume needs is not there.
    #[error("expected the attribute {name}, found none")]
    AttributeMissing {
        /// Its name in the standard.
        name: &'static str,
    },
    /// An attribute's value cannot be used.
    #[error("expected {name} to be {expected}")]
    AttributeInvalid {
        /// Its name in the standard.
        name: &'static str,
        /// What it should have been. The value itself is not told: it may be anything that somebody typed.
        expected: &'static str,
    },
    /// A DICOM file of another kind than an image.
    #[error("the file is {kind}, not an image of a volume{hint}")]
    NotAnImage {
        /// What it is.
        kind: &'static str,
        /// What to do instead, from the comma on.
        hint: &'static str,
    },
    /// The directory has no images with a place in the patient.
    #[error("expected a directory with the slices of a volume, found none ({found})")]
    NoVolume {
        /// What was found instead.
        found: DirectoryContent,
    },
    /// The directory has several series, and none was chosen.
    #[error("found {} series; choose one by its UID: {}", series.len(), list(series))]
    SeveralSeries {
        /// The series, by UID.
        series: Vec<SeriesSummary>,
    },
    /// The directory has no volume with the chosen UID.
    #[error("found no volume with the series UID {uid}; there are: {}", list(series))]
    SeriesMissing {
        /// The UID that was asked for.
        uid: String,
        /// The series that are there.
        series: Vec<SeriesSummary>,
    },
    /// Two slices lie at the same place.
    #[error(
        "{count} positions have more than one slice, for example {first} and {second} at {position_mm:.2} mm: \
         the series holds copies, or several acquisitions or time points; keep the files of one",
        first = first.display(), second = second.display()
    )]
    SlicesRepeated {
        /// How many positions.
        count: usize,
        /// One file.
        first: PathBuf,
        /// Another at the same position.
        second: PathBuf,
        /// The position along the slices' normal.
        position_mm: f64,
    },
    /// There are gaps in the stack.
    #[error(
        "{missing} slices are missing, first between {before} (at {before_mm:.2} mm) and {after} (at {after_mm:.2} mm), \
         where neighbours are {spacing_mm:.2} mm apart; export the series again",
        before = before.display(), after = after.display()
    )]
    SlicesMissing {
        /// How many, in all gaps.
        missing: usize,
        /// The slice before the first gap.
        before: PathBuf,
        /// Its position along the slices' normal.
        before_mm: f64,
        /// The slice behind it.
        after: PathBuf,
        /// Its position.
        after_mm: f64,
        /// The usual distance.
        spacing_mm: f64,
    },
    /// The distances differ, but not as if slices were missing.
    #[error(
        "the slices are not evenly spaced: {low_mm:.3} to {high_mm:.3} mm apart, the widest after {path}; \
         resample the series to one spacing",
        path = path.display()
    )]
    SpacingUneven {
        /// Smallest distance.
        low_mm: f64,
        /// Largest distance.
        high_mm: f64,
        /// The slice before the largest distance.
        path: PathBuf,
    },
    /// Each slice is shifted against its neighbours, so that the voxels lie on no rectangular grid.
    #[error(
        "the gantry was tilted by {degrees:.1} degrees, so that the slices form no rectangular grid; \
         correct that first, for example with dcm2niix, and give its result"
    )]
    GantryTilted {
        /// Angle between the slices' normal and the line through their corners.
        degrees: f64,
    },
    /// A file of the series that is read gives no slice, so that the volume would not be whole.
    #[error("a slice of the series cannot be used: {problem}; export it again, or move it elsewhere")]
    MemberUnusable {
        /// Why.
        problem: Box<DicomError>,
    },
    /// A file that was looked for gives no slice.
    #[error("{reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
    /// A slice has no scaling to values where others of its series have one.
    #[error(
        "expected the attribute {name}, which {other} of the same series has, found none; export the series again",
        other = other.display()
    )]
    RescaleMissing {
        /// Its name in the standard.
        name: &'static str,
        /// A slice that has it.
        other: PathBuf,
    },
    /// A slice that is unlike the others of its series.
    #[error("{name} differs from that of {other}, a slice of the same series", other = other.display())]
    SliceUnlike {
        /// The attribute that differs.
        name: &'static str,
        /// The slice it was compared with.
        other: PathBuf,
    },
    /// A DICOM file of another kind than a structure set.
    #[error("the file is not an RT structure set")]
    NotAStructureSet,
    /// A structure set has no structure of that name or number.
    #[error("found no structure {wanted}; there are: {}", names.join(", "))]
    RoiMissing {
        /// What was asked for.
        wanted: String,
        /// Number and name of each structure.
        names: Vec<String>,
    },
    /// A structure set has several structures, and none was chosen.
    #[error("found {} structures; choose one by its name: {}", names.len(), names.join(", "))]
    SeveralRois {
        /// Number and name of each structure.
        names: Vec<String>,
    },
    /// The structure has no closed contours.
    #[error("the structure {name} has no closed planar contours")]
    RoiEmpty {
        /// Number and name.
        name: String,
    },
    /// A DICOM file of another kind than a segmentation.
    #[error("the file is not a DICOM segmentation")]
    NotASegmentation,
    /// A segmentation has no segment of that label or number.
    #[error("found no segment {wanted}; there are: {}", names.join(", "))]
    SegmentMissing {
        /// What was asked for.
        wanted: String,
        /// Number and label of each segment.
        names: Vec<String>,
    },
    /// A segmentation has several segments, and none was chosen.
    #[error("found {} segments; choose one of: {}", names.len(), names.join(", "))]
    SeveralSegments {
        /// Number and label of each segment.
        names: Vec<String>,
    },
    /// A voxel belongs to two segments, where it can have one label only.
    #[error(
        "the segments {first} and {second} overlap and cannot become one label map; extract one at a time"
    )]
    SegmentsOverlap {
        /// One segment.
        first: String,
        /// The other one.
        second: String,
    },
    /// A segment that was to be written is empty.
    #[error("the segment {label} has no voxels; there is nothing to store")]
    SegmentWithoutVoxels {
        /// Its label.
        label: String,
    },
    /// No segment, or more segments than there are numbers, cannot be written.
    #[error("expected 1 to {most} segments, found {count}")]
    TooManySegments {
        /// How many.
        count: usize,
        /// The most that fit.
        most: usize,
    },
    /// The pixels of a segmentation's frame are not voxels of the image.
    #[error(
        "the pixels of frame {frame} are not voxels of the image: it belongs to another series, or was resampled; \
         take the series it was made for"
    )]
    FrameOffGrid {
        /// The frame, from 1.
        frame: usize,
    },
    /// The frames of a segmentation do not lie on one grid.
    #[error("the frames do not lie on one grid: {reason}; name the image it belongs to")]
    FramesUneven {
        /// In what they differ.
        reason: &'static str,
    },
    /// A value is longer than its element can hold.
    #[error("the value of {tag} has {bytes} bytes, more than the {most} that fit")]
    ValueTooLong {
        /// The element, as group and number.
        tag: String,
        /// Bytes of the value.
        bytes: usize,
        /// The most that fit.
        most: u64,
    },
    /// No contour meets a slice of the image.
    #[error(
        "no contour of the structure {name} lies on a slice of the image; take the series it was drawn on"
    )]
    RoiElsewhere {
        /// Number and name.
        name: String,
    },
}

impl DicomError {
    /// This error of the file or directory at `path`.
    pub(super) fn at(self, path: &Path) -> IoError {
        IoError::Dicom { path: path.to_owned(), problem: Box::new(self) }
    }
}

/// What a directory holds beside the volume that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectoryContent {
    /// Overview pictures that a scan is planned on.
    pub localizers: usize,
    /// Images without a place in the patient: screenshots, dose reports.
    pub unplaced: usize,
    /// DICOM files that are not images: structure sets, segmentations, reports.
    pub no_images: usize,
    /// DICOM files that are damaged, or in a form that is not read.
    pub unreadable: usize,
    /// Files that are, byte for byte, copies of slices.
    pub copies: usize,
    /// Files that are not DICOM.
    pub other_files: usize,
}

impl fmt::Display for DirectoryContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { localizers, unplaced, no_images, unreadable, copies, other_files } = *self;
        let parts: Vec<String> = [
            (localizers, "localizer", "localizers"),
            (unplaced, "image without a position in the patient", "images without a position in the patient"),
            (no_images, "DICOM file that is not an image", "DICOM files that are not images"),
            (unreadable, "DICOM file that cannot be read", "DICOM files that cannot be read"),
            (copies, "copy of a slice", "copies of slices"),
            (other_files, "file that is not DICOM", "files that are not DICOM"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }))
        .collect();
        f.write_str(if parts.is_empty() { "no files" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// A series, by what tells it from others without describing a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesSummary {
    /// Series Instance UID.
    pub uid: String,
    /// `CT`, `MR`, ...
    pub modality: String,
    /// Number of slices.
    pub images: usize,
    /// Columns and rows of a slice.
    pub size: [usize; 2],
    /// One of its files.
    pub file: PathBuf,
    /// Frame of Reference UID; empty if the files have none.
    pub frame_of_reference: String,
}

impl fmt::Display for SeriesSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, modality, images, size: [columns, rows], .. } = self;
        write!(f, "{uid} ({modality}, {images} slices of {columns} x {rows})")
    }
}

fn list(series: &[SeriesSummary]) -> String {
    if series.is_empty() {
        return "none".to_owned();
    }
    series.iter().map(SeriesSummary::to_string).collect::<Vec<_>>().join("; ")
}
