//! Which slices make a volume, and where it lies.

use std::fs;

use approx::assert_abs_diff_eq;
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use ndarray::Array3;
use sam3d_geom::Orientation;
use sam3d_io::{
    AffineSource, Format, IoError, ReadLimits, Rescale, ValueType, atomic::Overwrite, dicom,
    dicom::DicomError, orient::AxisMap,
};

use super::{
    read,
    slices::{COLUMNS, ID, NAME, ROWS, Slice, directory, path_of, write},
};

fn series(count: usize) -> Vec<Slice> {
    (0..count).map(Slice::number).collect()
}

/// What a directory is refused for; the text names no person.
fn refused(slices: &[Slice]) -> (DicomError, String) {
    let directory = directory(slices);
    let error = read(directory.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&*directory.path().to_string_lossy()), "{text}");
    assert!(!text.contains("Sekret") && !text.contains("SEKRET"), "{text}");
    let problem = if let IoError::Dicom { problem, .. } = error { Some(*problem) } else { None };
    (problem.unwrap(), text)
}

#[test]
fn slices_in_any_order() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let directory = directory(&order.map(Slice::number));
        assert_eq!(Format::recognise(directory.path()).unwrap(), Format::Dicom);
        let volume = read(directory.path()).unwrap();
        let expected = Array3::from_shape_fn([4, ROWS, COLUMNS], |(k, j, i)| (100 * k + 10 * j + i) as f32);
        assert_eq!(volume.data, expected);
        // LPS in the files, RAS here; rows are 0.75 mm apart, columns 0.5 mm, and slices by their positions, not 7 mm.
        assert_eq!(volume.grid.spacing_ijk_mm(), [0.5, 0.75, 2.5]);
        assert_eq!(volume.grid.world_from_ijk().world_from_voxel([0.0; 3]), [10.0, 20.0, 30.0]);
        assert_eq!(volume.grid.world_from_ijk().world_from_voxel([1.0, 1.0, 1.0]), [9.5, 19.25, 32.5]);
        assert_eq!((volume.value_type, volume.rescale), (ValueType::Int16, None));
        assert_eq!(volume.grid.source(), AffineSource::ImagePositions);
        // One of the files stands for its series.
        let one = read(&path_of(directory.path(), 2)).unwrap();
        assert_eq!((one.data, one.grid), (volume.data, volume.grid));
    }
}

#[test]
fn values_of_each_slice() {
    let mut slices = series(3);
    slices[1].slope = 2.0;
    slices[1].intercept = -7.0;
    slices[2].stored[0] = 0xffff;
    let volume = read(directory(&slices).path()).unwrap();
    assert_eq!(volume.data[[1, 2, 3]], 2.0 * 123.0 - 7.0);
    assert_eq!((volume.data[[2, 0, 0]], volume.rescale), (-1.0, None));

    for slice in &mut slices {
        (slice.signed, slice.slope, slice.intercept) = (false, 1.0, -1024.0);
    }
    let volume = read(directory(&slices).path()).unwrap();
    assert_eq!((volume.data[[2, 0, 0]], volume.data[[1, 2, 3]]), (65535.0 - 1024.0, 123.0 - 1024.0));
    assert_eq!(volume.value_type, ValueType::Uint16);
    assert_eq!(volume.rescale, Some(Rescale { slope: 1.0, intercept: -1024.0 }));

    // Twelve bits, the rest of no meaning.
    for slice in &mut slices {
        (slice.signed, slice.bits_stored, slice.intercept) = (true, 12, 0.0);
        slice.stored[1] = 0x3fff;
    }
    assert_eq!(read(directory(&slices).path()).unwrap().data[[0, 0, 1]], -1.0);
}

#[test]
fn transfer_syntaxes_without_compression() {
    let expected = read(directory(&series(3)).path()).unwrap();
    for syntax in [uids::IMPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.2"] {
        let mut slices = series(3);
        slices.iter_mut().for_each(|slice| slice.transfer_syntax = syntax);
        let volume = read(directory(&slices).path()).unwrap();
        assert_eq!((&volume.data, &volume.grid), (&expected.data, &expected.grid), "{syntax}");
    }
}

