//! The attributes of a segmentation.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::{
    SegmentDescription, Segmentation, StoredAs, StoredFrame,
    pixels::{self, Layout},
};
use crate::dicom::{
    DicomError, file::DicomFile, instance::uid, parser::Token, plane::PlaneAttributes, value,
};

const MOST_VALUE_BYTES: u64 = 1 << 16;
/// A hundred organs in some thousand slices.
const MOST_FRAMES: usize = 1 << 18;

/// Everything but the pixels, which come next in the file.
pub(super) struct Header {
    pub(super) size: [usize; 2],
    pub(super) frames: Vec<StoredFrame>,
    segments: Vec<SegmentDescription>,
    stored_as: StoredAs,
    layout: Layout,
    series: Vec<String>,
    frame_of_reference: String,
    /// Whether the pixels are compressed, and how many bytes they have if not.
    pub(super) in_fragments: bool,
    bytes: u64,
}

impl Header {
    pub(super) fn read_pixels(self, mut file: DicomFile) -> Result<Segmentation, DicomError> {
        let pixels = pixels::read(&mut file, self.layout, self.frames.len(), self.in_fragments, self.bytes)?;
        let Self { size, frames, segments, stored_as, series, frame_of_reference, .. } = self;
        Ok(Segmentation { segments, stored_as, series, frame_of_reference, size, frames, pixels })
    }
}

/// Reads up to the pixels.
pub(super) fn read_header(file: &mut DicomFile) -> Result<Header, DicomError> {
    file.check_supported()?;
    let mut reading = SegmentationReader::default();
    let mut path: Vec<Tag> = Vec::new();
    loop {
        match file.parser.next()? {
            Token::End => return Err(DicomError::AttributeMissing { name: "PixelData" }),
            Token::Pixels { in_fragments, bytes } => return reading.finish(in_fragments, bytes),
            Token::Element(tag) => reading.element(file, &path, tag)?,
            Token::SequenceStart(tag) if is_followed(&path, tag) => path.push(tag),
            Token::SequenceStart(_) => file.parser.skip_sequence()?,
            Token::SequenceEnd => drop(path.pop()),
            Token::ItemStart => reading.item_start(&path)?,
            Token::ItemEnd => {}
        }
    }
}

/// Which sequences are looked into, by the ones around them.
fn is_followed(path: &[Tag], tag: Tag) -> bool {
    match path {
        [] => [
            tags::SEGMENT_SEQUENCE,
            tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
            tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
            tags::REFERENCED_SERIES_SEQUENCE,
        ]
        .contains(&tag),
        [tags::SEGMENT_SEQUENCE] => tag == tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE,
        [tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE | tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE] => [
            tags::PLANE_POSITION_SEQUENCE,
            tags::PLANE_ORIENTATION_SEQUENCE,
            tags::PIXEL_MEASURES_SEQUENCE,
            tags::SEGMENT_IDENTIFICATION_SEQUENCE,
        ]
        .contains(&tag),
        _ => false,
    }
}

/// Segment and place of a frame, or of all frames.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    segment: Option<u16>,
    plane: PlaneAttributes,
}

#[derive(Default)]
struct SegmentationReader {
    text: SpecificCharacterSet,
    segments: Vec<SegmentDescription>,
    shared: Group,
    frames: Vec<Group>,
    series: Vec<String>,
    frame_of_reference: String,
    kind: String,
    maximum: Option<u16>,
    rows: Option<u16>,
    columns: Option<u16>,
    bits: Option<u16>,
    samples: Option<u16>,
    frame_count: Option<usize>,
}

impl SegmentationReader {
    fn item_start(&mut self, path: &[Tag]) -> Result<(), DicomError> {
        match path {
            [tags::SEGMENT_SEQUENCE] => self.segments.push(SegmentDescription::default()),
            [tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE] if self.frames.len() == MOST_FRAMES => {
                let reason = format!("expected at most {MOST_FRAMES} frames");
                return Err(DicomError::Damaged { reason });
            }
            [tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE] => self.frames.push(Group::default()),
            _ => {}
        }
        Ok(())
    }

