//! Images of many frames (enhanced CT): each frame as a slice of its own.
//!
//! Source: DICOM PS3.3, C.7.6.16 (functional groups).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{DicomError, file::DicomFile, instance::Instance, parser::Token, plane::PlaneAttributes, value};

const MOST_VALUE_BYTES: u64 = 4096;
/// The most frames of one file; a whole-body CT has a few thousand.
const MOST_FRAMES: usize = 1 << 16;

/// Place and scaling of a frame, or of all frames of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct FrameGroup {
    pub(super) plane: PlaneAttributes,
    slope: Option<f64>,
    intercept: Option<f64>,
}

impl FrameGroup {
    fn set(&mut self, sequence: Tag, tag: Tag, bytes: &[u8]) -> Result<(), DicomError> {
        if value::text(bytes).is_empty() {
            return Ok(());
        }
        match (sequence, tag) {
            (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_SLOPE) => {
                self.slope = Some(value::number("RescaleSlope", bytes)?);
            }
            (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_INTERCEPT) => {
                self.intercept = Some(value::number("RescaleIntercept", bytes)?);
            }
            (tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT)
            | (tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT)
            | (tags::PIXEL_MEASURES_SEQUENCE, _) => self.plane.set(tag, bytes)?,
            _ => {}
        }
        Ok(())
    }
}

/// The items of the sequence of functional groups that was just entered.
pub(super) fn read_groups(file: &mut DicomFile) -> Result<Vec<FrameGroup>, DicomError> {
    let (mut groups, mut inside): (Vec<FrameGroup>, Option<Tag>) = (Vec::new(), None);
    loop {
        match (file.parser.next()?, inside) {
            (Token::ItemStart, None) if groups.len() == MOST_FRAMES => {
                let reason = format!("expected at most {MOST_FRAMES} frames");
                return Err(DicomError::Damaged { reason });
            }
            (Token::ItemStart, None) => groups.push(FrameGroup::default()),
            (Token::SequenceStart(tag), None) if is_followed(tag) => inside = Some(tag),
            (Token::SequenceStart(_), _) => file.parser.skip_sequence()?,
            (Token::SequenceEnd, Some(_)) => inside = None,
            (Token::SequenceEnd, None) => return Ok(groups),
            (Token::Element(tag), Some(sequence)) if is_wanted(tag) => {
                let bytes = file.parser.take(MOST_VALUE_BYTES)?;
                if let Some(group) = groups.last_mut() {
                    group.set(sequence, tag, &bytes)?;
                }
            }
            (Token::End | Token::Pixels { .. }, _) => {
                let reason = "expected the end of the functional groups".to_owned();
                return Err(DicomError::Damaged { reason });
            }
            _ => {}
        }
    }
}

fn is_wanted(tag: Tag) -> bool {
    PlaneAttributes::TAGS.contains(&tag) || [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT].contains(&tag)
}

fn is_followed(tag: Tag) -> bool {
    [
        tags::PLANE_POSITION_SEQUENCE,
        tags::PLANE_ORIENTATION_SEQUENCE,
        tags::PIXEL_MEASURES_SEQUENCE,
        tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    ]
    .contains(&tag)
}

/// The slices of a file: the file itself, or its frames.
///
/// # Errors
/// [`DicomError::Damaged`] if there are not as many functional groups as frames.
pub(super) fn slices_of(instance: Instance) -> Result<Vec<Instance>, DicomError> {
    let count = instance.frame_count();
    if instance.frame_groups.is_empty() {
        return Ok(vec![instance]);
    }
    if instance.frame_groups.len() != count {
        let found = instance.frame_groups.len();
        let reason = format!("expected functional groups of {count} frames, found {found}");
        return Err(DicomError::Damaged { reason });
    }
    let shared = &instance.shared_group;
    let slice = |(frame, group): (usize, &FrameGroup)| Instance {
        path: instance.path.clone(),
        sop_class: instance.sop_class.clone(),
        sop_instance: instance.sop_instance.clone(),
        series: instance.series.clone(),
        modality: instance.modality.clone(),
        photometric: instance.photometric.clone(),
        plane: group.plane.over(&shared.plane).over(&instance.plane),
        slope: group.slope.or(shared.slope).or(instance.slope),
        intercept: group.intercept.or(shared.intercept).or(instance.intercept),
        rows: instance.rows,
        columns: instance.columns,
        frames: instance.frames,
        samples: instance.samples,
        bits_allocated: instance.bits_allocated,
        bits_stored: instance.bits_stored,
        high_bit: instance.high_bit,
        signed: instance.signed,
        has_lookup_table: instance.has_lookup_table,
        has_pixels: instance.has_pixels,
        largest_bytes: instance.largest_bytes,
        frame: Some([frame, count]),
        ..Instance::default()
    };
    Ok(instance.frame_groups.iter().enumerate().map(slice).collect())
}
