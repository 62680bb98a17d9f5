//! Folders of DICOM files as exports are.

use std::{fs, path::Path};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use sam3d_io::{
    Format, IoError, Volume,
    dicom::{self, DicomError, MaskOptions, StructureSet, survey},
};
use tempfile::TempDir;

use super::{count, fixture, read};

/// The series of the fixtures in a directory of its own.
fn series() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("d00_base")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    directory
}

fn with(name: &str, file: &str) -> TempDir {
    let directory = series();
    fs::copy(fixture(file), directory.path().join(name)).unwrap();
    directory
}

fn base() -> Volume {
    read(&fixture("d00_base")).unwrap()
}

/// Where the data set of a file with preamble begins.
fn data_set_at(bytes: &[u8]) -> usize {
    let mut at = 132;
    while bytes[at..].starts_with(&[2, 0]) {
        let short = u16::from_le_bytes(bytes[at + 6..at + 8].try_into().unwrap());
        let long = || u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        at += if &bytes[at + 4..at + 6] == b"OB" { 12 + long() as usize } else { 8 + usize::from(short) };
    }
    at
}

/// The object in a file, whose first group has no length, as dicom-object wants to have it.
fn open_file(path: impl AsRef<Path>) -> Result<DefaultDicomObject, dicom_object::WithMetaError> {
    let bytes = fs::read(path).unwrap();
    let data_set = &bytes[data_set_at(&bytes)..];
    let syntax = EXPLICIT_VR_LITTLE_ENDIAN.erased();
    let object = InMemDicomObject::read_dataset_with_ts(data_set, &syntax).unwrap();
    object.with_meta(FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN))
}

/// Changes the slice `name` of the directory.
fn change(directory: &Path, name: &str, change: impl FnOnce(&mut DefaultDicomObject)) {
    let path = directory.join(name);
    let mut object = open_file(&path).unwrap();
    change(&mut object);
    object.write_to_file(&path).unwrap();
}

fn refused(directory: &Path) -> (DicomError, String) {
    let error = read(directory).unwrap_err();
    let text = error.to_string();
    let problem = if let IoError::Dicom { problem, .. } = error { Some(*problem) } else { None };
    (problem.unwrap_or_else(|| unreachable!("{text}")), text)
}

fn assert_is_base(volume: &Volume, name: &str) {
    let expected = base();
    assert!(volume.data == expected.data && volume.grid == expected.grid, "{name}");
}

#[test]
fn files_without_preamble_and_first_group() {
    assert_is_base(&read(&fixture("d01_nopreamble")).unwrap(), "implicit");
    let set = StructureSet::read(&fixture("rt10_nopreamble.dcm")).unwrap();
    let made = set.choose(None).unwrap().mask(&base().grid, MaskOptions::default()).unwrap();
    assert_eq!(count(&made.mask), 899);
    // Explicit and big endian, and with the first group but without the preamble.
    for (syntax, from) in [
        (uids::EXPLICIT_VR_LITTLE_ENDIAN, None),
        ("1.2.840.10008.1.2.2", None),
        (uids::EXPLICIT_VR_LITTLE_ENDIAN, Some(132)),
        (uids::IMPLICIT_VR_LITTLE_ENDIAN, Some(132)),
    ] {
        let directory = series();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            let mut object = open_file(&path).unwrap();
            object.update_meta(|meta| meta.transfer_syntax = syntax.into());
            object.write_to_file(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[from.unwrap_or(data_set_at(&bytes))..]).unwrap();
        }
        assert_eq!(Format::recognise(&directory.path().join("003.dcm")).unwrap(), Format::Dicom);
        assert_is_base(&read(directory.path()).unwrap(), syntax);
        assert_is_base(&read(&directory.path().join("003.dcm")).unwrap(), syntax);
    }
    // Text that speaks of DICOM is not DICOM.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    fs::write(&path, "1.2.840.10008.5.1.4.1.1.2 is CT Image Storage").unwrap();
    assert!(matches!(read(&path), Err(IoError::FormatUnknown { .. })));
}

#[test]
fn a_file_that_is_not_of_the_series_is_passed_over() {
    for (name, file) in [
        ("zz.dcm", "truncated_report.dcm"),
        ("ge.dcm", "private_syntax.dcm"),
        ("sc.dcm", "secondary_capture.dcm"),
    ] {
        let directory = with(name, file);
        assert_is_base(&read(directory.path()).unwrap(), file);
        let found = survey(directory.path()).unwrap();
        assert_eq!((found.series.len(), found.passed_over.unreadable), (1, 1), "{file}");
        assert!(found.passed_over.to_string().contains("1 DICOM file that cannot be read"), "{file}");
    }
    // All at once, beside a structure set, a segmentation and what is not DICOM; then as files named by themselves.
    let directory = with("zz.dcm", "truncated_report.dcm");
    for file in ["private_syntax.dcm", "secondary_capture.dcm", "rt0_base.dcm", "seg.dcm", "z_lfs.nii.gz"] {
        fs::copy(fixture(file), directory.path().join(file)).unwrap();
    }
    assert_is_base(&read(directory.path()).unwrap(), "all");
    for file in ["zz.dcm", "private_syntax.dcm", "secondary_capture.dcm"] {
        let text = read(&directory.path().join(file)).unwrap_err().to_string();
        assert!(text.contains(file), "{text}");
    }
}