    fn element(&mut self, file: &mut DicomFile, path: &[Tag], tag: Tag) -> Result<(), DicomError> {
        if !is_wanted(path, tag) {
            return Ok(());
        }
        let bytes = file.parser.take(MOST_VALUE_BYTES)?;
        let big_endian = file.big_endian;
        let short = |name| {
            value::unsigned_short(&bytes, big_endian)
                .map(Some)
                .ok_or(DicomError::AttributeInvalid { name, expected: "a 16-bit number" })
        };
        match path {
            [] => match tag {
                tags::SPECIFIC_CHARACTER_SET => {
                    let code = value::texts(&bytes);
                    let known = code.last().and_then(|code| SpecificCharacterSet::from_code(code));
                    self.text = known.unwrap_or_default();
                }
                tags::FRAME_OF_REFERENCE_UID => {
                    self.frame_of_reference = uid("FrameOfReferenceUID", &bytes)?;
                }
                tags::SEGMENTATION_TYPE => self.kind = value::text(&bytes),
                tags::MAXIMUM_FRACTIONAL_VALUE => self.maximum = short("MaximumFractionalValue")?,
                tags::ROWS => self.rows = short("Rows")?,
                tags::COLUMNS => self.columns = short("Columns")?,
                tags::BITS_ALLOCATED => self.bits = short("BitsAllocated")?,
                tags::SAMPLES_PER_PIXEL => self.samples = short("SamplesPerPixel")?,
                _ => self.frame_count = value::text(&bytes).parse().ok(),
            },
            [tags::REFERENCED_SERIES_SEQUENCE] => {
                self.series.push(uid("SeriesInstanceUID", &bytes)?);
            }
            [tags::SEGMENT_SEQUENCE, ..] => {
                let text = self.line(&bytes);
                let Some(segment) = self.segments.last_mut() else { return Ok(()) };
                match tag {
                    tags::SEGMENT_NUMBER => segment.number = short("SegmentNumber")?.unwrap_or(0),
                    tags::SEGMENT_LABEL => segment.label = text,
                    tags::SEGMENT_ALGORITHM_TYPE => segment.algorithm_type = text,
                    _ => segment.kind = text,
                }
            }
            [of, ..] => {
                let shared = *of == tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE;
                let group = if shared { Some(&mut self.shared) } else { self.frames.last_mut() };
                if let Some(group) = group {
                    group.set(tag, &bytes, big_endian)?;
                }
            }
        }
        Ok(())
    }

    /// Text from the file on one line.
    fn line(&self, bytes: &[u8]) -> String {
        let text = self.text.decode(bytes).unwrap_or_else(|_| value::text(bytes));
        text.trim_matches([' ', '\0']).replace(char::is_control, " ")
    }

    fn finish(self, in_fragments: bool, bytes: u64) -> Result<Header, DicomError> {
        let missing = |name| DicomError::AttributeMissing { name };
        let size = |size: Option<u16>, name| {
            size.filter(|size| *size > 0).map(usize::from).ok_or(DicomError::AttributeMissing { name })
        };
        let size = [size(self.columns, "Columns")?, size(self.rows, "Rows")?];
        let bits = self.bits.ok_or_else(|| missing("BitsAllocated"))?;
        let stored_as = match self.kind.as_str() {
            "BINARY" => StoredAs::Binary,
            "FRACTIONAL" => {
                StoredAs::Fractional { maximum: self.maximum.filter(|maximum| *maximum > 0).unwrap_or(255) }
            }
            "LABELMAP" => StoredAs::LabelMap,
            _ => {
                let expected = "BINARY, FRACTIONAL or LABELMAP";
                return Err(DicomError::AttributeInvalid { name: "SegmentationType", expected });
            }
        };
        let bits_fit = match stored_as {
            StoredAs::Binary => bits == 1 || bits == 8,
            StoredAs::Fractional { .. } => bits == 8,
            StoredAs::LabelMap => bits == 8 || bits == 16,
        };
        if !bits_fit || self.samples.is_some_and(|samples| samples != 1) {
            let expected = "as many bits as the segmentation's type has";
            return Err(DicomError::AttributeInvalid { name: "BitsAllocated", expected });
        }
        let count = self.frame_count.ok_or_else(|| missing("NumberOfFrames"))?;
        if count != self.frames.len() {
            let found = self.frames.len();
            let reason = format!("expected functional groups of {count} frames, found {found}");
            return Err(DicomError::Damaged { reason });
        }
        let frames = self
            .frames
            .iter()
            .map(|group| group.frame(&self.shared, stored_as == StoredAs::LabelMap))
            .collect::<Result<Vec<_>, _>>()?;
        let mut segments = self.segments;
        segments.retain(|segment| segment.number > 0);
        segments.sort_by_key(|segment| segment.number);
        for segment in &mut segments {
            let is_of = |frame: &&StoredFrame| frame.segment.is_none_or(|number| number == segment.number);
            segment.frames = frames.iter().filter(is_of).count();
        }
        let layout = Layout { pixels: size[0] * size[1], bits };
        let (series, frame_of_reference) = (self.series, self.frame_of_reference);
        Ok(Header {
            size,
            frames,
            segments,
            stored_as,
            layout,
            series,
            frame_of_reference,
            in_fragments,
            bytes,
        })
    }
}

