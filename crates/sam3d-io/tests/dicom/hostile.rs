//! Damaged and hostile files: an error that names the file, never a panic, and no memory that a file only claims.

use std::fs;

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use proptest::prelude::*;
use sam3d_io::{IoError, ReadLimits};

use super::{
    fixture, read,
    slices::{Slice, write},
};

const NAMES: [&str; 10] = [
    "deflated_signed.dcm",
    "rle_signed.dcm",
    "rle_unsigned.dcm",
    "jpeg_lossless_signed.dcm",
    "jpeg_lossless_unsigned.dcm",
    "jpeg2000_signed.dcm",
    "jpeg2000_unsigned.dcm",
    "jpeg_ls_signed.dcm",
    "jpeg_ls_unsigned.dcm",
    "jpeg_ls_near.dcm",
];

fn read_bytes(bytes: &[u8]) -> Result<sam3d_io::Volume, IoError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.dcm");
    fs::write(&path, bytes).unwrap();
    let result = sam3d_io::read(&path, ReadLimits { max_voxels: 1 << 20 });
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(text.contains("a.dcm") && !text.contains("Sekret") && !text.contains("SEKRET"), "{text}");
    }
    result
}

fn plain() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    Slice::number(1).write(&path);
    fs::read(path).unwrap()
}

#[test]
fn truncated_at_every_length() {
    let mut files = vec![plain()];
    files.extend(NAMES.iter().map(|name| fs::read(fixture(name)).unwrap()));
    for (which, bytes) in files.iter().enumerate() {
        assert!(read_bytes(bytes).is_ok(), "{which}");
        // Deflate's own end is not asked for once the pixels are there, nor is the delimiter of JPEG's padding.
        for length in (0..bytes.len().saturating_sub(16)).step_by(if which == 0 { 1 } else { 31 }) {
            assert!(read_bytes(&bytes[..length]).is_err(), "{which}: {length} bytes of {}", bytes.len());
        }
    }
}

/// A slice of 65535 x 65535 in some hundred bytes: plain, deflated or compressed.
#[test]
fn claimed_sizes_are_checked_before_memory_is_taken() {
    for syntax in [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::RLE_LOSSLESS, uids::JPEG2000, uids::JPEGLS_LOSSLESS]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.dcm");
        let mut object = Slice::number(0).object();
        for tag in [tags::ROWS, tags::COLUMNS] {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(u16::MAX)));
        }
        write(object, syntax, &path);
        let error = read(&path).unwrap_err();
        assert!(matches!(error, IoError::Truncated { .. } | IoError::TooLarge { .. }), "{error}");
        // A limit that no file reaches leaves the file's own size.
        let error = sam3d_io::read(&path, ReadLimits { max_voxels: usize::MAX }).unwrap_err();
        assert!(matches!(error, IoError::Truncated { .. }), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.dcm");
    Slice::number(0).write(&path);
    assert!(matches!(
        sam3d_io::read(&path, ReadLimits { max_voxels: 19 }),
        Err(IoError::TooLarge { voxels: 20, .. })
    ));
}

/// An element that claims 4 GB, before the pixels.
#[test]
fn a_value_larger_than_the_file() {
    let bytes = plain();
    let name = bytes.windows(4).position(|window| window == [0x10, 0, 0x10, 0]).unwrap();
    let mut claimed = bytes.clone();
    claimed.splice(name + 4..name + 8, [b'U', b'N', 0, 0, 0xf0, 0xff, 0xff, 0xff]);
    let error = read_bytes(&claimed).unwrap_err().to_string();
    assert!(error.contains("expected a value of at most the"), "{error}");
}

/// Sequences in sequences use no stack.
#[test]
fn deep_nesting() {
    let bytes = plain();
    let at = bytes.windows(4).position(|window| window == [0x10, 0, 0x10, 0]).unwrap();
    let sequence: &[u8] = &[
        8, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff,
        0xff,
    ];
    let mut deep = bytes[..at].to_vec();
    deep.extend(sequence.repeat(200_000));
    let error = read_bytes(&deep).unwrap_err().to_string();
    assert!(error.contains("at most 64 nested sequences"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// A few wrong bytes anywhere: a volume within the limit or an error that names the file and no person.
    #[test]
    fn wrong_bytes_never_panic(
        wrong in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        which in 0usize..=NAMES.len(),
    ) {
        let mut bytes = NAMES.get(which).map_or_else(plain, |name| fs::read(fixture(name)).unwrap());
        for (at, value) in wrong {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(volume) = read_bytes(&bytes) {
            prop_assert_eq!(volume.data.shape(), volume.grid.shape_kji());
            prop_assert!(volume.data.iter().all(|value| value.is_finite()));
        }
    }
}
