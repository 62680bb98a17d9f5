use std::fs;

use sam3d_io::{AffineSource, ValueType, nrrd, orient::AxisMap};
use sam3d_testkit::test_volume;

use super::{ITK_OBLIQUE_RAS, assert_affine, fixture, read, read_bytes, stored, values};

const SPACE: &str = "space: LPS\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (10,20,30)\n";

/// A header of 4 x 5 x 6 little-endian 16-bit integers, without its end.
fn header(fields: &str) -> String {
    format!("NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 6\nendian: little\n{fields}")
}

#[test]
fn an_oblique_file_of_itk() {
    let volume = read(&fixture("itk_oblique.nrrd")).unwrap();
    assert_eq!((volume.value_type, volume.grid.source()), (ValueType::Int16, AffineSource::SpaceDirections));
    assert_eq!(volume.data, values());
    assert_affine(&volume, ITK_OBLIQUE_RAS);
}

#[test]
fn big_endian_and_detached_files_in_ras_and_las() {
    let volume = read(&fixture("pynrrd_big.nrrd")).unwrap();
    assert_eq!(volume.data, values());
    assert_affine(&volume, [[0.0, -2.0, 0.0, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 9.0]]);
    assert_eq!(volume.grid.spacing_ijk_mm(), [1.5, 2.0, 3.0]);

    let volume = read(&fixture("pynrrd_detached.nhdr")).unwrap();
    assert_eq!(volume.value_type, ValueType::Float64);
    assert_eq!(volume.data, values().mapv(|value| value / 4.0));
    assert_affine(&volume, [[0.0, 2.0, 0.0, -5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 9.0]]);
}

#[test]
fn segments_of_slicer() {
    let path = fixture("slicer.seg.nrrd");
    let volume = read(&path).unwrap();
    let labelled = |label: f32| volume.data.indexed_iter().filter(move |(_, value)| **value == label);
    assert_eq!(labelled(1.0).map(|(at, _)| at).collect::<Vec<_>>(), [(3, 2, 1), (3, 2, 2)]);
    assert_eq!(labelled(7.0).map(|(at, _)| at).collect::<Vec<_>>(), [(5, 4, 3)]);
    let segments = nrrd::segments(&path).unwrap();
    let names: Vec<_> = segments.iter().map(|segment| (segment.name.as_str(), segment.label)).collect();
    assert_eq!(names, [("GTV primary", 1), ("Node: left", 7)]);
    assert_eq!(segments[0].colour, [0.9, 0.1, 0.2]);
    assert!(nrrd::segments(&fixture("pynrrd_big.nrrd")).unwrap().is_empty());
}

#[test]
fn every_scalar_type_and_its_names() {
    let types: [(&[&str], ValueType, Vec<u8>); 10] = [
        (&["int8", "signed char"], ValueType::Int8, (-7i8).to_le_bytes().to_vec()),
        (&["uchar", "unsigned char", "uint8_t"], ValueType::Uint8, vec![249]),
        (&["short", "int16"], ValueType::Int16, (-7i16).to_le_bytes().to_vec()),
        (&["ushort", "uint16"], ValueType::Uint16, 65529u16.to_le_bytes().to_vec()),
        (&["int", "int32"], ValueType::Int32, (-7i32).to_le_bytes().to_vec()),
        (&["uint", "uint32_t"], ValueType::Uint32, 7u32.to_le_bytes().to_vec()),
        (&["longlong", "int64"], ValueType::Int64, (-7i64).to_le_bytes().to_vec()),
        (&["ulonglong", "uint64"], ValueType::Uint64, 7u64.to_le_bytes().to_vec()),
        (&["float"], ValueType::Float32, (-7.5f32).to_le_bytes().to_vec()),
        (&["double"], ValueType::Float64, (-7.5f64).to_le_bytes().to_vec()),
    ];
    let expected = [-7.0, 249.0, -7.0, 65529.0, -7.0, 7.0, -7.0, 7.0, -7.5, -7.5];
    for ((names, value_type, bytes), expected) in types.into_iter().zip(expected) {
        for name in names {
            let header = format!(
                "NRRD0004\ntype: {name}\ndimension: 3\nsizes: 1 1 1\nendian: little\nencoding: raw\n{SPACE}\n"
            );
            let volume = read_bytes("nrrd", &[header.as_bytes(), &bytes]).unwrap();
            assert_eq!((volume.value_type, volume.data[[0, 0, 0]]), (value_type, expected), "{name}");
        }
    }
}

