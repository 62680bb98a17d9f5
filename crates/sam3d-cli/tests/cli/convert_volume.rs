//! `sam3d convert-volume`: DICOM series, masks of probabilities, and other formats.

#![expect(clippy::unwrap_used, reason = "a test without its files cannot go on")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sam3d_io::{ReadLimits, ValueType, Volume};

use crate::support::{failure_of, sam3d, stdout_of};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sam3d-io/tests/fixtures/file_cases").join(name)
}

fn read(path: &Path) -> Volume {
    sam3d_io::read(path, ReadLimits::default()).unwrap()
}

#[test]
fn a_series_becomes_nifti_and_nrrd() {
    let directory = tempfile::tempdir().unwrap();
    let series = fixture("d00_base");
    for out in ["ct.nii.gz", "ct.nrrd"] {
        let text = stdout_of(sam3d(directory.path()).arg("convert-volume").arg(&series).arg(out));
        assert!(text.contains(out) && text.contains("32 x 28 x 20") && text.contains("int16"), "{text}");
    }
    let [nifti, nrrd] = ["ct.nii.gz", "ct.nrrd"].map(|name| read(&directory.path().join(name)));
    let slices = read(&series);
    assert_eq!((&nrrd.data, nrrd.grid.world_from_ijk()), (&slices.data, slices.grid.world_from_ijk()));
    // Rows run to anterior.
    assert_eq!(nifti.data, slices.data.slice(ndarray::s![.., ..;-1, ..]));
    assert!(nifti.grid.world_from_ijk().rows()[1][1] > 0.0);
    let error = failure_of(sam3d(directory.path()).arg("convert-volume").arg(&series).arg("ct.nrrd"), 1);
    assert!(error.contains("ct.nrrd exists; use --force"), "{error}");
    let error = failure_of(sam3d(directory.path()).arg("convert-volume").arg(&series).arg("ct.mha"), 1);
    assert!(error.contains("ct.mha: expected a file name that ends in"), "{error}");
}

/// The same voxels at the same places as dcm2niix has them; skipped where it is not installed.
#[test]
fn dcm2niix_gives_the_same_volume() {
    let directory = tempfile::tempdir().unwrap();
    for series in ["d00_base", "d09_enhanced"] {
        let out = directory.path().join(series);
        std::fs::create_dir(&out).unwrap();
        let mut command = Command::new("dcm2niix");
        command.args(["-z", "n", "-b", "n", "-f", "other", "-o"]).arg(&out).arg(fixture(series));
        if !command.output().is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: dcm2niix is not installed");
            return;
        }
        let own = out.join("own.nii");
        stdout_of(sam3d(directory.path()).arg("convert-volume").arg(fixture(series)).arg(&own));
        let [own, other] = [own, out.join("other.nii")].map(|path| read(&path));
        assert_eq!(own.data, other.data, "{series}");
        let rows = [own, other].map(|volume| volume.grid.world_from_ijk().rows());
        for (a, b) in rows[0].iter().flatten().zip(rows[1].iter().flatten()) {
            assert!((a - b).abs() < 1e-3, "{series}: {rows:?}");
        }
    }
}

#[test]
fn a_probability_map_becomes_a_mask() {
    let directory = tempfile::tempdir().unwrap();
    let probabilities = fixture("n17_prob.nii.gz");
    let expected = read(&fixture("base_mask.nii.gz"));
    for out in ["mask.nii.gz", "mask.seg.nrrd"] {
        let mut command = sam3d(directory.path());
        stdout_of(command.arg("convert-volume").arg(&probabilities).args([out, "--threshold", "0.5"]));
        let mask = read(&directory.path().join(out));
        assert_eq!((mask.data, mask.value_type), (expected.data.clone(), ValueType::Uint8), "{out}");
    }
    let mut command = sam3d(directory.path());
    let error = failure_of(command.arg("convert-volume").arg(&probabilities).arg("p.seg.nrrd"), 1);
    assert!(error.contains("holds labels"), "{error}");
    let mut command = sam3d(directory.path());
    stdout_of(command.arg("convert-volume").arg(&probabilities).arg("p.nrrd"));
    assert_eq!(read(&directory.path().join("p.nrrd")).value_type, ValueType::Float32);

    // As a mask to be scored it is refused, unless a threshold is given.
    let truth = fixture("base_mask.nii.gz");
    let metrics = |more: &[&str]| {
        let mut command = sam3d(directory.path());
        command.arg("metrics").arg("--truth").arg(&truth).arg("--pred").arg(&probabilities).args(more);
        command
    };
    let error = failure_of(&mut metrics(&[]), 1);
    assert!(error.contains("n17_prob.nii.gz") && error.contains("--threshold P"), "{error}");
    let json = stdout_of(metrics(&["--threshold", "0.5"]).arg("--json"));
    assert!(json.contains("\"dice\": 1.0"), "{json}");
}
