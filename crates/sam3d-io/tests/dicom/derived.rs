//! Segmentations and structure sets: written for a made-up series and read back, and those of other programs.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{InMemDicomObject, open_file};
use ndarray::Array3;
use proptest::prelude::*;
use sam3d_io::{
    IoError, LabelOptions, ReadLimits,
    atomic::Overwrite,
    dicom::{
        self, MaskOptions, Segmentation, StoredAs, StructureSet,
        derived::{
            Moment, NewSegment, NewStructure, Origin, SegmentKind, SegmentationEncoding, SourceSeries, Uid,
            write_segmentation, write_structure_set,
        },
    },
    read_label_with,
};
use sam3d_testkit::test_volume;
use tempfile::TempDir;

use super::{
    fixture, read,
    slices::{COLUMNS, ID, NAME, ROWS, Slice, path_of, write},
};

pub(crate) const SLICES: usize = 6;

/// A series with all that an object copies, in the direction of an oblique scan, its slices not in the order of their names.
pub(crate) fn series() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for k in 0..SLICES {
        let (sin, cos) = (0.6, 0.8);
        let slice = Slice {
            orientation: [cos, sin, 0.0, -sin, cos, 0.0],
            position: [-10.25, -20.125, 30.0 + 2.5 * k as f64],
            ..Slice::number(k)
        };
        let mut object = slice.object();
        let mut text = |tag: Tag, vr: VR, value: &str| {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        };
        text(tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.3.{}", 100 + k));
        text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.9");
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.8");
        text(tags::STUDY_ID, VR::SH, "S1");
        write(object, uids::EXPLICIT_VR_LITTLE_ENDIAN, &path_of(directory.path(), k));
    }
    directory
}

pub(crate) fn origin(next: &mut dyn FnMut() -> Uid) -> Origin<'_> {
    Origin {
        program: "sam3d".into(),
        version: "0.1.0".into(),
        algorithm: "best.safetensors".into(),
        parameters: "weights 1234".into(),
        series_description: "sam3d segmentation".into(),
        moment: Moment::now(),
        next_uid: next,
    }
}

pub(crate) fn uids_from(start: u128) -> impl FnMut() -> Uid {
    let mut number = start;
    move || {
        number += 1;
        Uid::from_random(number)
    }
}

fn segment<'a>(label: &str, mask: &'a Array3<u8>) -> NewSegment<'a> {
    NewSegment { label: label.into(), kind: SegmentKind::Tumour, colour: [255, 140, 0], mask: mask.view() }
}

/// Writes the masks as segments `one`, `two` and so on beside the series.
pub(crate) fn written(
    series: &Path,
    masks: &[Array3<u8>],
    encoding: SegmentationEncoding,
) -> Result<(TempDir, PathBuf), IoError> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mask.dcm");
    let source = SourceSeries::read(series, None)?;
    let segments: Vec<NewSegment<'_>> =
        masks.iter().zip(["one", "zwei ü", "three"]).map(|(mask, label)| segment(label, mask)).collect();
    let mut next = uids_from(1);
    write_segmentation(&path, &segments, encoding, &source, origin(&mut next), Overwrite::Refuse)?;
    Ok((place, path))
}

pub(crate) fn boxed(start: [usize; 3], end: [usize; 3]) -> Array3<u8> {
    Array3::from_shape_fn([SLICES, ROWS, COLUMNS], |(k, j, i)| {
        u8::from([k, j, i].iter().zip(start.iter().zip(end)).all(|(n, (s, e))| s <= n && *n < e))
    })
}

#[test]
fn segments_come_back_by_number_and_label() {
    let series = series();
    let image = read(series.path()).unwrap();
    let masks = [boxed([1, 0, 1], [4, 2, 3]), boxed([3, 1, 0], [5, 4, 5])];
    let (_place, path) = written(series.path(), &masks, SegmentationEncoding::Binary).unwrap();
    assert!(Segmentation::is_at(&path).unwrap());
    let found = Segmentation::read(&path, ReadLimits::default()).unwrap();
    assert_eq!((found.stored_as, found.series.as_slice()), (StoredAs::Binary, &["1.2.3".to_owned()][..]));
    let names: Vec<_> =
        found.segments.iter().map(|segment| (segment.number, segment.label.as_str())).collect();
    assert_eq!(names, [(1, "one"), (2, "zwei ü")]);
    assert_eq!(found.segments[0].kind, "Neoplasm");
    for (number, mask) in (1..).zip(&masks) {
        assert_eq!(found.mask(number, &image.grid, None).unwrap(), mask);
    }
    assert_eq!(found.choose(Some("ZWEI Ü ")).unwrap().number, 2);
    assert_eq!(found.choose(Some("1")).unwrap().label, "one");
    let error = found.choose(None).unwrap_err().to_string();
    assert!(error.contains("1 one, 2 zwei ü"), "{error}");
    // They share voxels, which a label map cannot say.
    let error = read_label_with(&path, &image.grid, ReadLimits::default(), LabelOptions::default());
    assert!(error.unwrap_err().to_string().contains("1 one and 2 zwei ü overlap"));
    // Its own grid begins at the first slice with voxels.
    let grid = found.grid().unwrap();
    assert_eq!(grid.shape_ijk()[..2], [COLUMNS, ROWS]);
    assert!((grid.spacing_ijk_mm()[2] - 2.5).abs() < 1e-5);
}

