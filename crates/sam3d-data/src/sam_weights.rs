//! `cargo xtask fetch-weights`: the weights of Segment Anything, as its authors publish them.
//!
//! The addresses are those in the README of <https://github.com/facebookresearch/segment-anything>. A file's name ends in
//! the first six digits of its MD5; the digits in full are those that programs which download the files check.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    download::{self, Checksum},
    workspace,
};

const PUBLISHED_AT: &str = "https://dl.fbaipublicfiles.com/segment_anything";

/// Arguments of `cargo xtask fetch-weights`.
#[derive(Debug, Args)]
pub(crate) struct FetchWeightsArguments {
    /// Which weights
    weights: Weights,
    /// A copy at hand or another address, instead of the published one; its checksum must be the published one
    #[arg(long, value_name = "FILE|URL")]
    source: Option<String>,
    /// File to write [default: weights/ in the workspace, under the published name]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// SAM's three sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Weights {
    /// ViT-B, 0.4 GB
    SamVitB,
    /// ViT-L, 1.2 GB
    SamVitL,
    /// ViT-H, 2.6 GB
    SamVitH,
}

impl Weights {
    fn file_name(self) -> &'static str {
        match self {
            Self::SamVitB => "sam_vit_b_01ec64.pth",
            Self::SamVitL => "sam_vit_l_0b3195.pth",
            Self::SamVitH => "sam_vit_h_4b8939.pth",
        }
    }

    fn md5(self) -> &'static str {
        match self {
            Self::SamVitB => "01ec64d29a2fca3f0661936605ae66f8",
            Self::SamVitL => "0b3195507c641ddb6910d2bb5adee89c",
            Self::SamVitH => "4b8939a88964f0f4ff5f5b2642c598a6",
        }
    }
}

/// Puts the weights in place, unless they are.
///
/// # Errors
/// If they cannot be had or written, or are not the published ones.
pub(crate) fn run(arguments: &FetchWeightsArguments) -> Result<()> {
    let weights = arguments.weights;
    let default_out = || workspace::root().join("weights").join(weights.file_name());
    let out = arguments.out.clone().unwrap_or_else(default_out);
    if out.is_dir() {
        bail!("{} is a directory; name a file", out.display());
    }
    let checksum = Checksum::Md5(weights.md5().to_owned());
    match &arguments.source {
        Some(source) if !download::is_url(source) => copy(Path::new(source), &out, &checksum)?,
        Some(url) => download::fetch(url, Some(&checksum), &out)?,
        None => {
            download::fetch(&format!("{PUBLISHED_AT}/{}", weights.file_name()), Some(&checksum), &out)?;
        }
    }
    println!("{}: in place, {checksum}", out.display());
    Ok(())
}

/// Copies a checked `source` beside `out` and renames it.
fn copy(source: &Path, out: &Path, checksum: &Checksum) -> Result<()> {
    checksum.check(source).context("these are not the published weights")?;
    if out.exists() {
        return checksum.check(out).context("remove the file to put the copy in its place");
    }
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let write = |file: &mut dyn std::io::Write| -> std::io::Result<()> {
        std::io::copy(&mut fs::File::open(source)?, file).map(drop)
    };
    sam3d_io::atomic::write(out, sam3d_io::atomic::Overwrite::Refuse, |file| write(file))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_first_digits_of_their_checksum() {
        for weights in Weights::value_variants() {
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
        let error = format!("{:#}", copy(&path("source"), &path("new/out"), &checksum).unwrap_err());
        assert!(error.contains("remove the file"), "{error}");
        let other = Checksum::Md5("0".repeat(32));
        let error = format!("{:#}", copy(&path("source"), &path("b"), &other).unwrap_err());
        assert!(error.contains("not the published weights") && !path("b").exists(), "{error}");
    }
}