impl Group {
    fn set(&mut self, tag: Tag, bytes: &[u8], big_endian: bool) -> Result<(), DicomError> {
        if tag != tags::REFERENCED_SEGMENT_NUMBER {
            return self.plane.set(tag, bytes);
        }
        let (name, expected) = ("ReferencedSegmentNumber", "a 16-bit number");
        let found = value::unsigned_short(bytes, big_endian);
        self.segment = Some(found.ok_or(DicomError::AttributeInvalid { name, expected })?);
        Ok(())
    }

    fn frame(&self, shared: &Self, is_label_map: bool) -> Result<StoredFrame, DicomError> {
        let missing = |name| DicomError::AttributeMissing { name };
        let segment = self.segment.or(shared.segment);
        if segment.is_none() && !is_label_map {
            return Err(missing("ReferencedSegmentNumber"));
        }
        let plane = self.plane.over(&shared.plane);
        let length = |mm: Option<f64>| mm.map(f64::abs).filter(|mm| *mm > 0.0);
        Ok(StoredFrame {
            segment: segment.filter(|_| !is_label_map),
            position: plane.position.ok_or_else(|| missing("ImagePositionPatient"))?,
            orientation: plane.orientation.ok_or_else(|| missing("ImageOrientationPatient"))?,
            spacing: plane.pixel_spacing.ok_or_else(|| missing("PixelSpacing"))?,
            between_slices: length(plane.spacing_between_slices),
            thickness: length(plane.slice_thickness),
        })
    }
}

fn is_wanted(path: &[Tag], tag: Tag) -> bool {
    match path {
        [] => [
            tags::SPECIFIC_CHARACTER_SET,
            tags::FRAME_OF_REFERENCE_UID,
            tags::SEGMENTATION_TYPE,
            tags::MAXIMUM_FRACTIONAL_VALUE,
            tags::ROWS,
            tags::COLUMNS,
            tags::BITS_ALLOCATED,
            tags::SAMPLES_PER_PIXEL,
            tags::NUMBER_OF_FRAMES,
        ]
        .contains(&tag),
        [tags::REFERENCED_SERIES_SEQUENCE] => tag == tags::SERIES_INSTANCE_UID,
        [tags::SEGMENT_SEQUENCE] => {
            [tags::SEGMENT_NUMBER, tags::SEGMENT_LABEL, tags::SEGMENT_ALGORITHM_TYPE].contains(&tag)
        }
        [tags::SEGMENT_SEQUENCE, _] => tag == tags::CODE_MEANING,
        [_, tags::SEGMENT_IDENTIFICATION_SEQUENCE] => tag == tags::REFERENCED_SEGMENT_NUMBER,
        [_, tags::PLANE_POSITION_SEQUENCE] => tag == tags::IMAGE_POSITION_PATIENT,
        [_, tags::PLANE_ORIENTATION_SEQUENCE] => tag == tags::IMAGE_ORIENTATION_PATIENT,
        [_, tags::PIXEL_MEASURES_SEQUENCE] => {
            [tags::PIXEL_SPACING, tags::SPACING_BETWEEN_SLICES, tags::SLICE_THICKNESS].contains(&tag)
        }
        _ => false,
    }
}
