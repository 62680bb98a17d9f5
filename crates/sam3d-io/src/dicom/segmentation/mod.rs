//! Reading segmentations (SEG): binary, fractional, and label maps.
//!
//! Frames are placed by their position in the patient, never by their order. A frame may cover a part of its slice, and its rows
//! may run along any axis of the grid it is placed on, as long as its pixels are that grid's voxels.
//!
//! Source: DICOM PS3.3, C.8.20 (Segmentation), C.7.6.16 (functional groups).

mod parse;
mod pixels;
mod place;

use std::path::Path;

use dicom_dictionary_std::uids;
use ndarray::Array3;

use super::{
    ContourWarning, DicomError, SeriesSummary,
    file::{DicomFile, is_dicom},
    structure_set::sop_class,
};
use crate::{Format, Grid, IoError, ReadLimits};

/// The share of [`StoredAs::Fractional`]'s maximum above which a voxel belongs to a segment, unless another one is asked for.
const USUAL_THRESHOLD: f32 = 0.5;

/// A segmentation: its segments, and where their voxels are.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    /// The segments, by number; without the background of a label map.
    pub segments: Vec<SegmentDescription>,
    /// How voxels are stored.
    pub stored_as: StoredAs,
    /// UIDs of the series it is a segmentation of.
    pub series: Vec<String>,
    /// UID of the frame of reference; empty if the file has none.
    pub frame_of_reference: String,
    /// Columns and rows of a frame.
    size: [usize; 2],
    frames: Vec<StoredFrame>,
    pixels: pixels::Pixels,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentDescription {
    /// Its number in the file.
    pub number: u16,
    /// Its label.
    pub label: String,
    /// What it is, in words; empty if the file does not say.
    pub kind: String,
    /// `MANUAL`, `SEMIAUTOMATIC` or `AUTOMATIC`; empty if the file does not say.
    pub algorithm_type: String,
    /// Frames in which it has voxels of its own; of a label map all frames.
    pub frames: usize,
}

/// The SegmentationType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredAs {
    /// A bit for each voxel and segment.
    Binary,
    /// A share or probability for each voxel and segment.
    Fractional {
        /// The number that stands for all of a voxel.
        maximum: u16,
    },
    /// The number of the voxel's segment.
    LabelMap,
}

/// Where a frame lies, and which segment's it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct StoredFrame {
    /// `None` in a label map.
    segment: Option<u16>,
    /// Centre of the first pixel, LPS in mm.
    position: [f64; 3],
    /// Directions along a row and along a column.
    orientation: [f64; 6],
    /// Distance of rows, then of columns, in mm.
    spacing: [f64; 2],
    /// Distance of slices in mm, if the file says it.
    between_slices: Option<f64>,
    thickness: Option<f64>,
}

impl Segmentation {
    /// Whether the file at `path` is a segmentation.
    ///
    /// # Errors
    /// [`IoError`] if it cannot be read, or begins as DICOM and is damaged.
    pub fn is_at(path: &Path) -> Result<bool, IoError> {
        if path.is_dir() || !is_dicom(path)? {
            return Ok(false);
        }
        let class = sop_class(&mut DicomFile::open(path)?).map_err(|error| error.at(path))?;
        Ok(is_class(&class))
    }

    /// Reads the segmentation at `path`.
    ///
    /// # Errors
    /// An [`IoError`] that names the file: it cannot be read, is damaged, of another kind, compressed in a way that is not
    /// read, or has more pixels than `limits` allow.
    pub fn read(path: &Path, limits: ReadLimits) -> Result<Self, IoError> {
        if !is_dicom(path)? {
            let reason = "expected DICM at byte 128, or elements of a DICOM data set".to_owned();
            return Err(IoError::NotOfFormat { path: path.to_owned(), format: Format::Dicom, reason });
        }
        let class = sop_class(&mut DicomFile::open(path)?).map_err(|error| error.at(path))?;
        if !is_class(&class) {
            return Err(DicomError::NotASegmentation.at(path));
        }
        let mut file = DicomFile::open(path)?;
        let header = parse::read_header(&mut file).map_err(|error| error.at(path))?;
        // Pixels that are not compressed take no more than the file has.
        if header.in_fragments {
            let [columns, rows] = header.size;
            limits.check(path, [columns, rows, header.frames.len()])?;
        }
        header.read_pixels(file).map_err(|error| error.at(path))
    }