#[test]
fn a_fourth_axis_of_one_entry_and_odd_spelling() {
    let text = "NRRD0005\r\n# comment\r\nType: SHORT\r\nDimension: 4\r\nsizes: 1 4 5 6\r\nkinds: list domain domain domain\r\n\
        encoding: raw\r\nendian: Little\r\nspace: left-posterior-superior\r\nspace units: \"cm\" \"mm\" \"mm\"\r\n\
        space directions: none ( 1, 0, 0) (0,2,0) (0,0,3)\r\nspace origin: (1,2,3)\r\nkey: with colon:=value: x\r\n\r\n";
    let volume = read_bytes("nrrd", &[text.as_bytes(), &stored(false)]).unwrap();
    assert_eq!(volume.data, values());
    assert_affine(&volume, [[-10.0, 0.0, 0.0, -10.0], [0.0, -2.0, 0.0, -2.0], [0.0, 0.0, 3.0, 3.0]]);
}

#[test]
fn spacings_alone() {
    let text = header("encoding: raw\nspacings: 1 2 3\n\n");
    let volume = read_bytes("nrrd", &[text.as_bytes(), &stored(false)]).unwrap();
    assert_eq!(volume.grid.source(), AffineSource::Pixdim);
    assert_eq!(volume.grid.spacing_ijk_mm(), [1.0, 2.0, 3.0]);
    // Without them a millimetre is the guess of ITK and Slicer, too.
    let text = header("encoding: raw\n\n");
    let volume = read_bytes("nrrd", &[text.as_bytes(), &stored(false)]).unwrap();
    assert_eq!(volume.grid.spacing_ijk_mm(), [1.0; 3]);
}

#[test]
fn lines_and_bytes_are_passed_over() {
    let skips = [
        ("line skip: 2\nbyte skip: 3\n", &b"one\ntwo\nabc"[..]),
        ("byte skip: -1\n", b"any number of bytes"),
    ];
    for (fields, before) in skips {
        let text = header(&format!("encoding: raw\n{fields}{SPACE}\n"));
        let volume = read_bytes("nrrd", &[text.as_bytes(), before, &stored(false)]).unwrap();
        assert_eq!(volume.data, values(), "{fields}");
        // The same in a file of its own.
        let directory = tempfile::tempdir().unwrap();
        let text = header(&format!("encoding: raw\n{fields}data file: below/a b.raw\n{SPACE}"));
        fs::write(directory.path().join("a.nhdr"), text).unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/a b.raw"), [before, &stored(false)].concat()).unwrap();
        assert_eq!(read(&directory.path().join("a.nhdr")).unwrap().data, values(), "{fields}");
    }
}

/// Slicer's sample brain, and the label maps that go with a CT: geometry as SimpleITK gives it.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn files_of_other_programs() {
    let Some(path) = test_volume("nifti_zoo/FLAIR.nrrd") else { return };
    let volume = read(&path).unwrap();
    assert_eq!(volume.grid.shape_ijk(), [124, 160, 140]);
    assert_eq!(volume.value_type, ValueType::Uint8);
    assert_eq!(volume.data.iter().map(|value| f64::from(*value)).sum::<f64>(), 115231646.0);
    assert_eq!(volume.data[[70, 80, 60]], 10.0);
    assert_eq!(AxisMap::new(&volume.grid, sam3d_geom::Orientation::Lps).flips(), [false, true, true]);
    assert_affine(
        &volume,
        [
            [0.9935920092121, 0.0160050201901, 0.1118872598858, -64.8982391357422],
            [-0.0497049272189, 0.9509366513904, 0.3053668401569, -110.4311447143555],
            [-0.1015102922863, -0.3089713973349, 0.9456385852998, -27.9255390167236],
        ],
    );
    let Some(path) = test_volume("dicom_ct/dcmqi_ct3slice/liver_seg.nrrd") else { return };
    let volume = read(&path).unwrap();
    assert_eq!(volume.grid.shape_ijk(), [512, 512, 3]);
    assert_eq!(volume.data.iter().filter(|value| **value != 0.0).count(), 107098);
}
