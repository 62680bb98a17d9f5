use sam3d_io::{AffineSource, IoError, Rescale, ValueType};

use super::{ITK_OBLIQUE_RAS, assert_affine, fixture, read, read_bytes, stored, values};

const HEADER: &str =
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 4 5 6\nElementType = MET_SHORT\n";

fn read_header(header: &str, voxels: &[u8]) -> Result<sam3d_io::Volume, IoError> {
    read_bytes("mha", &[header.as_bytes(), b"ElementDataFile = LOCAL\n", voxels])
}

#[test]
fn files_of_itk() {
    for name in ["itk_oblique.mha", "itk_oblique.mhd"] {
        let volume = read(&fixture(name)).unwrap();
        assert_eq!(
            (volume.value_type, volume.grid.source()),
            (ValueType::Int16, AffineSource::TransformMatrix)
        );
        assert_eq!(volume.data, values(), "{name}");
        assert_affine(&volume, ITK_OBLIQUE_RAS);
    }
}

#[test]
fn byte_order_offset_and_scaling() {
    let more = "ElementSpacing = 1 2 3\nOffset = 10 20 30\nElementByteOrderMSB = True\nHeaderSize = -1\n\
                ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = -1\n";
    let volume =
        read_header(&format!("{HEADER}{more}"), &[&b"anything"[..], &stored(true)].concat()).unwrap();
    assert_eq!(volume.rescale, Some(Rescale { slope: 2.0, intercept: -1.0 }));
    assert_eq!(volume.data, values().mapv(|value| 2.0 * value - 1.0));
    assert_affine(&volume, [[-1.0, 0.0, 0.0, -10.0], [0.0, -2.0, 0.0, -20.0], [0.0, 0.0, 3.0, 30.0]]);
}

#[test]
fn what_is_refused() {
    let replaced = |from: &str, to: &str| HEADER.replace(from, to);
    let cases = [
        (replaced("= 3", "= 2"), "expected NDims from 3 to 10"),
        (replaced("4 5 6", "4 5"), "expected DimSize to be 3 numbers"),
        (replaced("4 5 6", "4 5 -6"), "expected DimSize to be 3 numbers"),
        (replaced("4 5 6", "4 5 0"), "expected DimSize to be positive"),
        (replaced("SHORT", "SHORT_ARRAY"), "found the type \"MET_SHORT_ARRAY\""),
        (replaced("BinaryData = True", "BinaryData = False"), "text is not read"),
        (format!("{HEADER}ElementNumberOfChannels = 3\n"), "found 3 numbers for each voxel"),
        (format!("{HEADER}ElementSpacing = 1 1 nan\n"), "gives no usable geometry"),
        (format!("{HEADER}TransformMatrix = 1 0 0 1 0 0 0 0 1\n"), "gives no usable geometry"),
        (HEADER.replace("NDims = 3", "NDims = 4").replace("4 5 6", "4 5 6 2"), "found 2 frames"),
        (format!("{HEADER}HeaderSize = -2\n"), "expected HeaderSize to be -1 or more, found -2"),
        (
            format!("{HEADER}HeaderSize = -1\nCompressedData = True\n"),
            "expected HeaderSize to be 0 or more with CompressedData = True",
        ),
        ("ObjectType = Image\nno end".into(), "not a MetaImage file"),
    ];
    for (header, expected) in cases {
        let error = read_header(&header, &stored(false)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("a.mha"), "{expected}: {error}");
    }
    let elsewhere = format!("{HEADER}ElementDataFile = /etc/passwd\n");
    assert!(matches!(read_bytes("mhd", &[elsewhere.as_bytes()]), Err(IoError::DataFileElsewhere { .. })));
}
