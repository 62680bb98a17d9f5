use std::{fmt, path::Path};

use md5::Md5;
use sam3d_geom::{digest_of_file, sha256_of_file};
use sam3d_io::IoError;

use super::DownloadError;

/// What a file's hash must be, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// MD5: no protection against intent, but what several publishers of data and weights state.
    Md5(String),
    /// SHA-256.
    Sha256(String),
}

impl Checksum {
    /// Reads `path` and compares.
    ///
    /// # Errors
    /// [`DownloadError::ChecksumDiffers`], or [`DownloadError::Io`] if the file cannot be read.
    pub fn check(&self, path: &Path) -> Result<(), DownloadError> {
        let (algorithm, expected, found) = match self {
            Self::Md5(expected) => ("MD5", expected, digest_of_file::<Md5>(path)),
            Self::Sha256(expected) => ("SHA-256", expected, sha256_of_file(path)),
        };
        let found = found.map_err(IoError::read(path))?;
        if found != *expected {
            let (path, expected) = (path.to_owned(), expected.clone());
            return Err(DownloadError::ChecksumDiffers { path, algorithm, expected, found });
        }
        Ok(())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5(digits) => write!(f, "MD5 {digits}"),
            Self::Sha256(digits) => write!(f, "SHA-256 {digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_against_published_digits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let md5 = Checksum::Md5("900150983cd24fb0d6963f7d28e17f72".to_owned());
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha256 = Checksum::Sha256(digits.to_owned());
        md5.check(&path).unwrap();
        sha256.check(&path).unwrap();
        std::fs::write(&path, "abd").unwrap();
        assert!(md5.check(&path).unwrap_err().to_string().contains("MD5"));
        assert!(sha256.check(&path).unwrap_err().to_string().contains(digits));
    }
}
