//! DICOM slices and structure sets as the program's input, and what it says of the person they show.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::path::Path;

use dicom_core::{DataElement, Length, PrimitiveValue, Tag, VR, value::DataSetSequence};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{failure_of, sam3d, stdout_of};

/// A patient that no output may name unless `--phi` asks for it.
const SECRETS: [&str; 4] = ["Sekret^Patientin", "PID-4711", "19431224", "Klinik Sekret"];

const ROWS: u16 = 6;
const COLUMNS: u16 = 8;

fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

fn with_patient(sop_class: &str) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    text(&mut object, tags::SOP_CLASS_UID, VR::UI, sop_class);
    text(&mut object, tags::PATIENT_NAME, VR::PN, SECRETS[0]);
    text(&mut object, tags::PATIENT_ID, VR::LO, SECRETS[1]);
    text(&mut object, tags::PATIENT_BIRTH_DATE, VR::DA, SECRETS[2]);
    text(&mut object, tags::INSTITUTION_NAME, VR::LO, SECRETS[3]);
    object
}

fn write(object: InMemDicomObject, path: &Path) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

/// Slice number `k` of `series`, 1 x 1 x 2.5 mm, its values `100 k`.
fn write_slice(directory: &Path, series: &str, k: u16) {
    let mut object = with_patient(uids::CT_IMAGE_STORAGE);
    text(&mut object, tags::SOP_INSTANCE_UID, VR::UI, &format!("{series}.{}", k + 1));
    text(&mut object, tags::STUDY_INSTANCE_UID, VR::UI, "1.2.77");
    text(&mut object, tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.78");
    text(&mut object, tags::SERIES_INSTANCE_UID, VR::UI, series);
    text(&mut object, tags::MODALITY, VR::CS, "CT");
    text(&mut object, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("-4\\-3\\{}", 2.5 * f64::from(k)));
    text(&mut object, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
    text(&mut object, tags::PIXEL_SPACING, VR::DS, "1\\1");
    text(&mut object, tags::RESCALE_INTERCEPT, VR::DS, "-1024");
    let numbers = [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, ROWS),
        (tags::COLUMNS, COLUMNS),
        (tags::BITS_ALLOCATED, 16),
        (tags::PIXEL_REPRESENTATION, 0),
    ];
    for (tag, value) in numbers {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }
    let pixels = vec![100 * k; usize::from(ROWS * COLUMNS)];
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
    std::fs::create_dir_all(directory).unwrap();
    write(object, &directory.join(format!("{series}-{}", 9 - k)));
}

pub(crate) fn write_series(directory: &Path, series: &str, slices: u16) {
    (0..slices).for_each(|k| write_slice(directory, series, k));
}

/// A structure set with a square of 3 x 2 voxels on the second slice, and, if `two`, another structure.
fn write_structures(path: &Path, two: bool) {
    let mut object = with_patient(uids::RT_STRUCTURE_SET_STORAGE);
    let sequence = |items| DataSetSequence::new(items, Length::UNDEFINED);
    let (mut names, mut contours) = (Vec::new(), Vec::new());
    for (number, name) in [("1", "GTV"), ("2", "Liver")].into_iter().take(if two { 2 } else { 1 }) {
        let mut item = InMemDicomObject::new_empty();
        text(&mut item, tags::ROI_NUMBER, VR::IS, number);
        text(&mut item, tags::ROI_NAME, VR::LO, name);
        names.push(item);
        let mut contour = InMemDicomObject::new_empty();
        text(&mut contour, tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR");
        let corners = "-2.5\\-1.5\\2.5\\0.5\\-1.5\\2.5\\0.5\\0.5\\2.5\\-2.5\\0.5\\2.5";
        text(&mut contour, tags::CONTOUR_DATA, VR::DS, corners);
        let mut item = InMemDicomObject::new_empty();
        item.put(DataElement::new(tags::CONTOUR_SEQUENCE, VR::SQ, sequence(vec![contour])));
        text(&mut item, tags::REFERENCED_ROI_NUMBER, VR::IS, number);
        contours.push(item);
    }
    object.put(DataElement::new(tags::STRUCTURE_SET_ROI_SEQUENCE, VR::SQ, sequence(names)));
    object.put(DataElement::new(tags::ROI_CONTOUR_SEQUENCE, VR::SQ, sequence(contours)));
    write(object, path);
}

#[test]
fn what_a_directory_of_slices_is() {
    let directory = tempdir().unwrap();
    write_series(&directory.path().join("ct"), "1.2.3", 4);
    write_structures(&directory.path().join("ct/RS.dcm"), true);
    insta::assert_snapshot!(stdout_of(sam3d(directory.path()).args(["info", "ct"])));
    insta::assert_snapshot!(stdout_of(sam3d(directory.path()).args(["info", "ct/RS.dcm"])));

    write_series(&directory.path().join("ct"), "1.2.9", 3);
    insta::assert_snapshot!(stdout_of(sam3d(directory.path()).args(["info", "ct"])));
    let json = stdout_of(sam3d(directory.path()).args(["--json", "info", "ct", "--series", "1.2.9"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["shape_ijk"], serde_json::json!([8, 6, 3]));
    assert_eq!((&json["dicom"]["series_uid"], &json["minimum"]), (&"1.2.9".into(), &(-1024.0).into()));
}

#[test]
fn contours_become_a_mask_that_is_the_truth_of_itself() {
    let directory = tempdir().unwrap();
    write_series(&directory.path().join("ct"), "1.2.3", 4);
    write_series(&directory.path().join("ct"), "1.2.9", 3);
    write_structures(&directory.path().join("two.dcm"), true);
    write_structures(&directory.path().join("one.dcm"), false);
    let mask = ["mask", "--image", "ct", "--series", "1.2.3", "--rtstruct"];
    let text = stdout_of(sam3d(directory.path()).args(mask).args([
        "two.dcm",
        "--roi",
        "liver",
        "--out",
        "liver.seg.nrrd",
    ]));
    assert!(text.contains("structure  Liver (1 contours)") && text.contains("(6 voxels)"), "{text}");
    let info = stdout_of(sam3d(directory.path()).args(["info", "liver.seg.nrrd"]));
    assert!(info.contains("label 1      6 voxels (Liver)") && info.contains("8 x 6 x 4"), "{info}");

    // Without --roi only where there is one.
    let error = failure_of(sam3d(directory.path()).args(mask).args(["two.dcm", "--out", "gtv.nii.gz"]), 1);
    assert!(
        error.contains("two.dcm")
            && error.contains("found 2 structures")
            && error.contains("1 GTV")
            && error.contains("--roi NAME"),
        "{error}"
    );
    stdout_of(sam3d(directory.path()).args(mask).args(["one.dcm", "--out", "gtv.nii.gz"]));
    let metrics = ["metrics", "--truth", "one.dcm", "--pred", "gtv.nii.gz"];
    let text = stdout_of(sam3d(directory.path()).args(metrics));
    assert!(text.contains("dice                              1.0000"), "{text}");
}

/// Every command that reads them, whether it succeeds or not, as loud as it gets.
#[test]
fn the_patient_is_named_only_when_asked_for() {
    let directory = tempdir().unwrap();
    write_series(&directory.path().join("ct"), "1.2.3", 4);
    write_structures(&directory.path().join("RS.dcm"), false);
    write_series(&directory.path().join("gap"), "1.2.3", 6);
    std::fs::remove_file(directory.path().join("gap/1.2.3-6")).unwrap();
    let slice = std::fs::read(directory.path().join("ct/1.2.3-9")).unwrap();
    std::fs::create_dir(directory.path().join("cut")).unwrap();
    // Cut in the middle of the pixels, and in the middle of the patient's name.
    std::fs::write(directory.path().join("cut/a"), &slice[..slice.len() - 7]).unwrap();
    let name = slice.windows(6).position(|window| window == b"Sekret").unwrap();
    std::fs::write(directory.path().join("name.dcm"), &slice[..name + 8]).unwrap();
    let lines = [
        "info ct",
        "info ct --json",
        "info RS.dcm",
        "info gap",
        "info cut",
        "info name.dcm",
        "info ct/1.2.3-9",
        "metrics --truth RS.dcm --pred ct",
        "metrics --truth ct --pred RS.dcm",
        "mask --rtstruct RS.dcm --image ct --out a.nii.gz",
        "mask --rtstruct RS.dcm --image gap --out b.nii.gz",
        "mask --rtstruct ct/1.2.3-9 --image ct --out c.nii.gz",
        "segment --weights none.safetensors --image ct --point 1,1,1 --out d.nii.gz",
    ];
    for line in lines {
        let output =
            sam3d(directory.path()).env("SAM3D_LOG", "trace").args(line.split(' ')).output().unwrap();
        for stream in [output.stdout, output.stderr] {
            let stream = String::from_utf8(stream).unwrap();
            for secret in SECRETS {
                assert!(!stream.contains(secret), "{line}: {stream}");
            }
        }
    }
    for path in ["ct", "RS.dcm", "ct/1.2.3-9"] {
        let text = stdout_of(sam3d(directory.path()).args(["info", "--phi", path]));
        assert!(SECRETS.iter().all(|secret| text.contains(secret)), "{path}: {text}");
    }
    // What is written has none of it, either.
    let mask = std::fs::read(directory.path().join("a.nii.gz")).unwrap();
    assert!(!mask.windows(6).any(|window| window == b"Sekret"));
}
