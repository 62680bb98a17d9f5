use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{DicomError, value};

/// Place and spacing of a slice, or of the frames of a file.
///
/// Source: DICOM PS3.3, C.7.6.2 (image plane), C.7.6.16.2 (the same in functional groups).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct PlaneAttributes {
    pub(super) position: Option<[f64; 3]>,
    pub(super) orientation: Option<[f64; 6]>,
    /// Distance of rows, then of columns.
    pub(super) pixel_spacing: Option<[f64; 2]>,
    pub(super) slice_thickness: Option<f64>,
    pub(super) spacing_between_slices: Option<f64>,
}

impl PlaneAttributes {
    /// The attributes that [`set`](Self::set) takes.
    pub(super) const TAGS: [Tag; 5] = [
        tags::IMAGE_POSITION_PATIENT,
        tags::IMAGE_ORIENTATION_PATIENT,
        tags::PIXEL_SPACING,
        tags::SLICE_THICKNESS,
        tags::SPACING_BETWEEN_SLICES,
    ];

    /// Takes the value of one of [`TAGS`](Self::TAGS); present without a value counts as absent.
    pub(super) fn set(&mut self, tag: Tag, bytes: &[u8]) -> Result<(), DicomError> {
        if value::text(bytes).is_empty() {
            return Ok(());
        }
        let invalid = |name, expected| DicomError::AttributeInvalid { name, expected };
        match tag {
            tags::IMAGE_POSITION_PATIENT => {
                let position = value::decimal_array(bytes);
                self.position = Some(position.ok_or(invalid("ImagePositionPatient", "three numbers"))?);
            }
            tags::IMAGE_ORIENTATION_PATIENT => {
                let orientation = value::decimal_array(bytes);
                self.orientation =
                    Some(orientation.ok_or(invalid("ImageOrientationPatient", "six numbers"))?);
            }
            tags::PIXEL_SPACING => {
                let spacing = value::decimal_array(bytes).filter(|mm| mm.iter().all(|mm| *mm > 0.0));
                self.pixel_spacing = Some(spacing.ok_or(invalid("PixelSpacing", "two positive numbers"))?);
            }
            tags::SLICE_THICKNESS => self.slice_thickness = Some(value::number("SliceThickness", bytes)?),
            tags::SPACING_BETWEEN_SLICES => {
                self.spacing_between_slices = Some(value::number("SpacingBetweenSlices", bytes)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// These attributes, and what they lack from `shared`.
    pub(super) fn over(&self, shared: &Self) -> Self {
        Self {
            position: self.position.or(shared.position),
            orientation: self.orientation.or(shared.orientation),
            pixel_spacing: self.pixel_spacing.or(shared.pixel_spacing),
            slice_thickness: self.slice_thickness.or(shared.slice_thickness),
            spacing_between_slices: self.spacing_between_slices.or(shared.spacing_between_slices),
        }
    }
}