#[test]
fn label_maps_come_back_and_cannot_overlap() {
    let series = series();
    let image = read(series.path()).unwrap();
    let masks = [boxed([1, 0, 1], [4, 2, 3]), boxed([1, 2, 0], [6, 4, 5])];
    let (_place, path) = written(series.path(), &masks, SegmentationEncoding::LabelMap).unwrap();
    let found = Segmentation::read(&path, ReadLimits::default()).unwrap();
    assert_eq!((found.stored_as, found.segments.len()), (StoredAs::LabelMap, 2));
    let labels = read_label_with(&path, &image.grid, ReadLimits::default(), LabelOptions::default()).unwrap();
    let expected =
        Array3::from_shape_fn(image.data.dim(), |at| f32::from(masks[0][at]) + 2.0 * f32::from(masks[1][at]));
    assert_eq!(labels.data, expected);
    let own = read(&path).unwrap();
    assert_eq!(own.data.dim(), (5, ROWS, COLUMNS));
    assert_eq!(own.data, expected.slice(ndarray::s![1.., .., ..]));
    let overlapping = [masks[0].clone(), boxed([3, 1, 0], [5, 4, 5])];
    let error = written(series.path(), &overlapping, SegmentationEncoding::LabelMap).unwrap_err().to_string();
    assert!(error.contains("one and zwei ü overlap"), "{error}");
}

#[test]
fn what_identifies_is_copied_and_positions_to_the_last_digit() {
    let series = series();
    let (_place, path) =
        written(series.path(), &[boxed([2, 0, 0], [3, 2, 2])], SegmentationEncoding::Binary).unwrap();
    let object = open_file(&path).unwrap();
    let text = |object: &InMemDicomObject, tag: Tag| {
        object.element(tag).unwrap().to_str().unwrap().trim_end_matches(['\0', ' ']).to_owned()
    };
    for (tag, expected) in [
        (tags::PATIENT_NAME, NAME),
        (tags::PATIENT_ID, ID),
        (tags::STUDY_INSTANCE_UID, "1.2.9"),
        (tags::FRAME_OF_REFERENCE_UID, "1.2.8"),
        (tags::STUDY_ID, "S1"),
        (tags::ACCESSION_NUMBER, ""),
        (tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192"),
        (tags::MODALITY, "SEG"),
    ] {
        assert_eq!(text(&object, tag), expected);
    }
    assert_eq!(object.meta().media_storage_sop_instance_uid(), text(&object, tags::SOP_INSTANCE_UID));
    // 4 x 5 pixels: no multiple of 8, so empty frames follow until the bits fill 16-bit words.
    let frames: usize = text(&object, tags::NUMBER_OF_FRAMES).parse().unwrap();
    assert_eq!(frames * ROWS * COLUMNS % 16, 0);
    let items = object.element(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).unwrap().items().unwrap();
    let position = |item: &InMemDicomObject| {
        let plane = item.element(tags::PLANE_POSITION_SEQUENCE).unwrap().items().unwrap();
        text(&plane[0], tags::IMAGE_POSITION_PATIENT)
    };
    assert_eq!(items.len(), frames);
    assert!(items.iter().any(|item| position(item) == "-10.25\\-20.125\\35"), "{}", position(&items[0]));
    let segments = object.element(tags::SEGMENT_SEQUENCE).unwrap().items().unwrap();
    let algorithm = segments[0].element(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE).unwrap();
    assert_eq!(text(&algorithm.items().unwrap()[0], tags::ALGORITHM_PARAMETERS), "weights 1234");
}

#[test]
fn nothing_to_store_is_an_error() {
    let series = series();
    let error = written(series.path(), &[boxed([0; 3], [0; 3])], SegmentationEncoding::Binary).unwrap_err();
    assert!(error.to_string().contains("the segment one has no voxels"), "{error}");
    let error = written(series.path(), &[Array3::ones([2, 2, 2])], SegmentationEncoding::Binary).unwrap_err();
    assert!(matches!(error, IoError::ShapeMismatch { .. }));
    // A series without a study has nothing to be stored beside.
    let bare = super::slices::directory(&(0..3).map(Slice::number).collect::<Vec<_>>());
    let error = SourceSeries::read(bare.path(), None).err().unwrap().to_string();
    assert!(error.contains("StudyInstanceUID"), "{error}");
}

/// The mask that the outlines of `mask` give back.
fn through_outlines(series: &Path, mask: &Array3<u8>) -> Array3<u8> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("structures.dcm");
    let source = SourceSeries::read(series, None).unwrap();
    let structure = NewStructure {
        name: "GTV".into(),
        kind: SegmentKind::Tumour,
        colour: [255, 0, 0],
        mask: mask.view(),
    };
    let mut next = uids_from(7);
    write_structure_set(&path, &[structure], &source, origin(&mut next), Overwrite::Refuse).unwrap();
    let set = StructureSet::read(&path).unwrap();
    assert_eq!((set.series.as_slice(), set.rois.len()), (&["1.2.3".to_owned()][..], 1));
    let found = set.choose(Some("GTV")).unwrap().mask(source.grid(), MaskOptions::default()).unwrap();
    found.mask
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn outlines_give_every_voxel_back(values in proptest::collection::vec(0u8..2, SLICES * ROWS * COLUMNS)) {
        let mask = Array3::from_shape_vec([SLICES, ROWS, COLUMNS], values).unwrap();
        // Slices without voxels between others are a gap, which is not filled.
        prop_assume!(mask.outer_iter().all(|plane| plane.iter().any(|value| *value != 0)));
        prop_assert_eq!(through_outlines(series().path(), &mask), mask);
    }

    #[test]
    fn segments_of_any_voxels_come_back(values in proptest::collection::vec(0u8..4, SLICES * ROWS * COLUMNS)) {
        let mask = Array3::from_shape_vec([SLICES, ROWS, COLUMNS], values).unwrap();
        prop_assume!(mask.iter().any(|value| value & 1 == 1) && mask.iter().any(|value| value & 2 == 2));
        let masks = [1, 2].map(|bit| mask.mapv(|value| u8::from(value & bit == bit)));
        let series = series();
        let grid = read(series.path()).unwrap().grid;
        let (_place, path) = written(series.path(), &masks, SegmentationEncoding::Binary).unwrap();
        let found = Segmentation::read(&path, ReadLimits::default()).unwrap();
        for (number, mask) in (1..).zip(&masks) {
            prop_assert_eq!(&found.mask(number, &grid, None).unwrap(), mask);
        }
    }
}

