//! Writing segmentations (SEG): binary, and as a label map.

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use ndarray::{Array2, ArrayView3, Axis};

use super::{
    Origin, SegmentKind, SourceSeries, Uid, code, common,
    encode::{DataSet, Form, write_file},
};
use crate::{
    IoError,
    atomic::Overwrite,
    dicom::{DicomError, rle},
};

/// A segment to write.
pub struct NewSegment<'a> {
    /// What viewers show; up to 64 characters.
    pub label: String,
    /// What it is.
    pub kind: SegmentKind,
    /// Red, green and blue.
    pub colour: [u8; 3],
    /// Its voxels, those that are not 0, `[k, j, i]` on the source's grid.
    pub mask: ArrayView3<'a, u8>,
}

/// How voxels are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SegmentationEncoding {
    /// A bit for each voxel, a frame for each segment and slice: what every reader knows.
    #[default]
    Binary,
    /// The number of the segment in each voxel, run-length encoded: the class of the standard since 2024. Segments cannot
    /// overlap, and older viewers do not read it.
    LabelMap,
}

/// Writes `segments`, numbered from 1, as a segmentation of `source`. Slices without voxels are left out.
///
/// Frames of a binary segmentation whose pixels are not a multiple of 8 are followed by empty ones until all of them together fill
/// whole 16-bit words, as far as there are slices for that: OHIF's reader misplaces the bits otherwise.
///
/// # Errors
/// [`DicomError::SegmentWithoutVoxels`] if a segment has no voxels, [`DicomError::SegmentsOverlap`] for a label map of
/// segments that share a voxel, [`DicomError::TooManySegments`], [`IoError::ShapeMismatch`] if a mask is not on the source's
/// grid, [`IoError::Exists`], [`IoError::Write`].
pub fn write_segmentation(
    path: &Path,
    segments: &[NewSegment<'_>],
    encoding: SegmentationEncoding,
    source: &SourceSeries,
    mut origin: Origin<'_>,
    overwrite: Overwrite,
) -> Result<(), IoError> {
    let expected = source.grid.shape_kji();
    for segment in segments {
        let found: [usize; 3] = segment.mask.dim().into();
        if found != expected {
            return Err(IoError::ShapeMismatch { expected, found });
        }
        if segment.mask.iter().all(|value| *value == 0) {
            return Err(DicomError::SegmentWithoutVoxels { label: segment.label.clone() }.at(path));
        }
    }
    let most = match encoding {
        SegmentationEncoding::Binary => usize::from(u16::MAX),
        SegmentationEncoding::LabelMap => usize::from(u8::MAX),
    };
    if segments.is_empty() || segments.len() > most {
        return Err(DicomError::TooManySegments { count: segments.len(), most }.at(path));
    }
    let (class, syntax) = match encoding {
        SegmentationEncoding::Binary => (uids::SEGMENTATION_STORAGE, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        SegmentationEncoding::LabelMap => (uids::LABEL_MAP_SEGMENTATION_STORAGE, uids::RLE_LOSSLESS),
    };
    let (mut set, instance) = common(source, &mut origin, "SEG", class);
    let frames = match encoding {
        SegmentationEncoding::Binary => {
            let frames = binary_frames(segments, source);
            set.bytes(tags::PIXEL_DATA, VR::OB, packed_bits(segments, &frames, source));
            frames
        }
        SegmentationEncoding::LabelMap => {
            let (frames, pixels) = label_frames(segments, source).map_err(|error| error.at(path))?;
            set.fragments(pixels);
            frames
        }
    };
    image_attributes(&mut set, encoding, source, frames.len());
    set.text(tags::SEGMENTS_OVERLAP, VR::CS, if overlap(segments).is_some() { "YES" } else { "NO" });
    set.text(tags::CONTENT_DATE, VR::DA, &origin.moment.date());
    set.text(tags::CONTENT_TIME, VR::TM, &origin.moment.time());
    set.text(tags::CONTENT_LABEL, VR::CS, "SEGMENTATION");
    set.text(tags::CONTENT_DESCRIPTION, VR::LO, &source.encodable(&origin.series_description, 64));
    set.text(tags::CONTENT_CREATOR_NAME, VR::PN, "");
    // Required, and without meaning for a program.
    set.text(tags::DEVICE_SERIAL_NUMBER, VR::LO, "0");
    let mut items = Vec::new();
    if encoding == SegmentationEncoding::LabelMap {
        items.push(background(source, &origin));
    }
    for (number, segment) in (1..).zip(segments) {
        items.push(described(number, segment, source, &mut origin));
    }
    set.items(tags::SEGMENT_SEQUENCE, items);
    dimensions(&mut set, encoding, &(origin.next_uid)());
    let mut series = DataSet::default();
    series.text(tags::SERIES_INSTANCE_UID, VR::UI, &source.series_uid);
    series.items(tags::REFERENCED_INSTANCE_SEQUENCE, source.references());
    set.item(tags::REFERENCED_SERIES_SEQUENCE, series);
    let only = (segments.len() == 1 && encoding == SegmentationEncoding::Binary).then_some(1);
    set.item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, shared_groups(source, only));
    let group = |frame: &Frame| frame_groups(*frame, encoding, source, only.is_none());
    set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames.iter().map(group).collect());
    write_file(path, &set, [class, instance.as_str(), syntax], Form::Explicit, overwrite)
}

