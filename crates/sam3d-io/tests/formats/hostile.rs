//! Damaged, misleading and hostile files: each a typed error that names the file, never a panic.

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use sam3d_io::{Format, IoError, ReadLimits};
use sam3d_testkit::test_volume;

use super::{fixture, read, read_bytes, stored};

fn nrrd(fields: &str) -> String {
    format!(
        "NRRD0004\ntype: short\ndimension: 3\nendian: little\nspace: LPS\n\
         space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (0,0,0)\n{fields}"
    )
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn nrrd_headers_that_cannot_be() {
    let sizes = "sizes: 4 5 6\n";
    let cases = [
        (nrrd("encoding: raw\n\n"), "expected sizes to be 3 positive numbers"),
        (nrrd("encoding: raw\nsizes: 4 5 -6\n\n"), "expected sizes to be numbers"),
        (nrrd("encoding: raw\nsizes: 4 5 0\n\n"), "expected sizes to be 3 positive numbers"),
        (nrrd(&format!("{sizes}\n")), "expected the field encoding"),
        (nrrd(&format!("{sizes}encoding: bzip2\n\n")), "expected encoding to be raw or gzip"),
        (
            nrrd(&format!("{sizes}encoding: raw\n\n")).replace("endian: little\n", ""),
            "expected the field endian",
        ),
        (nrrd(&format!("{sizes}encoding: raw\nbyte skip: -2\n\n")), "expected byte skip to be 0 or more"),
        (nrrd(&format!("{sizes}encoding: raw\n\n")).replace("short", "block"), "found the type \"block\""),
        (
            nrrd(&format!("{sizes}encoding: raw\n\n")).replace("LPS", "LPS-time"),
            "expected space to be RAS, LAS or LPS",
        ),
        (
            nrrd(&format!("{sizes}encoding: raw\n\n")).replace("(0,2,0)", "(2,0,0)"),
            "space directions gives no usable",
        ),
        (
            nrrd(&format!("{sizes}encoding: raw\n\n")).replace("(0,2,0)", "(0,nan,0)"),
            "space directions gives no usable",
        ),
        (
            nrrd(&format!("{sizes}encoding: raw\n\n")).replace("(0,2,0)", "none"),
            "expected three axes in space, found 2",
        ),
        (
            nrrd(&format!("{sizes}encoding: raw\n\n")).replace("(0,2,0)", "(0,2)"),
            "expected space directions to be vectors",
        ),
        (nrrd(&format!("{sizes}{sizes}encoding: raw\n\n")), "the field sizes stands there twice"),
        (nrrd(&format!("{sizes}encoding: raw\nnonsense\n\n")), "expected \"field: value\""),
        (nrrd(&format!("{sizes}encoding: raw\n")), "expected an empty line and the voxels"),
        (nrrd(&format!("{sizes}encoding: raw\ndata file: LIST\n\n")), "several data files are not read"),
        (
            nrrd(&format!("{sizes}encoding: raw\ndata file: a%03d.raw 1 6 1\n\n")),
            "several data files are not read",
        ),
        ("NRRDnothing\n".to_owned(), "not a NRRD file"),
    ];
    for (text, expected) in cases {
        // Without voxels: a header that can't be is found first.
        let error = read_bytes("nrrd", &[text.as_bytes()]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("a.nrrd"), "{expected}: {error}");
    }
}

#[test]
fn axes_that_are_not_of_space() {
    let four = |kinds: &str, directions: &str| {
        format!(
            "NRRD0004\ntype: short\ndimension: 4\nendian: little\nencoding: raw\nspace: LPS\nkinds: {kinds}\n\
             space directions: {directions}\nspace origin: (0,0,0)\nsizes: 3 4 5 6\nSegment0_ID:=Segment_1\n\n"
        )
    };
    let directions = "none (1,0,0) (0,2,0) (0,0,3)";
    let refused =
        |kinds: &str| read_bytes("nrrd", &[four(kinds, directions).as_bytes()]).unwrap_err().to_string();
    let error = refused("list domain domain domain");
    assert!(error.contains("expected one layer of segments, found 3"), "{error}");
    let error = refused("RGB-color domain domain domain");
    assert!(error.contains("found 3 numbers for each voxel (rgb-color)"), "{error}");
    let error = refused("time domain domain domain");
    assert!(error.contains("found 3 frames"), "{error}");
}

#[test]
fn data_files_elsewhere_are_not_read() {
    for name in ["/etc/hostname", "../secret.raw", "below/../../secret.raw"] {
        let text = nrrd(&format!("sizes: 4 5 6\nencoding: raw\ndata file: {name}\n"));
        let error = read_bytes("nhdr", &[text.as_bytes()]).unwrap_err();
        assert!(matches!(error, IoError::DataFileElsewhere { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let text = nrrd("sizes: 4 5 6\nencoding: raw\ndata file: missing.raw\n");
    let error = read_bytes("nhdr", &[text.as_bytes()]).unwrap_err();
    assert!(error.to_string().contains("missing.raw: cannot be read"), "{error}");
}

/// Sizes beyond the limit, and sizes within it that the file cannot hold, plain or packed.
#[test]
fn claimed_sizes_are_checked_before_memory_is_taken() {
    let claimed = |sizes: &str, encoding: &str| nrrd(&format!("sizes: {sizes}\nencoding: {encoding}\n\n"));
    let huge = "18446744073709551615 18446744073709551615 18446744073709551615";
    for sizes in [huge, "2048 2048 2048"] {
        for encoding in ["raw", "gzip"] {
            let error = read_bytes("nrrd", &[claimed(sizes, encoding).as_bytes()]).unwrap_err();
            assert!(matches!(error, IoError::TooLarge { .. }), "{error}");
        }
    }
    for (encoding, voxels) in [("raw", stored(false)), ("gzip", gzipped(&stored(false)))] {
        let text = claimed("1000 1000 1000", encoding);
        let error = read_bytes("nrrd", &[text.as_bytes(), &voxels]).unwrap_err();
        assert!(matches!(error, IoError::Truncated { expected: 2_000_000_000, .. }), "{error}");
    }
    let text = "ObjectType = Image\nNDims = 3\nDimSize = 2048 2048 2048\nElementType = MET_SHORT\nElementDataFile = LOCAL\n";
    assert!(matches!(read_bytes("mha", &[text.as_bytes()]), Err(IoError::TooLarge { .. })));
}

/// A few kilobytes that unpack to far more than the header claims: nothing beyond the claim is unpacked.
#[test]
fn a_bomb_behind_the_voxels_stays_packed() {
    let mut voxels = stored(false);
    voxels.resize(voxels.len() + (64 << 20), 0);
    let text = nrrd("sizes: 4 5 6\nencoding: gzip\n\n");
    let mut packed = gzipped(&voxels);
    // The checksum at the far end is wrong, which only a reader that goes there can know.
    let last = packed.len() - 6;
    packed[last] ^= 1;
    assert_eq!(read_bytes("nrrd", &[text.as_bytes(), &packed]).unwrap().data, super::values());
}

#[test]
fn truncated_at_every_length() {
    for name in ["itk_oblique.nrrd", "pynrrd_big.nrrd", "itk_oblique.mha"] {
        let bytes = fs::read(fixture(name)).unwrap();
        let extension = name.rsplit('.').next().unwrap();
        assert!(read_bytes(extension, &[&bytes]).is_ok());
        for length in 0..bytes.len() {
            assert!(read_bytes(extension, &[&bytes[..length]]).is_err(), "{name}: {length} bytes");
        }
    }
}

#[test]
fn the_content_decides_the_format() {
    let directory = tempfile::tempdir().unwrap();
    for (name, format) in [("itk_oblique.nrrd", Format::Nrrd), ("itk_oblique.mha", Format::MetaImage)] {
        let path = directory.path().join("misnamed.nii.gz");
        fs::copy(fixture(name), &path).unwrap();
        assert_eq!(Format::recognise(&path).unwrap(), format);
        assert_eq!(read(&path).unwrap().data, super::values());
    }
    let error = read_bytes("txt", &[b"patient,age\nA,63\n"]).unwrap_err();
    assert!(matches!(error, IoError::FormatUnknown { .. }), "{error}");
    assert!(matches!(read_bytes("nrrd", &[b"text"]), Err(IoError::NotOfFormat { format: Format::Nrrd, .. })));
    assert!(matches!(
        read_bytes("mha", &[b"text"]),
        Err(IoError::NotOfFormat { format: Format::MetaImage, .. })
    ));
    assert!(matches!(read_bytes("nii", &[b"text"]), Err(IoError::NotOfFormat { format: Format::Nifti, .. })));
    assert!(matches!(read_bytes("", &[]), Err(IoError::FormatUnknown { .. })));
}

/// Everything of the collection that is no scalar volume, by the entry that recognises formats.
#[test]
#[cfg_attr(not(has_test_volumes), ignore = "needs ../shared/data or SAM3D_TEST_DATA")]
fn the_reject_list() {
    for name in [
        "complex.nii.gz",
        "functional.nii",
        "rgb/3D.nii",
        "rgb/4D.nii",
        "nifti1.hdr",
        "analyze.hdr",
        "LICENSE.nibabel",
    ] {
        let Some(path) = test_volume(&format!("nifti_zoo/{name}")) else { return };
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(name.rsplit('/').next().unwrap()), "{name}: {error}");
    }
    let Some(directory) = test_volume("nifti_zoo/fuzz_artifacts") else { return };
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A few wrong bytes anywhere in a sound file: a volume of the claimed size or an error that names the file.
    #[test]
    fn wrong_bytes_never_panic(
        wrong in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        which in 0usize..4,
    ) {
        let name = ["itk_oblique.nrrd", "pynrrd_big.nrrd", "itk_oblique.mha", "slicer.seg.nrrd"][which];
        let mut bytes = fs::read(fixture(name)).unwrap();
        for (at, value) in wrong {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        match sam3d_io::read(&path, ReadLimits { max_voxels: 1 << 16 }) {
            Ok(volume) => prop_assert_eq!(volume.data.shape(), volume.grid.shape_kji()),
            // A misspelt data file is named itself.
            Err(error) => prop_assert!(error.to_string().contains(&*directory.path().to_string_lossy()), "{}", error),
        }
    }
}