/// Two overlapping segments of 7 x 9 pixels in frames that begin within bytes, from the highest slice down, by highdicom.
#[test]
fn frames_of_another_program_at_odd_bits() {
    let path = fixture("odd_two_segments.dcm");
    let found = Segmentation::read(&path, ReadLimits::default()).unwrap();
    let grid = found.grid().unwrap();
    assert_eq!(grid.shape_ijk(), [9, 7, 4]);
    assert_eq!(grid.spacing_ijk_mm(), [0.75, 0.5, 2.0]);
    let counts = |number| -> Vec<usize> {
        let mask = found.mask(number, &grid, None).unwrap();
        mask.outer_iter().map(|plane| plane.iter().filter(|value| **value != 0).count()).collect()
    };
    assert_eq!(counts(1), [2, 9, 63, 0]);
    assert_eq!(counts(2), [0, 4, 0, 7]);
    let one = found.mask(1, &grid, None).unwrap();
    assert_eq!((one[[0, 0, 0]], one[[0, 6, 8]], one[[1, 2, 3]], one[[1, 4, 5]]), (1, 1, 1, 1));
    let two = found.mask(2, &grid, None).unwrap();
    assert!((4..8).all(|i| two[[1, 4, i]] == 1) && (0..7).all(|j| two[[3, j, 0]] == 1));
}

/// Nothing that is cut off or changed in a file makes reading panic.
#[test]
fn damaged_segmentations_are_errors() {
    let bytes = std::fs::read(fixture("odd_two_segments.dcm")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.dcm");
    let read_all = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let found = Segmentation::read(&path, ReadLimits::default())?;
        let grid =
            found.grid().map_err(|error| IoError::Dicom { path: path.clone(), problem: error.into() })?;
        if grid.shape_ijk().iter().product::<usize>() < 1 << 20 {
            let _labels = found.labels(&grid, None);
        }
        Ok::<(), IoError>(())
    };
    for length in (0..bytes.len()).step_by(13) {
        assert!(read_all(&bytes[..length]).is_err(), "{length} bytes");
    }
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x5a;
        let _outcome = read_all(&changed);
    }
}

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn segmentations_of_a_real_ct() {
    const VOXELS: [usize; 15] = [151, 334, 498, 585, 618, 611, 593, 544, 482, 413, 325, 233, 91, 68, 18];
    let Some(image) = test_volume("dicom_ct/STS_019_CT/image") else { return };
    let Some(label) = test_volume("sarcoma_ct/STS_019/CT_mask.nii.gz") else { return };
    let expected = read(&label).unwrap();
    let grid = read(&image).unwrap().grid;
    let golden = image.join("../../../../golden/dicom_seg");
    for name in ["STS_019_binary.dcm", "STS_019_labelmap_rle.dcm"] {
        let path = golden.join(name);
        if !path.exists() {
            continue;
        }
        let labels = read_label_with(&path, &grid, ReadLimits::default(), LabelOptions::default()).unwrap();
        assert_eq!(labels.data, expected.data, "{name}");
        let planes: Vec<usize> = (16..31)
            .map(|k| labels.data.index_axis(ndarray::Axis(0), k).iter().filter(|v| **v != 0.0).count())
            .collect();
        assert_eq!(planes, VOXELS);
        let own = dicom::read_segmentation(&path, ReadLimits::default()).unwrap();
        assert_eq!(own.data, expected.data.slice(ndarray::s![16..31, .., ..]));
    }
}
