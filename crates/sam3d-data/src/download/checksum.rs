use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use md5::Md5;
use sha2::{Digest, Sha256};

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
    /// [`DownloadError::ChecksumDiffers`], [`DownloadError::Read`].
    pub fn check(&self, path: &Path) -> Result<(), DownloadError> {
        let (algorithm, expected, found) = match self {
            Self::Md5(expected) => ("MD5", expected, hash::<Md5>(path)?),
            Self::Sha256(expected) => ("SHA-256", expected, hash::<Sha256>(path)?),
        };
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

fn hash<D: Digest>(path: &Path) -> Result<String, DownloadError> {
    let mut hasher = D::new();
    let mut update = || -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    update().map_err(|source| DownloadError::Read { path: path.to_owned(), source })?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
