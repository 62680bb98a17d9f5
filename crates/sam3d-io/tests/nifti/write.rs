use std::{fs, io::Read, path::Path};

use flate2::read::GzDecoder;
use ndarray::Array3;
use proptest::prelude::*;
use sam3d_geom::Affine;
use sam3d_io::{Grid, IoError, ValueType, atomic::Overwrite, nifti};
use sam3d_testkit::test_volume;

use super::{grid, read, values};

#[test]
fn what_was_written_is_read_in_the_same_grid() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.nii", "a.nii.gz"] {
        let path = directory.path().join(name);
        nifti::write(&path, values().view(), &grid(), Overwrite::Refuse).unwrap();
        let volume = read(&path).unwrap();
        assert_eq!((volume.value_type, volume.rescale, volume.nan_voxels), (ValueType::Int16, None, 0));
        assert_eq!(volume.data, values().mapv(f32::from));
        assert_eq!(volume.grid, grid());

        let floats = volume.data.mapv(|value| value / 7.0);
        nifti::write(&path, floats.view(), &volume.grid, Overwrite::Replace).unwrap();
        assert_eq!(read(&path).unwrap().data, floats);
    }
}

/// A mask has the geometry fields of its image, byte for byte.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn geometry_fields_survive() {
    const GEOMETRY: [std::ops::Range<usize>; 4] = [40..56, 76..92, 123..124, 252..328];
    let directory = tempfile::tempdir().unwrap();
    for name in ["sarcoma_ct/STS_019/CT_image.nii.gz", "abdomen_ct/example_ct_sm.nii.gz"] {
        let Some(path) = test_volume(name) else { return };
        let volume = read(&path).unwrap();
        let mask = volume.data.mapv(|value| u8::from(value > 100.0));
        let written = directory.path().join("mask.nii.gz");
        nifti::write(&written, mask.view(), &volume.grid, Overwrite::Replace).unwrap();
        let (before, after) = (header(&path), header(&written));
        for field in GEOMETRY {
            assert_eq!(before[field.clone()], after[field.clone()], "{name}: bytes {field:?}");
        }
        let back = read(&written).unwrap();
        assert_eq!(back.value_type, ValueType::Uint8);
        assert_eq!(back.grid, volume.grid);
        assert_eq!(back.data.mapv(|value| value as u8), mask);
    }
}

fn header(path: &Path) -> Vec<u8> {
    let mut bytes = vec![0; 348];
    GzDecoder::new(fs::File::open(path).unwrap()).read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn refuses_before_it_touches_anything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mask.nii.gz");
    let write = |path: &Path, mask: &Array3<u8>| nifti::write(path, mask.view(), &grid(), Overwrite::Refuse);
    let mask = Array3::zeros([6, 5, 4]);
    assert!(matches!(
        write(&directory.path().join("mask.png"), &mask),
        Err(IoError::ExtensionUnknown { .. })
    ));
    assert!(matches!(write(&path, &Array3::zeros([4, 5, 6])), Err(IoError::ShapeMismatch { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    write(&path, &mask).unwrap();
    assert!(matches!(write(&path, &mask), Err(IoError::Exists { .. })));
    assert!(matches!(write(&directory.path().join("none/mask.nii"), &mask), Err(IoError::Write { .. })));
}

#[test]
fn more_voxels_per_axis_than_the_format_holds() {
    let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
    let grid = Grid::from_affine([1 << 15, 1, 1], affine).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mask = Array3::<u8>::zeros([1, 1, 1 << 15]);
    let error = nifti::write(&directory.path().join("a.nii"), mask.view(), &grid, Overwrite::Refuse);
    assert!(matches!(error, Err(IoError::HeaderInvalid { .. })), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Any array on any generated grid comes back, also when the array to write is a view in another order.
    #[test]
    fn write_then_read(
        shape in proptest::array::uniform3(1usize..7),
        linear in proptest::array::uniform9(-3.0..3.0f64),
        seed in any::<u32>(),
    ) {
        let rows = std::array::from_fn(|r| [linear[3 * r], linear[3 * r + 1], linear[3 * r + 2], linear[r] * 90.0]);
        let Ok(affine) = Affine::new(rows) else { return Ok(()) };
        let Ok(grid) = Grid::from_affine(shape, affine) else { return Ok(()) };
        let fortran = Array3::from_shape_fn(shape, |(i, j, k)| (seed as usize % 97 * (i + 7 * j + 49 * k)) as f32);
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join("a.nii.gz");
        nifti::write(&path, fortran.view().reversed_axes(), &grid, Overwrite::Refuse).unwrap();
        let volume = read(&path).unwrap();
        prop_assert_eq!(volume.data.view(), fortran.view().reversed_axes());
        prop_assert_eq!(volume.grid, grid);
    }
}