#[test]
fn a_slice_of_the_series_that_cannot_be_used_is_an_error() {
    // In the middle and at both ends.
    for name in ["000.dcm", "009.dcm", "019.dcm"] {
        let directory = series();
        change(directory.path(), name, |object| {
            object.remove_element(tags::IMAGE_POSITION_PATIENT);
        });
        let (error, text) = refused(directory.path());
        assert!(matches!(error, DicomError::MemberUnusable { .. }), "{text}");
        assert!(text.contains(name) && text.contains("ImagePositionPatient"), "{text}");

        // Cut off in its pixels, and before them.
        let whole = fs::read(fixture("d00_base").join(name)).unwrap();
        for length in [whole.len() - 10, whole.len() - 1900] {
            let directory = series();
            fs::write(directory.path().join(name), &whole[..length]).unwrap();
            let (error, text) = refused(directory.path());
            assert!(matches!(error, DicomError::MemberUnusable { .. }), "{length}: {text}");
            assert!(text.contains(name), "{text}");
        }

        let directory = series();
        change(directory.path(), name, |object| {
            object.put(DataElement::new(tags::PIXEL_SPACING, VR::DS, PrimitiveValue::from("0\\0")));
        });
        let (_, text) = refused(directory.path());
        assert!(text.contains(name) && text.contains("PixelSpacing"), "{text}");

        let directory = series();
        let mut bytes = fs::read(directory.path().join(name)).unwrap();
        let syntax = b"1.2.840.10008.1.2.1\0";
        let at = bytes.windows(syntax.len()).position(|window| window == syntax).unwrap();
        bytes[at..at + syntax.len()].copy_from_slice(b"1.2.840.113619.5.2\0\0");
        fs::write(directory.path().join(name), bytes).unwrap();
        let (_, text) = refused(directory.path());
        assert!(text.contains(name) && text.contains("1.2.840.113619.5.2"), "{text}");
    }
}

#[test]
fn copies_are_dropped_and_what_differs_is_not() {
    let one = with("005 (1).dcm", "d00_base/005.dcm");
    assert_is_base(&read(one.path()).unwrap(), "one copy");
    let all = series();
    fs::create_dir(all.path().join("copy")).unwrap();
    for entry in fs::read_dir(fixture("d00_base")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, all.path().join("copy").join(path.file_name().unwrap())).unwrap();
    }
    assert_is_base(&read(all.path()).unwrap(), "all twice");
    // Another value in a pixel: two acquisitions, and which is meant is not known.
    change(all.path(), "copy/007.dcm", |object| {
        let mut values = object.element(tags::PIXEL_DATA).unwrap().to_multi_int::<i16>().unwrap();
        values[5] += 1;
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::I16(values.into())));
    });
    let (error, text) = refused(all.path());
    assert!(matches!(error, DicomError::SlicesRepeated { count: 1, .. }), "{text}");
    let at = with("again.dcm", "d00_base/005.dcm");
    change(at.path(), "again.dcm", |object| {
        object.put(DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from("1.2.3")));
    });
    assert!(matches!(refused(at.path()).0, DicomError::SlicesRepeated { count: 1, .. }));
}

#[cfg(unix)]
#[test]
fn links_to_directories_are_followed_once() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("study")).unwrap();
    symlink(fixture("d00_base"), place.path().join("study/ct")).unwrap();
    symlink(place.path(), place.path().join("study/back")).unwrap();
    assert_is_base(&read(place.path()).unwrap(), "a link and one that leads back");
    assert_is_base(&read(&place.path().join("study/ct")).unwrap(), "the link itself");
}

#[test]
fn a_missing_scaling_on_some_slices() {
    for (tag, name) in [(tags::RESCALE_INTERCEPT, "RescaleIntercept"), (tags::RESCALE_SLOPE, "RescaleSlope")]
    {
        let directory = series();
        change(directory.path(), "004.dcm", |object| {
            object.remove_element(tag);
        });
        let (error, text) = refused(directory.path());
        assert!(matches!(error, DicomError::RescaleMissing { .. }), "{text}");
        assert!(text.contains("004.dcm") && text.contains(name), "{text}");
    }
}

#[test]
fn a_segmentation_is_read_as_a_mask_and_is_no_slice_of_a_volume() {
    let mask = read(&fixture("seg.dcm")).unwrap();
    assert_eq!((mask.grid.shape_ijk(), mask.data.sum()), ([32, 28, 13], 925.0));
    assert_eq!(mask.grid.spacing_ijk_mm()[2], 2.5);
    let directory = series();
    fs::copy(fixture("seg.dcm"), directory.path().join("seg.dcm")).unwrap();
    assert_is_base(&read(directory.path()).unwrap(), "beside its segmentation");
}

