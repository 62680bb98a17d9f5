//! Damaged, misleading and hostile files: each a typed error that names the file, never a panic.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use sam3d_io::{IoError, Volume, atomic::Overwrite, nifti};
use tempfile::TempDir;

use super::{grid, read, values};

/// The bytes of a sound int16 file: header, four bytes, 120 voxels.
fn sound() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.nii");
    nifti::write(&path, values().view(), &grid(), Overwrite::Refuse).unwrap();
    fs::read(path).unwrap()
}

fn patched(patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = sound();
    for (at, patch) in patches {
        bytes[*at..*at + patch.len()].copy_from_slice(patch);
    }
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<Volume, IoError> {
    let (_directory, path) = file(name, bytes);
    read(&path)
}

fn i16s<const N: usize>(values: [i16; N]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn missing_file_and_directory() {
    let error = read(Path::new("/no/such/file.nii.gz")).unwrap_err();
    assert!(matches!(error, IoError::Read { .. }));
    assert_eq!(error.to_string(), "/no/such/file.nii.gz: cannot be read");
    assert!(matches!(read(tempfile::tempdir().unwrap().path()), Err(IoError::Read { .. })));
}

#[test]
fn text_and_nothing_named_as_nifti() {
    let error = read_bytes("a.nii.gz", b"patient,age\nA,63\n").unwrap_err();
    assert!(
        error.to_string().contains("not a NIfTI file: expected it to start with the header size"),
        "{error}"
    );
    assert!(matches!(read_bytes("a.nii", b""), Err(IoError::NotOfFormat { .. })));
    assert!(matches!(read_bytes("a.nii.gz", &gzipped(b"")), Err(IoError::NotOfFormat { .. })));
}

#[test]
fn gzip_is_known_by_content_and_may_have_several_members() {
    let bytes = sound();
    let mut members = gzipped(&bytes[..400]);
    members.extend(gzipped(&bytes[400..]));
    for (name, bytes) in [("a.nii.gz", &bytes), ("a.nii", &gzipped(&bytes)), ("a.nii.gz", &members)] {
        assert_eq!(read_bytes(name, bytes).unwrap().data, values().mapv(f32::from));
    }
}

#[test]
fn truncated_at_every_length() {
    let bytes = sound();
    for length in (0..bytes.len()).step_by(3) {
        assert!(read_bytes("a.nii", &bytes[..length]).is_err(), "{length} bytes");
    }
    let error = read_bytes("a.nii", &bytes[..500]).unwrap_err();
    assert!(matches!(error, IoError::Truncated { expected: 592, found: 500, .. }), "{error}");
    let compressed = gzipped(&bytes);
    for length in 0..compressed.len() {
        assert!(read_bytes("a.nii.gz", &compressed[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn damaged_gzip() {
    let mut compressed = gzipped(&sound());
    let checksum = compressed.len() - 6;
    compressed[checksum] ^= 1;
    assert!(matches!(read_bytes("a.nii.gz", &compressed), Err(IoError::CompressionDamaged { .. })));
}

#[test]
fn what_follows_the_voxels_is_not_read() {
    let mut bytes = sound();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    bytes.resize(bytes.len() + (1 << 20), 7);
    encoder.write_all(&bytes).unwrap();
    let mut compressed = encoder.finish().unwrap();
    // The checksum at the far end is wrong, which only a reader that goes there can know.
    let last = compressed.len() - 6;
    compressed[last] ^= 1;
    assert_eq!(read_bytes("a.nii.gz", &compressed).unwrap().data, values().mapv(f32::from));
}

#[test]
fn claimed_sizes_are_checked_before_memory_is_taken() {
    // 32767^3 voxels are beyond the limit, 1000^3 beyond the file, plain or compressed.
    let huge = patched(&[(40, &i16s([3, 32767, 32767, 32767]))]);
    let error = read_bytes("a.nii", &huge).unwrap_err();
    assert!(matches!(error, IoError::TooLarge { voxels: 35_181_150_961_663, .. }), "{error}");
    let large = patched(&[(40, &i16s([3, 1000, 1000, 1000]))]);
    for (name, bytes) in [("a.nii", large.clone()), ("a.nii.gz", gzipped(&large))] {
        let error = read_bytes(name, &bytes).unwrap_err();
        assert!(matches!(error, IoError::Truncated { expected: 2_000_000_352, .. }), "{error}");
    }
    let (_directory, path) = file("a.nii", &sound());
    let error = nifti::read(&path, nifti::ReadLimits { max_voxels: 119 }).unwrap_err();
    assert!(matches!(error, IoError::TooLarge { voxels: 120, limit: 119, .. }), "{error}");
}

#[test]
fn header_fields_that_cannot_be() {
    let nan = f32::NAN.to_le_bytes();
    let cases = [
        ("rank 0", patched(&[(40, &i16s([0]))]), "expected 1 to 7 dimensions"),
        ("rank 9", patched(&[(40, &i16s([9]))]), "not a NIfTI file"),
        ("negative size", patched(&[(42, &i16s([-4]))]), "expected positive sizes, found -4"),
        ("frames", patched(&[(40, &i16s([4])), (48, &i16s([3]))]), "found 3 frames"),
        ("mark", patched(&[(344, b"n+9\0")]), "expected the mark n+1 or ni1"),
        ("offset", patched(&[(108, &nan)]), "expected vox_offset"),
        ("offset in the header", patched(&[(108, &100f32.to_le_bytes())]), "expected vox_offset"),
        ("intercept", patched(&[(116, &nan)]), "expected a finite scl_inter"),
        ("sform", patched(&[(252, &[0; 2]), (280, &[0; 48])]), "the header's sform gives no usable geometry"),
    ];
    for (name, bytes, expected) in cases {
        let error = read_bytes("a.nii", &bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn slope_zero_means_no_scaling_and_infinite_values_stay_finite() {
    let unscaled = patched(&[(112, &0f32.to_le_bytes()), (116, &5f32.to_le_bytes())]);
    assert_eq!(read_bytes("a.nii", &unscaled).unwrap().data, values().mapv(f32::from));
    let scaled = patched(&[(112, &2f32.to_le_bytes()), (116, &5f32.to_le_bytes())]);
    assert_eq!(read_bytes("a.nii", &scaled).unwrap().data, values().mapv(|v| 2.0 * f32::from(v) + 5.0));

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.nii");
    let mut floats = values().mapv(f32::from);
    (floats[[0, 0, 0]], floats[[0, 0, 1]]) = (f32::INFINITY, f32::NEG_INFINITY);
    nifti::write(&path, floats.view(), &grid(), Overwrite::Refuse).unwrap();
    let volume = read(&path).unwrap();
    assert_eq!((volume.data[[0, 0, 0]], volume.data[[0, 0, 1]]), (f32::MAX, f32::MIN));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A few wrong bytes anywhere: a volume of the claimed size or an error that names the file.
    #[test]
    fn wrong_bytes_never_panic(
        wrong in proptest::collection::vec((0usize..400, any::<u8>()), 1..6),
        compressed: bool,
    ) {
        let mut bytes = sound();
        for (at, value) in wrong {
            bytes[at] = value;
        }
        let (_directory, path) = file("a.nii", &if compressed { gzipped(&bytes) } else { bytes });
        match nifti::read(&path, nifti::ReadLimits { max_voxels: 1 << 16 }) {
            Ok(volume) => prop_assert_eq!(volume.data.shape(), volume.grid.shape_kji()),
            Err(error) => prop_assert!(error.to_string().contains("a."), "{}", error),
        }
    }

    /// A NIfTI-2 header of any bytes: the fields that are read are 64 bits wide, so overflow lurks everywhere.
    #[test]
    fn any_nifti2_header_never_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 600),
        small_sizes: bool,
    ) {
        bytes[..4].copy_from_slice(&540u32.to_le_bytes());
        bytes[4..8].copy_from_slice(b"n+2\0");
        bytes[12..14].copy_from_slice(&2u16.to_le_bytes());
        bytes[16..24].copy_from_slice(&3u64.to_le_bytes());
        if small_sizes {
            (24..48).step_by(8).for_each(|at| bytes[at..at + 8].copy_from_slice(&2u64.to_le_bytes()));
            bytes[168..176].copy_from_slice(&544u64.to_le_bytes());
        }
        if let Err(error) = read_bytes("a.nii", &bytes) {
            prop_assert!(error.to_string().contains("a.nii"), "{}", error);
        }
    }
}
