//! Structure sets: made up here, and one that was drawn on a real CT.

use std::{fs, path::Path};

use dicom_core::{DataElement, Length, PrimitiveValue, Tag, VR, value::DataSetSequence};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use sam3d_io::{
    IoError, ReadLimits,
    dicom::{self, DicomError, MaskOptions, StructureSet},
    nifti,
};
use sam3d_testkit::{by_name, test_volume};

use super::{
    read,
    slices::{NAME, Slice, directory, write},
};

fn text(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

fn sequence(object: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED)));
}

/// A slice's z, and the lower and upper x and y of a square on it.
type Square = (f64, [f64; 4]);

/// A structure set with the structures `(number, name, squares)`.
fn structure_set(rois: &[(i64, &str, &[Square])]) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    text(&mut object, tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
    text(&mut object, tags::SOP_CLASS_UID, VR::UI, uids::RT_STRUCTURE_SET_STORAGE);
    text(&mut object, tags::PATIENT_NAME, VR::PN, NAME);
    let (mut named, mut drawn) = (Vec::new(), Vec::new());
    for (number, name, squares) in rois {
        let mut item = InMemDicomObject::new_empty();
        text(&mut item, tags::ROI_NUMBER, VR::IS, &number.to_string());
        text(&mut item, tags::ROI_NAME, VR::LO, name);
        named.push(item);
        let contour = |(z, [low_x, low_y, high_x, high_y]): &Square| {
            let mut item = InMemDicomObject::new_empty();
            text(&mut item, tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR");
            let corners = [(low_x, low_y), (high_x, low_y), (high_x, high_y), (low_x, high_y)];
            let data: Vec<String> = corners.iter().map(|(x, y)| format!("{x}\\{y}\\{z}")).collect();
            text(&mut item, tags::CONTOUR_DATA, VR::DS, &data.join("\\"));
            item
        };
        let mut item = InMemDicomObject::new_empty();
        sequence(&mut item, tags::CONTOUR_SEQUENCE, squares.iter().map(contour).collect());
        text(&mut item, tags::REFERENCED_ROI_NUMBER, VR::IS, &number.to_string());
        drawn.push(item);
    }
    sequence(&mut object, tags::STRUCTURE_SET_ROI_SEQUENCE, named);
    sequence(&mut object, tags::ROI_CONTOUR_SEQUENCE, drawn);
    object
}

fn problem(error: IoError, path: &Path) -> DicomError {
    let text = error.to_string();
    assert!(text.contains(&*path.to_string_lossy()) && !text.contains("Sekret"), "{text}");
    let problem = if let IoError::Dicom { problem, .. } = error { Some(*problem) } else { None };
    problem.unwrap()
}

#[test]
fn a_structure_by_name_or_number() {
    let slices: Vec<Slice> = (0..3).map(Slice::number).collect();
    let directory = directory(&slices);
    let grid = read(directory.path()).unwrap().grid;
    let path = directory.path().join("structures");
    // The middle slice, around the voxels 1 to 3 along i and 1 to 2 along j; the second has a hole of one voxel.
    let outer = (32.5, [-9.7, -19.5, -8.3, -18.2]);
    let hole = (32.5, [-9.2, -19.5, -8.8, -18.9]);
    let object = structure_set(&[(3, "GTV Täst", &[outer]), (7, "PTV", &[outer, hole]), (8, "empty", &[])]);
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
        write(object.clone(), syntax, &path);
        assert!(StructureSet::is_at(&path).unwrap());
        for name in ["GTV Täst", " gtv täst", "3"] {
            let mask = dicom::read_mask(&path, Some(name), &grid, MaskOptions::default()).unwrap().mask;
            let found: Vec<_> =
                mask.indexed_iter().filter(|(_, value)| **value == 1).map(|(at, _)| at).collect();
            assert_eq!(found, [(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 2, 1), (1, 2, 2), (1, 2, 3)]);
        }
        let with_hole = dicom::read_mask(&path, Some("PTV"), &grid, MaskOptions::default()).unwrap().mask;
        assert_eq!((with_hole.sum(), with_hole[[1, 1, 2]]), (5, 0));

        let several = dicom::read_mask(&path, None, &grid, MaskOptions::default()).unwrap_err();
        assert!(several.to_string().contains("found 3 structures") && several.to_string().contains("7 PTV"));
        let missing = dicom::read_mask(&path, Some("GTV"), &grid, MaskOptions::default()).unwrap_err();
        assert!(matches!(problem(missing, &path), DicomError::RoiMissing { names, .. } if names.len() == 3));
        let empty = dicom::read_mask(&path, Some("empty"), &grid, MaskOptions::default()).unwrap_err();
        assert!(matches!(problem(empty, &path), DicomError::RoiEmpty { .. }));
    }
    // Beside the slices it is no obstacle, and alone it is no image.
    assert_eq!(read(directory.path()).unwrap().grid, grid);
    let error = read(&path).unwrap_err().to_string();
    assert!(error.contains("an RT structure set") && error.contains("sam3d mask"), "{error}");
    let slice = super::slices::path_of(directory.path(), 0);
    assert!(matches!(problem(StructureSet::read(&slice).unwrap_err(), &slice), DicomError::NotAStructureSet));
}