#[test]
fn several_series() {
    let mut slices = series(3);
    slices.extend(series(4).into_iter().map(|slice| Slice { series: "1.2.9".into(), ..slice }));
    let (error, text) = refused(&slices);
    assert!(matches!(error, DicomError::SeveralSeries { series } if series.len() == 2));
    assert!(text.contains("1.2.3 (CT, 3 slices of 5 x 4); 1.2.9 (CT, 4 slices"), "{text}");
    let directory = directory(&slices);
    for (uid, count) in [("1.2.3", 3), ("1.2.9", 4)] {
        let volume = dicom::read(directory.path(), Some(uid), ReadLimits::default()).unwrap();
        assert_eq!(volume.grid.shape_ijk(), [COLUMNS, ROWS, count]);
    }
    let error = dicom::read(directory.path(), Some("1.2.4"), ReadLimits::default()).unwrap_err().to_string();
    assert!(error.contains("no volume with the series UID 1.2.4") && error.contains("1.2.9"), "{error}");
    // A slice that was named is of its own series.
    assert_eq!(read(&path_of(directory.path(), 5)).unwrap().grid.shape_ijk()[2], 4);
}

#[test]
fn what_is_no_slice_is_passed_over() {
    let mut slices = series(3);
    let localizer =
        Slice { image_type: "ORIGINAL\\PRIMARY\\LOCALIZER", series: "1.2.8".into(), ..Slice::number(0) };
    slices.push(localizer.clone());
    slices.push(Slice { position: [0.0; 3], ..localizer });
    let directory = directory(&slices);
    fs::write(directory.path().join("README.txt"), "not an image").unwrap();
    fs::write(directory.path().join("empty"), "").unwrap();
    let elsewhere = |k: usize| Slice { series: "1.2.77".into(), ..Slice::number(k) };
    let mut screenshot = elsewhere(7).object();
    screenshot.remove_element(tags::IMAGE_POSITION_PATIENT);
    write(screenshot, uids::EXPLICIT_VR_LITTLE_ENDIAN, &directory.path().join("screenshot"));
    let mut report = elsewhere(8).object();
    report.remove_element(tags::PIXEL_DATA);
    // Below, as studies have it.
    fs::create_dir(directory.path().join("more")).unwrap();
    write(report, uids::EXPLICIT_VR_LITTLE_ENDIAN, &directory.path().join("more/report"));
    assert_eq!(read(directory.path()).unwrap().grid.shape_ijk(), [COLUMNS, ROWS, 3]);

    for n in 0..3 {
        fs::remove_file(path_of(directory.path(), n)).unwrap();
    }
    let error = read(directory.path()).unwrap_err().to_string();
    assert!(
        error.contains("found none (2 localizers, 1 image without a position in the patient, 1 DICOM file that is not an image, 2 files that are not DICOM)"),
        "{error}"
    );
    let error = read(&directory.path().join("more/report")).unwrap_err().to_string();
    assert!(error.contains("the file is a document, not an image"), "{error}");
}

#[test]
fn slices_that_are_not_there() {
    let mut slices = series(8);
    slices.drain(3..5);
    let (error, text) = refused(&slices);
    assert!(matches!(error, DicomError::SlicesMissing { missing: 2, .. }), "{text}");
    assert!(text.contains("2 slices are missing, first between") && text.contains("(at 35.00 mm)"), "{text}");
    assert!(text.contains("IM017") && text.contains("IM024"), "{text}");
    let (error, _) = refused(&[Slice::number(0), Slice::number(1), Slice::number(3)]);
    assert!(matches!(error, DicomError::SlicesMissing { missing: 1, .. }));
}

#[test]
fn slices_that_are_there_twice() {
    let mut slices = series(4);
    slices.push(Slice::number(2));
    slices[4].stored[3] = 7;
    let (error, text) = refused(&slices);
    assert!(matches!(error, DicomError::SlicesRepeated { count: 1, position_mm: 35.0, .. }), "{text}");
    assert!(text.contains("IM017") && text.contains("IM031"), "{text}");
}

#[test]
fn slices_at_uneven_distances() {
    let mut slices = series(6);
    slices[3].position[2] += 0.9;
    let (error, text) = refused(&slices);
    assert!(matches!(error, DicomError::SpacingUneven { .. }), "{text}");
    // A tenth of a millimetre is what writing positions with one digit makes of them.
    slices[3].position[2] -= 0.8;
    assert_abs_diff_eq!(
        read(directory(&slices).path()).unwrap().grid.spacing_ijk_mm()[2],
        2.5,
        epsilon = 1e-6
    );
}

#[test]
fn a_tilted_gantry() {
    let mut slices = series(5);
    // Shifted by 0.5 mm in each slice of 2.5 mm.
    slices.iter_mut().enumerate().for_each(|(k, slice)| slice.position[1] += 0.5 * k as f64);
    let (error, text) = refused(&slices);
    assert!(
        matches!(error, DicomError::GantryTilted { degrees } if (degrees - 11.31).abs() < 0.01),
        "{text}"
    );
}

