//! Where a dataset's files come from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sam3d_data::dataset::Dataset;

use super::unpack;
use crate::download::{self, Checksum};

/// The directory with the files of `dataset`: `source` itself, or what an archive held, which is unpacked below `out`. An
/// address is downloaded first; without `source` that of the dataset, if it has one.
///
/// # Errors
/// If there is nothing to be had without a login, a download fails, or an archive is not one to be unpacked.
pub(super) fn directory(dataset: &Dataset, source: Option<&str>, out: &Path, limit: u64) -> Result<PathBuf> {
    let archive = match (source, &dataset.download) {
        (Some(url), _) if download::is_url(url) => {
            let known = dataset.download.as_ref().filter(|known| known.url == url);
            fetch(dataset, url, known.map(|known| Checksum::Md5(known.md5.clone())), out)?
        }
        (Some(path), _) => PathBuf::from(path),
        (None, Some(known)) => {
            println!("about {} GB; with a copy at hand, stop this and name it as --source", known.gb);
            fetch(dataset, &known.url, Some(Checksum::Md5(known.md5.clone())), out)?
        }
        (None, None) => bail!(
            "--source is missing: {} ({}) is at {}. {} Then name its directory or archive as --source",
            dataset.title,
            dataset.licence,
            dataset.url,
            dataset.access
        ),
    };
    if archive.is_dir() || !archive.exists() {
        // A directory that is not there is for the search in it to report.
        return Ok(archive);
    }
    unpack::unpack(&archive, out, limit)
}

fn fetch(dataset: &Dataset, url: &str, checksum: Option<Checksum>, out: &Path) -> Result<PathBuf> {
    println!("{}, licence: {}. {}", dataset.title, dataset.licence, dataset.access);
    println!("to be cited: {}", dataset.citation);
    let name = url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fit) {
        bail!("{url}: expected the address of a file, as in https://host/name.tar");
    }
    let target = out.join("download").join(name);
    println!("downloading {url} to {}", target.display());
    download::fetch(url, checksum.as_ref(), &target)?;
    Ok(target)
}