#[test]
fn the_only_structure_as_a_label() {
    let slices = directory(&[Slice::number(0), Slice::number(1)]);
    let grid = read(slices.path()).unwrap().grid;
    let path = slices.path().join("structures");
    let square = (30.0, [-9.7, -19.5, -8.3, -18.2]);
    write(structure_set(&[(1, "a", &[square])]), uids::EXPLICIT_VR_LITTLE_ENDIAN, &path);
    let label = sam3d_io::read_label(&path, &grid, ReadLimits::default()).unwrap();
    assert_eq!((label.data.sum(), &label.grid), (6.0, &grid));
    write(structure_set(&[(1, "a", &[(99.0, square.1)])]), uids::EXPLICIT_VR_LITTLE_ENDIAN, &path);
    let error = sam3d_io::read_label(&path, &grid, ReadLimits::default()).unwrap_err();
    assert!(matches!(problem(error, &path), DicomError::RoiElsewhere { .. }));
}

/// A few wrong bytes, or none behind some place: structures whose masks can be made, or an error that names the file.
#[test]
fn damaged_structure_sets() {
    let directory = directory(&[Slice::number(0), Slice::number(1), Slice::number(2)]);
    let grid = read(directory.path()).unwrap().grid;
    let path = directory.path().join("structures");
    let square = (32.5, [-9.7, -19.5, -8.3, -18.2]);
    let mut values = by_name("tests.dicom.structure_set.damage", 4 * 600).into_iter();
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN] {
        write(structure_set(&[(1, "a", &[square, square]), (2, "b", &[square])]), syntax, &path);
        let sound = fs::read(&path).unwrap();
        let check = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            match StructureSet::read(&path) {
                Ok(set) => set.rois.iter().for_each(|roi| drop(roi.mask(&grid, MaskOptions::default()))),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&*path.to_string_lossy()) && !text.contains("Sekret"), "{text}");
                }
            }
        };
        (0..sound.len()).for_each(|length| check(&sound[..length]));
        for _ in 0..600 {
            let mut bytes = sound.clone();
            let [at, value] = [(); 2].map(|()| (values.next().unwrap() + 1.0) / 2.0);
            bytes[(at * sound.len() as f64) as usize] = (value * 256.0) as u8;
            check(&bytes);
        }
    }
}

/// The contours of a real tumour, and the mask that the dataset's authors made of them.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn contours_and_mask_of_one_tumour() {
    let Some(path) = test_volume("dicom_ct/STS_019_CT/mask/RS.dcm") else { return };
    let Some(image) = test_volume("dicom_ct/STS_019_CT/image") else { return };
    let Some(mask) = test_volume("sarcoma_ct/STS_019/CT_mask.nii.gz") else { return };
    let grid = read(&image).unwrap().grid;
    let found = dicom::read_mask(&path, Some("GTV_Mass_CT"), &grid, MaskOptions::default())
        .unwrap()
        .mask
        .mapv(f32::from);
    let expected = nifti::read(&mask, ReadLimits::default()).unwrap().data;
    let both = found.iter().zip(&expected).filter(|(a, b)| **a == 1.0 && **b == 1.0).count();
    let dice = 2.0 * both as f64 / f64::from(found.sum() + expected.sum());
    println!("Dice of contours and mask: {dice:.6} ({} and {} voxels)", found.sum(), expected.sum());
    assert!(found == expected);
}
