//! Series from a DICOMweb archive, and objects stored beside them.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sam3d_dicomweb::{Archive, ArchiveLimits, CachedSeries, SeriesCache, Token, Uid, sop_instance_uid};

use crate::args::DicomWebArgs;

/// An archive, and the series of it on disk.
pub struct OpenArchive {
    /// The archive.
    pub archive: Archive,
    /// Where fetched series are kept.
    pub cache: SeriesCache,
}

impl OpenArchive {
    /// The archive that the arguments name; `None` if they name none.
    ///
    /// # Errors
    /// If its address or token is invalid, or the cache cannot be made.
    pub fn open(args: &DicomWebArgs) -> anyhow::Result<Option<Self>> {
        let Some(url) = &args.dicomweb else { return Ok(None) };
        let token = args.dicomweb_token_file.as_deref().map(read_token).transpose()?;
        let archive = Archive::new(url, token, ArchiveLimits::default())?;
        let root = match &args.dicomweb_cache {
            Some(directory) => directory.clone(),
            None => sam3d_commands::cache_directory()?.join("dicomweb"),
        };
        let cache = SeriesCache::new(&root, args.dicomweb_cache_size.saturating_mul(1 << 20))?;
        Ok(Some(Self { archive, cache }))
    }

    /// The series of this UID, fetched unless it is in the cache.
    ///
    /// # Errors
    /// If a UID is invalid or the archive does not send the series.
    pub fn fetch(&self, series: &str, study: Option<&str>) -> anyhow::Result<CachedSeries> {
        let study: Option<Uid> = study.map(str::parse).transpose()?;
        let record = self.archive.series(&series.parse()?, study.as_ref())?;
        let bar = ProgressBar::with_draw_target(
            record.instances.map(|count| count as u64),
            ProgressDrawTarget::stderr(),
        );
        // With an invalid template the bar has its default style.
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} files, {msg}, {eta} left") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        let fetched = self.cache.fetch(&self.archive, &record, &mut |progress| {
            bar.set_position(progress.instances as u64);
            bar.set_message(format!("{} MiB", progress.bytes >> 20));
            Ok(())
        });
        bar.finish_and_clear();
        Ok(fetched?)
    }

    /// Stores the DICOM file `path` in the archive's study `study`, and gives its SOP Instance UID.
    ///
    /// # Errors
    /// If the archive cannot be asked, or does not store it.
    pub fn store(&self, study: &Uid, path: &Path) -> anyhow::Result<Uid> {
        let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let instance = sop_instance_uid(&file)?;
        let report = self.archive.store(study, &[file])?;
        if let Some(failed) = report.failed.first() {
            bail!("the archive has not stored {}: {failed}", path.display());
        }
        let Some(stored) = report.stored.iter().find(|stored| stored.instance == instance) else {
            bail!("the archive does not list {} among what it has stored", path.display());
        };
        if let Some(warning) = stored.warning {
            tracing::warn!("the archive has stored the object with the warning {warning:04X}");
        }
        Ok(instance)
    }
}

fn read_token(path: &Path) -> anyhow::Result<Token> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Token::new(&text).with_context(|| path.display().to_string())
}
