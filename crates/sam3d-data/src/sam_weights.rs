//! The weights of Segment Anything, as its authors publish them.
//!
//! The addresses are those in the README of <https://github.com/facebookresearch/segment-anything>. A file's name ends in
//! the first six digits of its MD5; the digits in full are those that programs which download the files check.

use std::{fs, path::Path};

use sam3d_io::{
    IoError,
    atomic::{self, Overwrite},
};

use crate::{
    download::{self, Checksum, DownloadError},
    progress::OnProgress,
};

const PUBLISHED_AT: &str = "https://dl.fbaipublicfiles.com/segment_anything";

/// SAM's three sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamWeights {
    /// ViT-B, 0.4 GB.
    VitB,
    /// ViT-L, 1.2 GB.
    VitL,
    /// ViT-H, 2.6 GB.
    VitH,
}

impl SamWeights {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::VitB, Self::VitL, Self::VitH];

    /// Name of the published file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::VitB => "sam_vit_b_01ec64.pth",
            Self::VitL => "sam_vit_l_0b3195.pth",
            Self::VitH => "sam_vit_h_4b8939.pth",
        }
    }

    /// The published checksum.
    pub fn checksum(self) -> Checksum {
        Checksum::Md5(self.md5().to_owned())
    }

    fn md5(self) -> &'static str {
        match self {
            Self::VitB => "01ec64d29a2fca3f0661936605ae66f8",
            Self::VitL => "0b3195507c641ddb6910d2bb5adee89c",
            Self::VitH => "4b8939a88964f0f4ff5f5b2642c598a6",
        }
    }
}

/// Puts the weights at `out`, unless they are there: a copy of the file or address `source`, or from the published address.
///
/// # Errors
/// [`DownloadError`] if they cannot be fetched or written, or are not the published ones.
pub fn fetch(
    weights: SamWeights,
    source: Option<&str>,
    out: &Path,
    on_progress: OnProgress<'_>,
) -> Result<(), DownloadError> {
    if out.is_dir() {
        return Err(DownloadError::TargetIsDirectory { path: out.to_owned() });
    }
    let checksum = weights.checksum();
    match source {
        Some(source) if !download::is_url(source) => copy(Path::new(source), out, &checksum),
        Some(url) => download::fetch(url, Some(&checksum), out, on_progress),
        None => {
            let url = format!("{PUBLISHED_AT}/{}", weights.file_name());
            download::fetch(&url, Some(&checksum), out, on_progress)
        }
    }
}

/// Copies a checked `source` beside `out` and renames it.
fn copy(source: &Path, out: &Path, checksum: &Checksum) -> Result<(), DownloadError> {
    let differs = |source| DownloadError::NotTheWeights { source: Box::new(source) };
    checksum.check(source).map_err(differs)?;
    if out.exists() {
        return checksum
            .check(out)
            .map_err(|source| DownloadError::TargetDiffers { source: Box::new(source) });
    }
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory).map_err(IoError::write(directory))?;
    }
    let mut source = fs::File::open(source).map_err(IoError::read(source))?;
    atomic::write(out, Overwrite::Refuse, |file| std::io::copy(&mut source, file).map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_first_digits_of_their_checksum() {
        for weights in SamWeights::ALL {
            let digits = weights.file_name().trim_end_matches(".pth").rsplit('_').next().unwrap();
            assert_eq!(digits.len(), 6);
            assert!(weights.md5().len() == 32 && weights.md5().starts_with(digits), "{weights:?}");
        }
    }

    #[test]
    fn a_copy_is_checked_before_and_after() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("source"), "weights").unwrap();
        // `printf weights | md5sum`
        let checksum = Checksum::Md5("63f4f1e9b725370f459720575cd5f953".to_owned());
        copy(&path("source"), &path("new/out"), &checksum).unwrap();
        assert_eq!(fs::read(path("new/out")).unwrap(), b"weights");
        copy(&path("source"), &path("new/out"), &checksum).unwrap();
        fs::write(path("new/out"), "others").unwrap();
        let error = copy(&path("source"), &path("new/out"), &checksum).unwrap_err();
        assert!(matches!(error, DownloadError::TargetDiffers { .. }), "{error}");
        let other = Checksum::Md5("0".repeat(32));
        let error = copy(&path("source"), &path("b"), &other).unwrap_err();
        assert!(matches!(error, DownloadError::NotTheWeights { .. }) && !path("b").exists(), "{error}");
    }
}
