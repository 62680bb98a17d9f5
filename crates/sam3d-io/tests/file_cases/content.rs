//! Bytes that should not be there, and files that are something else.

use std::io::Write;

use flate2::Compression;
use sam3d_io::{Format, IoError, Placeholder};

use super::{
    fixture,
    geometry::{gzipped, inflated, temporary},
    read, with_warnings,
};

#[test]
fn bytes_behind_the_compressed_data() {
    let expected = read(&fixture("base.nii.gz")).unwrap();
    let plain = inflated("base.nii.gz");
    let whole = gzipped(&plain);
    let with = |behind: &[u8]| temporary("a.nii.gz", &[&whole[..], behind].concat());
    let (one, two) = plain.split_at(5000);
    let members = temporary("a.nii.gz", &[gzipped(one), gzipped(two), vec![0; 512]].concat());
    let cases = [with(&[0]), with(&[0x1f]), with(&[0x1f, 0x8b, 8, 0]), with(&[0x1f, 0x8b, 9, 9, 9]), members];
    let fixtures = [fixture("n09_trail_zero.nii.gz"), fixture("n09b_trail_garbage.nii.gz")];
    for path in fixtures.iter().chain(cases.iter().map(|case| &case.1)) {
        let (volume, warnings) = with_warnings(|| read(path).unwrap());
        assert_eq!((&volume.data, &volume.grid), (&expected.data, &expected.grid), "{}", path.display());
        assert!(
            matches!(&warnings[..], [one] if one.contains("bytes behind the compressed data")),
            "{warnings:?}"
        );
    }
    let (nrrd, warnings) = with_warnings(|| read(&fixture("r09_trail.nrrd")).unwrap());
    assert_eq!(nrrd.data, expected.data);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    // Nothing behind: nothing to be told of. A second member with more is none of the volume's and no fault.
    for behind in [vec![], gzipped(b"more")] {
        let (_, warnings) = with_warnings(|| read(&with(&behind).1).unwrap());
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn what_is_missing_in_front_of_such_bytes_is_still_an_error() {
    let plain = inflated("base.nii.gz");
    let (one, two) = plain.split_at(5000);
    // The second member is damaged, cut off, or gone.
    let second = gzipped(two);
    let mut damaged = second.clone();
    damaged[1] = 0;
    for behind in [&damaged[..], &second[..second.len() / 2], &[0; 100], &[]] {
        let (_directory, path) = temporary("a.nii.gz", &[&gzipped(one)[..], behind].concat());
        assert!(read(&path).is_err(), "{} bytes", behind.len());
    }
    // A wrong checksum is a damaged file, whatever follows.
    let mut wrong = gzipped(&plain);
    let at = wrong.len() - 6;
    wrong[at] ^= 1;
    wrong.extend([0; 20]);
    let (_directory, path) = temporary("a.nii.gz", &wrong);
    assert!(matches!(read(&path), Err(IoError::CompressionDamaged { .. })));
}

#[test]
fn files_that_were_not_fetched() {
    let page = b"\n <!DOCTYPE html><html><body>Sign in</body></html>";
    let error = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
    let pointer = std::fs::read(fixture("z_lfs.nii.gz")).unwrap();
    for (content, name, expected) in [
        (&pointer[..], "a.nii.gz", Placeholder::GitLfsPointer),
        (&pointer, "a.nrrd", Placeholder::GitLfsPointer),
        (&pointer, "a.dcm", Placeholder::GitLfsPointer),
        (page, "a.nii.gz", Placeholder::WebPage),
        (error, "a", Placeholder::WebPage),
        (b"\xef\xbb\xbf<HTML>", "a.mha", Placeholder::WebPage),
    ] {
        let (_directory, path) = temporary(name, content);
        let failed = read(&path).unwrap_err();
        assert!(matches!(&failed, IoError::NotTheFile { found, .. } if *found == expected), "{failed}");
        assert!(failed.to_string().contains(name), "{failed}");
        assert!(Format::recognise(&path).is_err());
    }
    let text = read(&fixture("z_lfs.nii.gz")).unwrap_err().to_string();
    assert!(text.contains("Git LFS pointer") && text.contains("git lfs pull"), "{text}");
}

#[test]
fn a_gzip_header_with_a_name_begins_a_member() {
    let mut encoder = flate2::GzBuilder::new().filename("a.nii").write(Vec::new(), Compression::fast());
    encoder.write_all(&inflated("base.nii.gz")).unwrap();
    let named: Vec<u8> = encoder.finish().unwrap();
    let (_directory, path) = temporary("a.nii.gz", &named);
    assert_eq!(read(&path).unwrap().data, read(&fixture("base.nii.gz")).unwrap().data);
}