/// The enhanced CT with its frames changed: as a file of its own.
fn enhanced(change: impl FnOnce(&mut DefaultDicomObject)) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut object = open_file(fixture("d09_enhanced/enh.dcm")).unwrap();
    change(&mut object);
    object.write_to_file(directory.path().join("enh.dcm")).unwrap();
    directory
}

/// Sets a value in a sequence of the functional groups of the frame `frame`.
fn set_in_frame(object: &mut DefaultDicomObject, frame: usize, sequence: Tag, tag: Tag, vr: VR, value: &str) {
    object.update_value(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, |frames| {
        let group = &mut frames.items_mut().unwrap()[frame];
        if group.element(sequence).is_err() {
            let items = dicom_core::value::DataSetSequence::new(
                vec![dicom_object::InMemDicomObject::new_empty()],
                dicom_core::Length::UNDEFINED,
            );
            group.put(DataElement::new(sequence, VR::SQ, items));
        }
        group.update_value(sequence, |items| {
            items.items_mut().unwrap()[0].put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        });
    });
}

#[test]
fn an_enhanced_ct_is_a_stack_of_frames() {
    for path in ["d09_enhanced", "d09_enhanced/enh.dcm"] {
        assert_is_base(&read(&fixture(path)).unwrap(), path);
    }
    let found = survey(&fixture("d09_enhanced")).unwrap();
    assert_eq!((found.series.len(), found.series[0].images), (1, 20));

    // Frames in another order: the places decide.
    let swapped = enhanced(|object| {
        for (frame, z) in [(3, "-80.0"), (8, "-92.5")] {
            let position = format!("-20\\-18\\{z}");
            let sequence = tags::PLANE_POSITION_SEQUENCE;
            set_in_frame(object, frame, sequence, tags::IMAGE_POSITION_PATIENT, VR::DS, &position);
        }
    });
    let (swapped, expected) = (read(swapped.path()).unwrap(), base());
    assert_eq!(swapped.grid, expected.grid);
    for (k, from) in [(3, 8), (8, 3), (4, 4)] {
        let axis = ndarray::Axis(0);
        assert_eq!(swapped.data.index_axis(axis, k), expected.data.index_axis(axis, from));
    }

    // A scaling of one frame's own.
    let scaled = enhanced(|object| {
        let sequence = tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE;
        set_in_frame(object, 2, sequence, tags::RESCALE_INTERCEPT, VR::DS, "-24");
        set_in_frame(object, 2, sequence, tags::RESCALE_SLOPE, VR::DS, "1");
    });
    let scaled = read(scaled.path()).unwrap();
    assert_eq!(scaled.data[[2, 0, 0]], expected.data[[2, 0, 0]] + 1000.0);
    assert_eq!((scaled.data[[1, 0, 0]], scaled.rescale), (expected.data[[1, 0, 0]], None));
}

#[test]
fn an_enhanced_ct_that_is_no_even_stack() {
    let moved = |z: &'static str| {
        enhanced(move |object| {
            let sequence = tags::PLANE_POSITION_SEQUENCE;
            let position = format!("-20\\-18\\{z}");
            set_in_frame(object, 5, sequence, tags::IMAGE_POSITION_PATIENT, VR::DS, &position);
        })
    };
    let (error, text) = refused(moved("-90").path());
    assert!(matches!(error, DicomError::SlicesRepeated { .. }) && text.contains("(frame "), "{text}");
    assert!(matches!(refused(moved("-86.6").path()).0, DicomError::SpacingUneven { .. }));
    let beyond = enhanced(|object| {
        let sequence = tags::PLANE_POSITION_SEQUENCE;
        let position = "-20\\-18\\-35";
        set_in_frame(object, 19, sequence, tags::IMAGE_POSITION_PATIENT, VR::DS, position);
    });
    assert!(matches!(refused(beyond.path()).0, DicomError::SlicesMissing { .. }));
    // More frames than places, and fewer pixels than frames.
    for count in ["21", "19", "4000000000"] {
        let directory = enhanced(|object| {
            object.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, PrimitiveValue::from(count)));
        });
        let (_, text) = refused(directory.path());
        assert!(text.contains("functional groups of"), "{text}");
    }
    let without_place = enhanced(|object| {
        object.remove_element(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    });
    let error = read(&without_place.path().join("enh.dcm")).unwrap_err();
    assert!(matches!(error, IoError::FramesUnsupported { frames: 20, .. }), "{error}");
}

#[test]
fn a_structure_set_of_another_image_is_told() {
    let set = StructureSet::read(&fixture("rt0_base.dcm")).unwrap();
    let image = dicom::series_of(&fixture("d00_base"), None).unwrap();
    assert_eq!(set.check_refers_to(&image), None);
    let other = dicom::SeriesSummary { uid: "1.2.3".into(), ..image.clone() };
    let text = set.check_refers_to(&other).unwrap().to_string();
    assert!(text.contains("series") && text.contains("1.2.3"), "{text}");
    let other = dicom::SeriesSummary { frame_of_reference: "1.2.4".into(), ..image };
    let text = set.check_refers_to(&other).unwrap().to_string();
    assert!(text.contains("frame of reference") && text.contains("1.2.4"), "{text}");
}