#[test]
fn slices_unlike_the_others() {
    let mut slices = series(4);
    slices[2].orientation = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let (error, text) = refused(&slices);
    assert!(matches!(error, DicomError::SliceUnlike { name: "ImageOrientationPatient", .. }), "{text}");
    assert!(text.contains("IM017"), "{text}");
}

/// Sagittal and coronal series, and oblique ones: world positions hold, and the volume comes out oriented.
#[test]
fn slices_in_any_direction() {
    let (sin, cos) = 0.4f64.sin_cos();
    let orientations =
        [[0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [1.0, 0.0, 0.0, 0.0, 0.0, -1.0], [cos, sin, 0.0, -sin, cos, 0.0]];
    for orientation in orientations {
        let [a, b, c, d, e, f] = orientation;
        let normal = [b * f - c * e, c * d - a * f, a * e - b * d];
        let mut slices = series(3);
        for (k, slice) in slices.iter_mut().enumerate() {
            slice.orientation = orientation;
            slice.position =
                std::array::from_fn(|axis| [5.0, 6.0, 7.0][axis] + normal[axis] * 2.5 * k as f64);
        }
        let volume = read(directory(&slices).path()).unwrap();
        assert_eq!(volume.data[[2, 3, 4]], 234.0);
        let world = volume.grid.world_from_ijk().world_from_voxel([4.0, 3.0, 2.0]);
        let [i, j] = [4.0 * 0.5, 3.0 * 0.75];
        for axis in 0..3 {
            let lps = slices[2].position[axis] + i * orientation[axis] + j * orientation[axis + 3];
            let sign = if axis < 2 { -1.0 } else { 1.0 };
            assert_abs_diff_eq!(world[axis], sign * lps, epsilon = 1e-4);
        }
        let map = AxisMap::new(&volume.grid, Orientation::Lps);
        let oriented = map.to_dhw(volume.data.view()).unwrap();
        assert_eq!(map.to_stored(oriented.view()).unwrap(), volume.data);
    }
}

/// A mask on the grid of a series lies on its slices in every format that is written.
#[test]
fn a_mask_goes_back_to_the_slices() {
    let slices = directory(&series(3));
    let volume = read(slices.path()).unwrap();
    let mask = volume.data.mapv(|value| u8::from(value > 110.0));
    for name in ["mask.nii.gz", "mask.nrrd", "mask.seg.nrrd"] {
        let path = slices.path().join(name);
        sam3d_io::write(&path, mask.view(), &volume.grid, Overwrite::Refuse).unwrap();
        let back = read(&path).unwrap();
        assert_eq!(back.data, mask.mapv(f32::from));
        assert_eq!(back.grid.world_from_ijk(), volume.grid.world_from_ijk(), "{name}");
        assert_eq!(back.grid.spacing_ijk_mm(), volume.grid.spacing_ijk_mm(), "{name}");
    }
}

#[test]
fn pixels_that_are_not_single_numbers() {
    let refuse = |tag, vr, value: PrimitiveValue| {
        let directory = tempfile::tempdir().unwrap();
        let mut object = Slice::number(0).object();
        object.put(DataElement::new(tag, vr, value));
        write(object, uids::EXPLICIT_VR_LITTLE_ENDIAN, &directory.path().join("a.dcm"));
        read(&directory.path().join("a.dcm")).unwrap_err().to_string()
    };
    let error = refuse(tags::SAMPLES_PER_PIXEL, VR::US, PrimitiveValue::from(3u16));
    assert!(error.contains("found 3 numbers for each voxel"), "{error}");
    let error = refuse(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB".into());
    assert!(error.contains("found colours (RGB)"), "{error}");
    let error = refuse(tags::BITS_ALLOCATED, VR::US, PrimitiveValue::from(32u16));
    assert!(error.contains("found 32 bits for each voxel"), "{error}");
    let error = refuse(tags::NUMBER_OF_FRAMES, VR::IS, "12".into());
    assert!(error.contains("found 12 frames"), "{error}");
    let error = refuse(tags::RESCALE_SLOPE, VR::DS, "0".into());
    assert!(error.contains("expected RescaleSlope to be other than 0"), "{error}");
    // What was typed instead of a number is not told.
    let error = refuse(tags::RESCALE_INTERCEPT, VR::DS, format!("{NAME} {ID}").into());
    assert!(
        error.contains("expected RescaleIntercept to be a number") && !error.contains("Sekret"),
        "{error}"
    );
}
