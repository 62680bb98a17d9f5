//! A directory of DICOM slices and an RT structure set are a case of a data set as they are.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::path::Path;

use dicom_core::{DataElement, Length, PrimitiveValue, Tag, VR, dicom_value, value::DataSetSequence};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use sam3d_data::{
    dataset::{Case, CaseId, Dataset, check_case},
    prepared::PreparedCase,
};

fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

fn sequence(object: &mut InMemDicomObject, tag: Tag, item: InMemDicomObject) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::new(vec![item], Length::UNDEFINED)));
}

fn write(object: InMemDicomObject, path: &Path) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

/// Slice number `k` of an axial series of 8 x 8 voxels of 1 mm, 2 mm apart.
fn slice(k: u16) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    text(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
    text(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.3.{}", k + 1));
    text(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3");
    text(&mut object, tags::MODALITY, VR::CS, "CT");
    text(&mut object, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{}", 2 * k));
    text(&mut object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
    text(&mut object, tags::PIXEL_SPACING, VR::DS, "1\\1");
    text(&mut object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    text(&mut object, tags::RESCALE_SLOPE, VR::DS, "1");
    text(&mut object, tags::RESCALE_INTERCEPT, VR::DS, "-1000");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, 8),
        (tags::COLUMNS, 8),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        object.put(DataElement::new(tag, VR::US, dicom_value!(U16, [value])));
    }
    let stored: Vec<u16> = (0..64).map(|n| 1000 + 64 * k + n).collect();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(stored.into())));
    object
}

/// One structure with one contour: the square from (2, 2) to (5, 5) mm on the first slice.
fn structure_set() -> InMemDicomObject {
    let mut contour = InMemDicomObject::new_empty();
    text(&mut contour, tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR");
    let corners = "1.5\\1.5\\0\\5.5\\1.5\\0\\5.5\\5.5\\0\\1.5\\5.5\\0";
    text(&mut contour, tags::CONTOUR_DATA, VR::DS, corners);
    let mut drawn = InMemDicomObject::new_empty();
    sequence(&mut drawn, tags::CONTOUR_SEQUENCE, contour);
    text(&mut drawn, tags::REFERENCED_ROI_NUMBER, VR::IS, "1");
    let mut named = InMemDicomObject::new_empty();
    text(&mut named, tags::ROI_NUMBER, VR::IS, "1");
    text(&mut named, tags::ROI_NAME, VR::LO, "GTV");
    let mut object = InMemDicomObject::new_empty();
    text(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::RT_STRUCTURE_SET_STORAGE);
    text(&mut object, tags::SOP_INSTANCE_UID, VR::UI, "1.2.4.1");
    sequence(&mut object, tags::STRUCTURE_SET_ROI_SEQUENCE, named);
    sequence(&mut object, tags::ROI_CONTOUR_SEQUENCE, drawn);
    object
}

#[test]
fn a_case_of_slices_and_contours() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("ct");
    std::fs::create_dir(&image).unwrap();
    for k in 0..3 {
        write(slice(k), &image.join(format!("{k}.dcm")));
    }
    let label = directory.path().join("RS.dcm");
    write(structure_set(), &label);
    let case = Case { id: CaseId::new("a").unwrap(), image, label, label_on_image_voxels: false };
    let dataset = Dataset::named("sts-ct").unwrap();
    assert_eq!(dataset.target_class, 1);
    check_case(&dataset, &case).unwrap();
    let prepared = PreparedCase::read(&case, 1, &dataset.preprocessing).unwrap();
    assert!(prepared.whole_label().iter().any(|value| *value == 1));
}
