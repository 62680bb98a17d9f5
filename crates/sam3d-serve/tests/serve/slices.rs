//! The bright volume as a DICOM series.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{fs, path::Path};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use crate::bright;

/// Study Instance UID.
pub(crate) const STUDY: &str = "1.2.77";
/// Series Instance UID.
pub(crate) const SERIES: &str = "1.2.3.4";

fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

/// Writes the bright volume as axial slices of 1 x 1 x 1.5 mm.
pub(crate) fn write_slices(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for (k, plane) in bright::volume(0).outer_iter().enumerate() {
        let mut object = InMemDicomObject::new_empty();
        text(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
        text(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &format!("{SERIES}.{}", k + 1));
        text(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, STUDY);
        text(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, SERIES);
        text(&mut object, tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.78");
        text(&mut object, tags::MODALITY, VR::CS, "CT");
        text(&mut object, tags::PATIENT_NAME, VR::PN, "Doe^Jane");
        text(&mut object, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{}", 1.5 * k as f64));
        text(&mut object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
        text(&mut object, tags::PIXEL_SPACING, VR::DS, "1\\1");
        let numbers = [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, plane.nrows() as u16),
            (tags::COLUMNS, plane.ncols() as u16),
            (tags::BITS_ALLOCATED, 16),
            (tags::PIXEL_REPRESENTATION, 1),
        ];
        for (tag, value) in numbers {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        }
        let pixels: Vec<u16> = plane.iter().map(|value| *value as u16).collect();
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        object.with_meta(meta).unwrap().write_to_file(directory.join(format!("{k:03}"))).unwrap();
    }
}
