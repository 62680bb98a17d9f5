//! A CT of a scanner, once as DICOM and once as NIfTI. It is not part of the project; without it this is skipped.

use sam3d_io::{ReadLimits, nifti};
use sam3d_testkit::test_volume;

use super::read;

#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn dicom_and_nifti_of_one_ct() {
    let Some(directory) = test_volume("dicom_ct/STS_019_CT/image") else { return };
    let Some(nifti_path) = test_volume("sarcoma_ct/STS_019/CT_image.nii.gz") else { return };
    let expected = nifti::read(&nifti_path, ReadLimits::default()).unwrap();
    let whole = directory.parent().unwrap().to_owned();
    // The directory of its slices, the one above with the structure set, and one slice.
    for path in [directory.clone(), whole, directory.join("000023.dcm")] {
        let volume = read(&path).unwrap();
        assert!(volume.data == expected.data, "{}: voxels differ", path.display());
        assert_eq!(volume.grid.shape_ijk(), expected.grid.shape_ijk());
        assert_eq!(volume.grid.spacing_ijk_mm(), expected.grid.spacing_ijk_mm());
        let [a, b] = [&volume.grid, &expected.grid].map(|grid| grid.world_from_ijk().rows());
        for (a, b) in a.iter().flatten().zip(b.iter().flatten()) {
            assert!((a - b).abs() < 2e-5, "{a} {b}");
        }
    }
    let Some(other) = test_volume("dicom_ct/dcmqi_ct3slice/ct-3slice") else { return };
    let volume = read(&other).unwrap();
    assert_eq!(volume.grid.shape_ijk()[2], 3);
}
