//! Where a volume lies if its file says so in two ways, in none, or in one that cannot be.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sam3d_io::{AffineSource, Grid, atomic::Overwrite};
use tempfile::TempDir;

use super::{fixture, read, with_warnings};

/// The bytes of a gzipped fixture.
pub(crate) fn inflated(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(fixture(name)).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

/// The NRRD file of the fixtures, which is gzipped as a whole to be small.
fn spacing_only() -> (TempDir, PathBuf) {
    file("r04.nrrd", &inflated("r04_spacing_only.nrrd.gz"))
}

/// A mask on `grid` in every format that is written has the grid's geometry.
fn assert_masks_overlay(grid: &Grid, name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mask = ndarray::Array3::<u8>::ones(grid.shape_kji());
    for ending in ["nii", "nii.gz", "nrrd", "seg.nrrd"] {
        let path = directory.path().join(format!("mask.{ending}"));
        sam3d_io::write(&path, mask.view(), grid, Overwrite::Refuse).unwrap();
        let back = read(&path).unwrap().grid;
        // NIfTI keeps 24 bits of each number.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(1e-3);
        let rows = [&back, grid].map(|grid| grid.world_from_ijk().rows());
        let numbers = rows[0].iter().flatten().zip(rows[1].iter().flatten());
        let spacings = [&back, grid].map(Grid::spacing_ijk_mm);
        for (a, b) in numbers.chain(spacings[0].iter().zip(&spacings[1])) {
            assert!(close(*a, *b), "{name}: {ending}: {rows:?} {spacings:?}");
        }
    }
}

fn patched(name: &str, patches: &[(usize, &[u8])]) -> (TempDir, PathBuf) {
    let mut bytes = inflated(name);
    for (at, patch) in patches {
        bytes[*at..*at + patch.len()].copy_from_slice(patch);
    }
    file("patched.nii", &bytes)
}

const QFORM_CODE: usize = 252;
const SROW_X: usize = 280;

#[test]
fn without_codes_axes_run_to_left_posterior_and_superior() {
    let (_directory, nrrd) = spacing_only();
    let none = patched("base.nii.gz", &[(QFORM_CODE, &[0; 4])]);
    let paths = [fixture("n30_nocode.nii.gz"), fixture("n30_nocode_mask.nii.gz"), nrrd, none.1.clone()];
    for path in paths {
        let (volume, warnings) = with_warnings(|| read(&path).unwrap());
        let name = path.display().to_string();
        let [i, j, k] = volume.grid.spacing_ijk_mm();
        let rows = volume.grid.world_from_ijk().rows();
        assert_eq!(rows, [[-i, 0.0, 0.0, 0.0], [0.0, -j, 0.0, 0.0], [0.0, 0.0, k, 0.0]], "{name}");
        assert!(matches!(&warnings[..], [one] if one.contains("as in ITK")), "{name}: {warnings:?}");
        assert_masks_overlay(&volume.grid, &name);
    }
}

#[test]
fn sform_and_qform_that_differ() {
    let code = |qform: i16, sform: i16| [qform.to_le_bytes(), sform.to_le_bytes()].concat();
    // The fixture's codes are 1 and 2.
    for (codes, source) in [
        (code(1, 2), AffineSource::Qform),
        (code(2, 4), AffineSource::Qform),
        (code(1, 1), AffineSource::Sform),
        (code(4, 1), AffineSource::Sform),
    ] {
        let (_directory, path) = patched("n02_qs.nii.gz", &[(QFORM_CODE, &codes)]);
        let (volume, warnings) = with_warnings(|| read(&path).unwrap());
        assert_eq!(volume.grid.source(), source);
        let [warning] = &warnings[..] else { unreachable!("{warnings:?}") };
        assert!(
            warning.contains("differ by up to 11") && warning.contains(&format!("the {source} is used")),
            "{warning}"
        );
        assert_masks_overlay(&volume.grid, "n02");
    }
    // Twenty micrometres, and one form alone, are nothing to be told of.
    let mut near = inflated("base.nii.gz");
    let offset = SROW_X + 12;
    let x = f32::from_le_bytes(near[offset..offset + 4].try_into().unwrap()) + 0.02;
    near[offset..offset + 4].copy_from_slice(&x.to_le_bytes());
    for path in [file("near.nii", &near), patched("n02_qs.nii.gz", &[(QFORM_CODE, &code(0, 2))])] {
        let (_, warnings) = with_warnings(|| read(&path.1).unwrap());
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn an_unusable_sform_gives_way_to_the_qform() {
    let expected = read(&fixture("base.nii.gz")).unwrap();
    let nan = f32::NAN.to_le_bytes();
    let singular = patched("base.nii.gz", &[(SROW_X, &[0; 16])]);
    let not_finite = patched("base.nii.gz", &[(SROW_X + 4, &nan)]);
    for path in [&fixture("n07_sform_zero.nii.gz"), &singular.1, &not_finite.1] {
        let (volume, warnings) = with_warnings(|| read(path).unwrap());
        assert_eq!(volume.grid.source(), AffineSource::Qform);
        assert!(
            matches!(&warnings[..], [one] if one.contains("the sform is singular or not finite")),
            "{warnings:?}"
        );
        let apart = |a: f64, b: f64| (a - b).abs() > 1e-4;
        let rows = [&volume.grid, &expected.grid].map(|grid| grid.world_from_ijk().rows());
        assert!(
            !rows[0].iter().flatten().zip(rows[1].iter().flatten()).any(|(a, b)| apart(*a, *b)),
            "{rows:?}"
        );
        assert_masks_overlay(&volume.grid, "n07");
    }
    let (_directory, neither) = patched("base.nii.gz", &[(QFORM_CODE, &[0; 2]), (SROW_X, &[0; 48])]);
    let error = read(&neither).unwrap_err().to_string();
    assert!(error.contains("patched.nii") && error.contains("sform gives no usable geometry"), "{error}");
}

/// A volume that is written is not changed by being read: for files of any geometry.
#[test]
fn writing_a_volume_again_changes_nothing() {
    for name in
        ["base.nii.gz", "n02_qs.nii.gz", "n30_nocode.nii.gz", "d00_oblique2.nii.gz", "d00_perm.nii.gz"]
    {
        let volume = read(&fixture(name)).unwrap();
        assert_masks_overlay(&volume.grid, name);
    }
}

pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn temporary(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    file(Path::new(name).to_str().unwrap(), bytes)
}