/// A segment, from 0, in a slice; of a label map the slice alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    segment: usize,
    slice: usize,
    /// The place of its slice among those that have frames, from 1.
    rank: u32,
}

/// Frames with voxels, and as many empty ones as it takes; by segment, then by slice.
fn binary_frames(segments: &[NewSegment<'_>], source: &SourceSeries) -> Vec<Frame> {
    let mut places: Vec<[usize; 2]> = Vec::new();
    let mut empty: Vec<[usize; 2]> = Vec::new();
    for (segment, new) in segments.iter().enumerate() {
        for (slice, plane) in new.mask.axis_iter(Axis(0)).enumerate() {
            let has_voxels = plane.iter().any(|value| *value != 0);
            if has_voxels { &mut places } else { &mut empty }.push([segment, slice]);
        }
    }
    let pixels = source.size().iter().product::<usize>();
    let is_misread = |count: usize| !pixels.is_multiple_of(8) && !(count * pixels).is_multiple_of(16);
    // Those nearest to slices with voxels of their segment first.
    let distance = |[segment, slice]: &[usize; 2]| {
        places.iter().filter(|[of, _]| of == segment).map(|[_, with]| with.abs_diff(*slice)).min()
    };
    empty.sort_by_cached_key(|place| (std::cmp::Reverse(place[0]), distance(place), place[1]));
    let wanted = (places.len()..=places.len() + empty.len()).find(|count| !is_misread(*count));
    let added = wanted.map_or(0, |count| count - places.len());
    places.extend(empty.into_iter().take(added));
    places.sort_unstable();
    ranked(places)
}

fn ranked(places: Vec<[usize; 2]>) -> Vec<Frame> {
    let mut slices: Vec<usize> = places.iter().map(|[_, slice]| *slice).collect();
    slices.sort_unstable();
    slices.dedup();
    let rank = |slice: usize| slices.partition_point(|other| *other <= slice) as u32;
    places.into_iter().map(|[segment, slice]| Frame { segment, slice, rank: rank(slice) }).collect()
}

/// The frames' bits without padding between them, the first pixel in the lowest bit of the first byte.
fn packed_bits(segments: &[NewSegment<'_>], frames: &[Frame], source: &SourceSeries) -> Vec<u8> {
    let pixels = source.size().iter().product::<usize>();
    let mut bytes = vec![0; (frames.len() * pixels).div_ceil(8)];
    for (number, frame) in frames.iter().enumerate() {
        let plane = segments[frame.segment].mask.index_axis_move(Axis(0), frame.slice);
        for (at, _) in plane.iter().enumerate().filter(|(_, value)| **value != 0) {
            let bit = number * pixels + at;
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    bytes
}

/// The frames of a label map and their run-length encoded pixels.
fn label_frames(
    segments: &[NewSegment<'_>],
    source: &SourceSeries,
) -> Result<(Vec<Frame>, Vec<Vec<u8>>), DicomError> {
    if let Some([first, second]) = overlap(segments) {
        let [first, second] = [first, second].map(|at| segments[at].label.clone());
        return Err(DicomError::SegmentsOverlap { first, second });
    }
    let [columns, rows] = source.size();
    let (mut places, mut pixels) = (Vec::new(), Vec::new());
    for slice in 0..source.slices.len() {
        let mut labels = Array2::<u8>::zeros([rows, columns]);
        for (label, segment) in (1..).zip(segments) {
            let plane = segment.mask.index_axis(Axis(0), slice);
            labels.zip_mut_with(&plane, |to, value| {
                if *value != 0 {
                    *to = label;
                }
            });
        }
        if labels.iter().any(|label| *label != 0) {
            places.push([0, slice]);
            let labels: Vec<u8> = labels.into_iter().collect();
            pixels.push(rle::encode(&labels, columns));
        }
    }
    Ok((ranked(places), pixels))
}

/// Two segments that share a voxel.
fn overlap(segments: &[NewSegment<'_>]) -> Option<[usize; 2]> {
    let pairs = (0..segments.len()).flat_map(|a| (a + 1..segments.len()).map(move |b| [a, b]));
    pairs.into_iter().find(|[a, b]| {
        let both = segments[*a].mask.iter().zip(&segments[*b].mask);
        both.into_iter().any(|(a, b)| *a != 0 && *b != 0)
    })
}

fn image_attributes(set: &mut DataSet, encoding: SegmentationEncoding, source: &SourceSeries, frames: usize) {
    let [columns, rows] = source.size().map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    let bits = if encoding == SegmentationEncoding::Binary { 1 } else { 8 };
    set.text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY");
    set.text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    set.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    set.text(tags::NUMBER_OF_FRAMES, VR::IS, &frames.to_string());
    set.short(tags::SAMPLES_PER_PIXEL, 1);
    set.short(tags::ROWS, rows);
    set.short(tags::COLUMNS, columns);
    set.short(tags::BITS_ALLOCATED, bits);
    set.short(tags::BITS_STORED, bits);
    set.short(tags::HIGH_BIT, bits - 1);
    set.short(tags::PIXEL_REPRESENTATION, 0);
    match encoding {
        SegmentationEncoding::Binary => set.text(tags::SEGMENTATION_TYPE, VR::CS, "BINARY"),
        SegmentationEncoding::LabelMap => {
            set.text(tags::SEGMENTATION_TYPE, VR::CS, "LABELMAP");
            set.short(tags::PIXEL_PADDING_VALUE, 0);
        }
    }
}

fn described(
    number: u16,
    segment: &NewSegment<'_>,
    source: &SourceSeries,
    origin: &mut Origin<'_>,
) -> DataSet {
    let mut item = DataSet::default();
    let label = source.encodable(&segment.label, 64);
    item.short(tags::SEGMENT_NUMBER, number);
    item.text(tags::SEGMENT_LABEL, VR::LO, &label);
    item.item(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, segment.kind.category().item());
    item.item(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, segment.kind.code().item());
    item.text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "SEMIAUTOMATIC");
    item.text(tags::SEGMENT_ALGORITHM_NAME, VR::LO, &source.encodable(&origin.program, 64));
    let colour: Vec<u8> = cielab(segment.colour).iter().flat_map(|part| part.to_le_bytes()).collect();
    item.bytes(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, VR::US, colour);
    item.text(tags::TRACKING_ID, VR::UT, &label);
    item.text(tags::TRACKING_UID, VR::UI, (origin.next_uid)().as_str());
    let mut algorithm = DataSet::default();
    algorithm.item(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, code::item_of(code::ARTIFICIAL_INTELLIGENCE));
    algorithm.text(tags::ALGORITHM_NAME, VR::LO, &source.encodable(&origin.algorithm, 64));
    algorithm.text(tags::ALGORITHM_VERSION, VR::LO, &source.encodable(&origin.version, 64));
    algorithm.text(tags::ALGORITHM_PARAMETERS, VR::LT, &source.encodable(&origin.parameters, 10_240));
    item.item(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, algorithm);
    item
}

/// What voxels outside every segment are, in a label map.
fn background(source: &SourceSeries, origin: &Origin<'_>) -> DataSet {
    let mut item = DataSet::default();
    item.short(tags::SEGMENT_NUMBER, 0);
    item.text(tags::SEGMENT_LABEL, VR::LO, "Background");
    item.item(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, code::item_of(code::BACKGROUND));
    item.item(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, code::item_of(code::BACKGROUND));
    item.text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "SEMIAUTOMATIC");
    item.text(tags::SEGMENT_ALGORITHM_NAME, VR::LO, &source.encodable(&origin.program, 64));
    item
}

fn dimensions(set: &mut DataSet, encoding: SegmentationEncoding, organization: &Uid) {
    let of_uid = || DataSet::of_uid(tags::DIMENSION_ORGANIZATION_UID, organization);
    set.item(tags::DIMENSION_ORGANIZATION_SEQUENCE, of_uid());
    let index = |pointer, group| {
        let mut item = of_uid();
        item.tag(tags::DIMENSION_INDEX_POINTER, pointer);
        item.tag(tags::FUNCTIONAL_GROUP_POINTER, group);
        item
    };
    let segment = index(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
    let position = index(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE);
    let indices = match encoding {
        SegmentationEncoding::Binary => vec![segment, position],
        SegmentationEncoding::LabelMap => vec![position],
    };
    set.items(tags::DIMENSION_INDEX_SEQUENCE, indices);
}

fn shared_groups(source: &SourceSeries, segment: Option<u16>) -> DataSet {
    let mut groups = DataSet::default();
    let mut orientation = DataSet::default();
    orientation.text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, &source.orientation);
    groups.item(tags::PLANE_ORIENTATION_SEQUENCE, orientation);
    let mut measures = DataSet::default();
    let between_slices = super::value::decimal(source.grid.world_from_ijk().column_lengths_mm()[2]);
    // A slice may be thicker than the distance to the next one.
    let thickness = if source.slice_thickness.is_empty() { &between_slices } else { &source.slice_thickness };
    measures.text(tags::SLICE_THICKNESS, VR::DS, thickness);
    measures.text(tags::SPACING_BETWEEN_SLICES, VR::DS, &between_slices);
    measures.text(tags::PIXEL_SPACING, VR::DS, &source.pixel_spacing);
    groups.item(tags::PIXEL_MEASURES_SEQUENCE, measures);
    if let Some(segment) = segment {
        groups.item(tags::SEGMENT_IDENTIFICATION_SEQUENCE, identification(segment));
    }
    groups
}

fn frame_groups(
    frame: Frame,
    encoding: SegmentationEncoding,
    source: &SourceSeries,
    names_segment: bool,
) -> DataSet {
    let slice = &source.slices[frame.slice];
    let number = frame.segment as u16 + 1;
    let mut groups = DataSet::default();
    let mut content = DataSet::default();
    match encoding {
        SegmentationEncoding::Binary => {
            content.longs(tags::DIMENSION_INDEX_VALUES, &[number.into(), frame.rank]);
            if names_segment {
                groups.item(tags::SEGMENT_IDENTIFICATION_SEQUENCE, identification(number));
            }
        }
        SegmentationEncoding::LabelMap => content.longs(tags::DIMENSION_INDEX_VALUES, &[frame.rank]),
    }
    groups.item(tags::FRAME_CONTENT_SEQUENCE, content);
    let mut position = DataSet::default();
    position.text(tags::IMAGE_POSITION_PATIENT, VR::DS, &slice.position);
    groups.item(tags::PLANE_POSITION_SEQUENCE, position);
    let mut image = DataSet::reference(&slice.class, &slice.instance, slice.frame);
    image.text(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES");
    image.item(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, code::item_of(code::SOURCE_IMAGE));
    let mut derivation = DataSet::default();
    derivation.item(tags::DERIVATION_CODE_SEQUENCE, code::item_of(code::SEGMENTATION));
    derivation.item(tags::SOURCE_IMAGE_SEQUENCE, image);
    groups.item(tags::DERIVATION_IMAGE_SEQUENCE, derivation);
    groups
}

fn identification(segment: u16) -> DataSet {
    let mut item = DataSet::default();
    item.short(tags::REFERENCED_SEGMENT_NUMBER, segment);
    item
}

/// The colour as DICOM has it: CIELAB (D65), L* from 0 to 100 and a*, b* from -128 to 127 as 16-bit numbers.
fn cielab(colour: [u8; 3]) -> [u16; 3] {
    let linear = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    let [red, green, blue] = linear;
    // To XYZ relative to white.
    let x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505;
    let y = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    let z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089;
    let root = |value: f64| {
        if value > 0.008_856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 }
    };
    let [x, y, z] = [x, y, z].map(root);
    let scaled = |value: f64, low: f64, high: f64| {
        ((value - low) / (high - low) * 65_535.0).round().clamp(0.0, 65_535.0) as u16
    };
    [
        scaled(116.0 * y - 16.0, 0.0, 100.0),
        scaled(500.0 * (x - y), -128.0, 127.0),
        scaled(200.0 * (y - z), -128.0, 127.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_as_dicom_has_them() {
        assert_eq!(cielab([0, 0, 0]), [0, 32_896, 32_896]);
        let [l, a, b] = cielab([255, 255, 255]);
        assert!(l >= 65_530 && a.abs_diff(32_896) < 40 && b.abs_diff(32_896) < 40, "{l} {a} {b}");
    }
}