    /// The segment with the label or number `wanted`, or the only one. Case and blanks around labels do not matter; a label goes
    /// before a number.
    ///
    /// # Errors
    /// [`DicomError::SegmentMissing`], [`DicomError::SeveralSegments`], which list the segments.
    pub fn choose(&self, wanted: Option<&str>) -> Result<&SegmentDescription, DicomError> {
        let names = || self.segments.iter().map(SegmentDescription::name).collect();
        let Some(wanted) = wanted else {
            return match self.segments.as_slice() {
                [only] => Ok(only),
                [] => Err(DicomError::SegmentMissing { wanted: "at all".into(), names: names() }),
                _ => Err(DicomError::SeveralSegments { names: names() }),
            };
        };
        let key = |label: &str| label.trim().to_lowercase();
        let exact = self.segments.iter().find(|segment| segment.label == wanted);
        exact
            .or_else(|| self.segments.iter().find(|segment| key(&segment.label) == key(wanted)))
            .or_else(|| self.segments.iter().find(|segment| wanted.parse() == Ok(segment.number)))
            .ok_or_else(|| DicomError::SegmentMissing { wanted: wanted.to_owned(), names: names() })
    }

    /// As [`grid`](Self::grid), for the file at `path`, if it has no more voxels than `limits` allow.
    ///
    /// # Errors
    /// As [`grid`](Self::grid), and [`IoError::TooLarge`].
    pub fn own_grid(&self, path: &Path, limits: ReadLimits) -> Result<Grid, IoError> {
        let grid = self.grid().map_err(|error| error.at(path))?;
        limits.check(path, grid.shape_ijk())?;
        Ok(grid)
    }

    /// The voxels of the segment `number` on `grid`, 0 and 1, indexed `[k, j, i]`. Of a fractional segmentation those whose share
    /// of the maximum is above `threshold`, 0.5 unless given.
    ///
    /// # Errors
    /// [`DicomError::FrameOffGrid`] if the pixels of a frame do not lie on voxels of `grid`.
    pub fn mask(&self, number: u16, grid: &Grid, threshold: Option<f32>) -> Result<Array3<u8>, DicomError> {
        let mut mask = Array3::zeros(grid.shape_kji());
        self.for_voxels(grid, threshold, |at, segment| {
            if segment == number {
                mask[at] = 1;
            }
            Ok(())
        })?;
        Ok(mask)
    }

    /// All segments on `grid` by their numbers, 0 outside, indexed `[k, j, i]`; `threshold` as for [`mask`](Self::mask).
    ///
    /// # Errors
    /// As [`mask`](Self::mask), and [`DicomError::SegmentsOverlap`] if a voxel belongs to several segments.
    pub fn labels(&self, grid: &Grid, threshold: Option<f32>) -> Result<Array3<u16>, DicomError> {
        let mut labels = Array3::zeros(grid.shape_kji());
        self.for_voxels(grid, threshold, |at, segment| {
            let before = std::mem::replace(&mut labels[at], segment);
            if before != 0 && before != segment {
                let name = |number| {
                    let known = self.segments.iter().find(|segment| segment.number == number);
                    known.map_or_else(|| number.to_string(), SegmentDescription::name)
                };
                return Err(DicomError::SegmentsOverlap { first: name(before), second: name(segment) });
            }
            Ok(())
        })?;
        Ok(labels)
    }

    /// A warning if it is not a segmentation of `image`, by the UIDs that both name.
    pub fn check_refers_to(&self, image: &SeriesSummary) -> Option<ContourWarning> {
        let frames = [self.frame_of_reference.clone()];
        [
            ("frame of reference", &frames[..], &image.frame_of_reference),
            ("series", &self.series[..], &image.uid),
        ]
        .into_iter()
        .find(|(_, expected, found)| {
            expected.iter().any(|uid| !uid.is_empty()) && !found.is_empty() && !expected.contains(found)
        })
        .map(|(what, expected, found)| ContourWarning::OtherImage {
            what,
            expected: expected.to_vec(),
            found: found.clone(),
        })
    }
}

impl SegmentDescription {
    /// Number and label, as errors and reports have them.
    pub fn name(&self) -> String {
        format!("{} {}", self.number, self.label)
    }
}

fn is_class(class: &str) -> bool {
    [uids::SEGMENTATION_STORAGE, uids::LABEL_MAP_SEGMENTATION_STORAGE].contains(&class)
}
