//! Compressed slices, written by pydicom (RLE, deflated), OpenJPEG (JPEG 2000), GDCM (JPEG) and CharLS (JPEG-LS).

use sam3d_io::ValueType;

use super::{fixture, read, slices::Slice};

/// What row `j` and column `i` of the fixtures hold, in the values of the signed ones.
fn value(j: usize, i: usize) -> f32 {
    ((37 * i + 101 * j) % 1500) as f32 - 1000.0
}

#[test]
fn lossless_codecs_give_every_value() {
    let directory = tempfile::tempdir().unwrap();
    for codec in ["deflated", "rle", "jpeg_lossless", "jpeg2000", "jpeg_ls"] {
        for (sign, value_type) in [("signed", ValueType::Int16), ("unsigned", ValueType::Uint16)] {
            // Alone: all fixtures are of one series.
            let name = format!("{codec}_{sign}.dcm");
            let path = directory.path().join(&name);
            std::fs::copy(fixture(&name), &path).unwrap();
            let volume = read(&path).unwrap();
            assert_eq!((volume.grid.shape_ijk(), volume.value_type), ([40, 36, 1], value_type), "{name}");
            assert_eq!(volume.grid.spacing_ijk_mm(), [0.5, 0.75, 2.5]);
            for ((_, j, i), found) in volume.data.indexed_iter() {
                assert_eq!(*found, value(j, i), "{name}: row {j}, column {i}");
            }
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// Values that may be wrong by 2, which a flat part, a ramp and noise of 12 bits bring into all modes of the codec: the sums
/// are those of CharLS's own decoder.
#[test]
fn near_lossless_jpeg_ls_gives_the_values_of_its_encoder() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.dcm");
    std::fs::copy(fixture("jpeg_ls_near.dcm"), &path).unwrap();
    let volume = read(&path).unwrap();
    let (mut sum, mut weighted) = (0i64, 0i64);
    for ((_, j, i), found) in volume.data.indexed_iter() {
        let stored = *found as i64 + 1024;
        let written = match i {
            0..13 => 700,
            13..26 => 700 + 3 * i + 2 * j,
            _ => (37 * i * i + 101 * j * j) % 4096,
        };
        assert!((stored - written as i64).abs() <= 2, "row {j}, column {i}: {written} as {stored}");
        sum += stored;
        weighted += stored * (1 + 40 * j + i) as i64;
    }
    assert_eq!((sum, weighted), (1_729_997, 1_270_463_384));
}

#[test]
fn another_codec_is_refused_by_name() {
    const HIGH_THROUGHPUT_JPEG2000: &str = "1.2.840.10008.1.2.4.201";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.dcm");
    Slice { transfer_syntax: HIGH_THROUGHPUT_JPEG2000, ..Slice::number(0) }.write(&path);
    let error = read(&path).unwrap_err().to_string();
    assert!(
        error.contains("High-Throughput") && error.contains("gdcmconv --raw") && error.contains("a.dcm"),
        "{error}"
    );
}
