//! Compressed slices, written by pydicom (RLE, deflated), OpenJPEG (JPEG 2000) and GDCM (JPEG).

use sam3d_io::ValueType;

use super::{fixture, read};

/// What row `j` and column `i` of the fixtures hold, in the values of the signed ones.
fn value(j: usize, i: usize) -> f32 {
    ((37 * i + 101 * j) % 1500) as f32 - 1000.0
}

#[test]
fn lossless_codecs_give_every_value() {
    let directory = tempfile::tempdir().unwrap();
    for codec in ["deflated", "rle", "jpeg_lossless", "jpeg2000"] {
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

#[test]
fn another_codec_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.dcm");
    std::fs::copy(fixture("jpeg_ls.dcm"), &path).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(
        error.contains("JPEG-LS") && error.contains("gdcmconv --raw") && error.contains("a.dcm"),
        "{error}"
    );
}
