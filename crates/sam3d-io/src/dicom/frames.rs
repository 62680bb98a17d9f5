//! Images of many frames (enhanced CT): each frame as a slice of its own.
//!
//! Source: DICOM PS3.3, C.7.6.16 (functional groups).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{DicomError, file::DicomFile, instance::Instance, parser::Token, value};

const MOST_VALUE_BYTES: u64 = 4096;
/// The most frames of one file; a whole-body CT has a few thousand.
const MOST_FRAMES: usize = 1 << 16;

/// What a frame, or all frames of a file, say of their place and values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct FrameGroup {
    pub(super) position: Option<[f64; 3]>,
    pub(super) orientation: Option<[f64; 6]>,
    pixel_spacing: Option<[f64; 2]>,
    slice_thickness: Option<f64>,
    spacing_between_slices: Option<f64>,
    slope: Option<f64>,
    intercept: Option<f64>,
}

impl FrameGroup {
    /// This group, and what it lacks from `shared`.
    pub(super) fn over(&self, shared: &Self) -> Self {
        Self {
            position: self.position.or(shared.position),
            orientation: self.orientation.or(shared.orientation),
            pixel_spacing: self.pixel_spacing.or(shared.pixel_spacing),
            slice_thickness: self.slice_thickness.or(shared.slice_thickness),
            spacing_between_slices: self.spacing_between_slices.or(shared.spacing_between_slices),
            slope: self.slope.or(shared.slope),
            intercept: self.intercept.or(shared.intercept),
        }
    }

    fn set(&mut self, sequence: Tag, tag: Tag, bytes: &[u8]) -> Result<(), DicomError> {
        if value::text(bytes).is_empty() {
            return Ok(());
        }
        let invalid = |name, expected| DicomError::AttributeInvalid { name, expected };
        let number = |name| {
            let [number] = value::decimal_array(bytes).ok_or(invalid(name, "a number"))?;
            Ok(Some(number))
        };
        match (sequence, tag) {
            (tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT) => {
                let position = value::decimal_array(bytes);
                self.position = Some(position.ok_or(invalid("ImagePositionPatient", "three numbers"))?);
            }
            (tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT) => {
                let orientation = value::decimal_array(bytes);
                self.orientation =
                    Some(orientation.ok_or(invalid("ImageOrientationPatient", "six numbers"))?);
            }
            (tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING) => {
                let spacing = value::decimal_array(bytes).filter(|mm| mm.iter().all(|mm| *mm > 0.0));
                self.pixel_spacing = Some(spacing.ok_or(invalid("PixelSpacing", "two positive numbers"))?);
            }
            (tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS) => {
                self.slice_thickness = number("SliceThickness")?;
            }
            (tags::PIXEL_MEASURES_SEQUENCE, tags::SPACING_BETWEEN_SLICES) => {
                self.spacing_between_slices = number("SpacingBetweenSlices")?;
            }
            (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_SLOPE) => {
                self.slope = number("RescaleSlope")?;
            }
            (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, tags::RESCALE_INTERCEPT) => {
                self.intercept = number("RescaleIntercept")?;
            }
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
            (Token::Element(tag), Some(sequence)) => {
                let wanted = [
                    tags::IMAGE_POSITION_PATIENT,
                    tags::IMAGE_ORIENTATION_PATIENT,
                    tags::PIXEL_SPACING,
                    tags::SLICE_THICKNESS,
                    tags::SPACING_BETWEEN_SLICES,
                    tags::RESCALE_SLOPE,
                    tags::RESCALE_INTERCEPT,
                ];
                if wanted.contains(&tag) {
                    let bytes = file.parser.take(MOST_VALUE_BYTES)?;
                    if let Some(group) = groups.last_mut() {
                        group.set(sequence, tag, &bytes)?;
                    }
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
    let slice = |(frame, group): (usize, &FrameGroup)| {
        let group = group.over(&instance.shared_group);
        Instance {
            path: instance.path.clone(),
            sop_class: instance.sop_class.clone(),
            sop_instance: instance.sop_instance.clone(),
            series: instance.series.clone(),
            modality: instance.modality.clone(),
            photometric: instance.photometric.clone(),
            position: group.position.or(instance.position),
            orientation: group.orientation.or(instance.orientation),
            pixel_spacing: group.pixel_spacing.or(instance.pixel_spacing),
            slice_thickness: group.slice_thickness.or(instance.slice_thickness),
            spacing_between_slices: group.spacing_between_slices.or(instance.spacing_between_slices),
            slope: group.slope.or(instance.slope),
            intercept: group.intercept.or(instance.intercept),
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
        }
    };
    Ok(instance.frame_groups.iter().enumerate().map(slice).collect())
}
