//! Where a dataset's files come from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sam3d_data::{
    dataset::Dataset,
    download::{self, Checksum},
    preparation,
};

use crate::progress::Bars;

/// The directory with the files of `dataset`: `source` itself, or the content of an archive, which is unpacked below `out`.
/// An address is downloaded first; without `source` that of the dataset, if it has one.
///
/// # Errors
/// If the dataset needs a login, a download fails, or an archive cannot be unpacked.
pub(crate) fn directory(
    dataset: &Dataset,
    source: Option<&str>,
    out: &Path,
    limit_bytes: u64,
    bars: &Bars,
) -> Result<PathBuf> {
    let archive = match (source, &dataset.download) {
        (Some(url), _) if download::is_url(url) => {
            let known = dataset.download.as_ref().filter(|known| known.url == url);
            fetch(dataset, url, known.map(|known| Checksum::Md5(known.md5.clone())), out, bars)?
        }
        (Some(path), _) => PathBuf::from(path),
        (None, Some(known)) => {
            bars.say(&format!(
                "about {} GB; if you have a copy, stop this and name it as --source",
                known.gb
            ));
            fetch(dataset, &known.url, Some(Checksum::Md5(known.md5.clone())), out, bars)?
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
        // A directory that does not exist is reported by the search in it.
        return Ok(archive);
    }
    Ok(preparation::unpack(&archive, out, limit_bytes, &|event| bars.show(event))?)
}

fn fetch(
    dataset: &Dataset,
    url: &str,
    checksum: Option<Checksum>,
    out: &Path,
    bars: &Bars,
) -> Result<PathBuf> {
    bars.say(&format!("{}, licence: {}. {}", dataset.title, dataset.licence, dataset.access));
    bars.say(&format!("to be cited: {}", dataset.citation));
    let target = out.join("download").join(download::file_name(url)?);
    download::fetch(url, checksum.as_ref(), &target, &|event| bars.show(event))?;
    Ok(target)
}
