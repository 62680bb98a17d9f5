use std::{fmt, fs::File, io::Read, path::Path};

use crate::{
    IoError,
    dicom::{START_BYTES, begins_as_dicom},
    source::open_file,
    source::read_failed,
};

/// What a file is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// NIfTI-1 or NIfTI-2: `.nii`, `.nii.gz`, or `.hdr` with `.img`.
    Nifti,
    /// NRRD: `.nrrd`, `.seg.nrrd`, or `.nhdr` with a data file.
    Nrrd,
    /// MetaImage: `.mha`, or `.mhd` with a data file.
    MetaImage,
    /// DICOM: a directory with the slices of a series, or one of its files.
    Dicom,
}

/// Endings of files that hold a volume or its header, the longer ones first. Data files beside a header have none of them,
/// and neither have DICOM files, which may be called anything.
pub const VOLUME_ENDINGS: [&str; 9] =
    [".seg.nrrd", ".nii.gz", ".hdr.gz", ".nii", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd"];

/// The ending of a volume's file name, one of [`VOLUME_ENDINGS`] whatever the case; `None` if it has none of them.
pub fn volume_ending(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    VOLUME_ENDINGS.into_iter().find(|ending| name.ends_with(ending))
}

impl Format {
    /// The format of the file at `path`, by how it begins; a directory is taken for one of DICOM files.
    ///
    /// # Errors
    /// [`IoError::Read`] if it cannot be opened, [`IoError::FormatUnknown`] if it begins like none of the formats.
    pub fn recognise(path: &Path) -> Result<Self, IoError> {
        if path.is_dir() {
            return Ok(Self::Dicom);
        }
        let start = first_bytes(open_file(path)?).map_err(|source| read_failed(path, source))?;
        if let Some(found) = Placeholder::of_start(&start) {
            return Err(IoError::NotTheFile { path: path.to_owned(), found });
        }
        Self::of_start(&start)
            .or_else(|| Self::of_name(path))
            .ok_or_else(|| IoError::FormatUnknown { path: path.to_owned() })
    }

    fn of_start(start: &[u8]) -> Option<Self> {
        if start.starts_with(b"NRRD") {
            return Some(Self::Nrrd);
        }
        if [&b"ObjectType"[..], b"NDims", b"Comment ="].iter().any(|name| start.starts_with(name)) {
            return Some(Self::MetaImage);
        }
        if begins_as_dicom(start) {
            return Some(Self::Dicom);
        }
        match start {
            // Of the formats only NIfTI is compressed as a whole file.
            [0x1f, 0x8b, ..] => Some(Self::Nifti),
            [a, b, c, d, ..] => {
                let size = [*a, *b, *c, *d];
                let is_header_size = |size| [348, 540].contains(&size);
                let nifti =
                    is_header_size(u32::from_le_bytes(size)) || is_header_size(u32::from_be_bytes(size));
                nifti.then_some(Self::Nifti)
            }
            _ => None,
        }
    }

    /// The format a name promises: its reader says best what is wrong with a file that begins otherwise.
    fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        match volume_ending(&name) {
            Some(".nii.gz" | ".hdr.gz" | ".nii" | ".hdr") => Some(Self::Nifti),
            Some(".seg.nrrd" | ".nrrd" | ".nhdr") => Some(Self::Nrrd),
            Some(_) => Some(Self::MetaImage),
            None if [".img", ".img.gz"].iter().any(|ending| name.ends_with(ending)) => Some(Self::Nifti),
            None => name.ends_with(".dcm").then_some(Self::Dicom),
        }
    }
}

/// What is found in the place of a file that was not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The text that Git LFS keeps in a repository instead of a large file.
    GitLfsPointer,
    /// A web page: a login form, a note that the address has changed, an error of a server.
    WebPage,
}

impl Placeholder {
    fn of_start(start: &[u8]) -> Option<Self> {
        if start.starts_with(b"version https://git-lfs.github.com/") {
            return Some(Self::GitLfsPointer);
        }
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let begins = |mark: &[u8]| text.get(..mark.len()).is_some_and(|text| text.eq_ignore_ascii_case(mark));
        let is_page =
            [&b"<!doctype"[..], b"<html", b"<head", b"<?xml", b"<!--"].iter().any(|mark| begins(mark));
        is_page.then_some(Self::WebPage)
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitLfsPointer => {
                "a Git LFS pointer instead of the file; fetch the file itself, for example with git lfs pull"
            }
            Self::WebPage => {
                "a web page (HTML or XML) instead of the file; open it to see what the server said, and download the file again"
            }
        })
    }
}

/// As many bytes as it takes to tell the formats apart, fewer if the file is shorter.
fn first_bytes(file: File) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(START_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nifti => "NIfTI",
            Self::Nrrd => "NRRD",
            Self::MetaImage => "MetaImage",
            Self::Dicom => "DICOM",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_volumes() {
        for (name, ending, format) in [
            ("a.b.NII.GZ", Some(".nii.gz"), Some(Format::Nifti)),
            ("a.hdr.gz", Some(".hdr.gz"), Some(Format::Nifti)),
            ("a.img.gz", None, Some(Format::Nifti)),
            ("a.Seg.nrrd", Some(".seg.nrrd"), Some(Format::Nrrd)),
            ("a.nhdr", Some(".nhdr"), Some(Format::Nrrd)),
            ("a.mhd", Some(".mhd"), Some(Format::MetaImage)),
            ("a.dcm", None, Some(Format::Dicom)),
            ("a.raw", None, None),
        ] {
            assert_eq!((volume_ending(name), Format::of_name(Path::new(name))), (ending, format), "{name}");
        }
    }
}
