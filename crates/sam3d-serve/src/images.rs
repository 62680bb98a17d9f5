//! The images clients name, and those that were prepared lately.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use sam3d_dicomweb::CachedSeries;
use sam3d_geom::Preprocessing;
use sam3d_infer::{Image, Lru};
use sam3d_io::{IoError, ReadLimits, Volume};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit};

use crate::{
    Config,
    archive::ArchiveStudies,
    memory::Memory,
    names::{Asker, Names},
    refusal::Refusal,
    series::Surveys,
    source::Source,
    studies,
    studies::Study,
    uploads::{UploadInfo, Uploads},
};

/// An image as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageName {
    /// A study of the listing.
    Study(String),
    /// An upload by its id.
    Upload(String),
    /// One of the DICOM series of an upload.
    Series { upload: String, uid: String },
    /// What a client of MONAI Label calls an upload, else a study.
    Called(String, Asker),
}

/// Where a named image is.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    /// Series Instance UID, if the directory holds several series.
    pub(crate) series: Option<String>,
    /// The file's name as its owner knows it.
    pub(crate) file_name: String,
    /// Keeps a series of the archive on disk.
    pub(crate) kept: Option<Arc<CachedSeries>>,
}

impl Located {
    /// What a viewer shall call the file it gets: a DICOM series is sent as NIfTI.
    pub(crate) fn sent_name(&self) -> String {
        match &self.series {
            Some(uid) => format!("{uid}.nii"),
            None if self.path.is_dir() => format!("{}.nii", self.file_name),
            None => self.file_name.clone(),
        }
    }
}

/// An image that has a name.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// What files that belong to it are called: from the listing or generated, never a client's word.
    pub(crate) stem: String,
    pub(crate) ending: &'static str,
    pub(crate) located: Located,
}

/// Prepared images by file, and the way from a name to a file.
#[derive(Debug)]
pub(crate) struct Images {
    preprocessing: Preprocessing,
    limits: ReadLimits,
    prepared: Mutex<Lru<Source, Arc<Image>>>,
    /// What clients call their uploads.
    pub(crate) names: Names,
    /// The series of the studies' directories.
    surveys: Arc<Surveys>,
    /// Series that lie elsewhere until they are named.
    archive: Option<ArchiveStudies>,
    /// Memory for reading.
    memory: Arc<Memory>,
    /// Volumes that are being read: who waits for one finds it prepared.
    turns: Mutex<HashMap<PathBuf, Weak<AsyncMutex<()>>>>,
}

/// Memory for each voxel of a volume while it is read: as `f32`, as it is kept, and what a reader needs beside it.
const VOXEL_BYTES: u64 = 9;

impl Images {
    pub(crate) fn new(
        config: &Config,
        preprocessing: Preprocessing,
        memory: Arc<Memory>,
        names: Names,
    ) -> Self {
        Self {
            preprocessing,
            limits: ReadLimits { max_voxels: config.limits.voxels },
            prepared: Mutex::new(Lru::new(config.limits.image_cache_bytes)),
            names,
            surveys: Arc::default(),
            archive: config.archive.clone().map(ArchiveStudies::new),
            memory,
            turns: Mutex::default(),
        }
    }

    /// The studies there are; none without a directory.
    pub(crate) async fn listed(&self, config: &Config) -> Result<BTreeMap<String, Study>, Refusal> {
        let Some(directory) = config.studies.clone() else { return Ok(BTreeMap::new()) };
        let (labels, surveys) = (config.labels.clone(), Arc::clone(&self.surveys));
        tokio::task::spawn_blocking(move || studies::list(&directory, labels.as_deref(), &surveys))
            .await
            .map_err(|error| Refusal::internal("list the studies", &error))?
            .map_err(|error| Refusal::internal("list the studies", &error))
    }

    /// The archive, if there is one.
    pub(crate) fn archive(&self) -> Option<&ArchiveStudies> {
        self.archive.as_ref()
    }

    /// The study `id`: of the directory, by its name there or its Series Instance UID; else of the archive, which then sends it.
    async fn study(&self, id: &str, config: &Config) -> Result<Known, Refusal> {
        let mut listed = self.listed(config).await?;
        let has_uid = |study: &Study| study.series.as_deref() == Some(id);
        let of_series = || listed.iter().find(|(_, study)| has_uid(study)).map(|(name, _)| name.clone());
        let name = if listed.contains_key(id) { Some(id.to_owned()) } else { of_series() };
        if let Some(study) = name.and_then(|name| listed.remove(&name)) {
            return Ok(Known::of_study(study));
        }
        match &self.archive {
            Some(archive) => archive.series(id).await.map(Known::of_archive),
            None => Err(Refusal::not_found(format!("there is no study {id:?}"))),
        }
    }

    /// How images are prepared.
    pub(crate) fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Every image that `asker` can name: the studies, and the uploads it gave a name.
    pub(crate) async fn known_names(
        &self,
        config: &Config,
        uploads: &Uploads,
        asker: &Asker,
    ) -> Result<BTreeMap<String, Known>, Refusal> {
        let mut known: BTreeMap<String, Known> =
            self.listed(config).await?.into_iter().map(|(id, study)| (id, Known::of_study(study))).collect();
        for name in self.names.of(asker) {
            let Ok(Some(id)) = self.names.find(&name, asker) else { continue };
            match uploads.get(&id, false) {
                Ok(upload) => drop(known.insert(name, Known::of_upload(upload))),
                Err(_) => drop(known.remove(&name)),
            }
        }
        Ok(known)
    }

    /// The image that `asker` calls `name`.
    pub(crate) async fn known(
        &self,
        name: &str,
        (config, uploads): (&Config, &Uploads),
        asker: &Asker,
    ) -> Result<Known, Refusal> {
        if let Some(id) = self.names.find(name, asker)? {
            return uploads.get(&id, true).map(Known::of_upload);
        }
        self.study(name, config).await
    }

    /// The image `name`, which then counts as used.
    pub(crate) async fn named(
        &self,
        name: &ImageName,
        config: &Config,
        uploads: &Uploads,
    ) -> Result<Known, Refusal> {
        Ok(match name {
            ImageName::Upload(id) => Known::of_upload(uploads.get(id, true)?),
            ImageName::Series { upload, uid } => {
                let mut known = Known::of_upload(uploads.get(upload, true)?);
                known.stem = format!("{}-{uid}", known.stem);
                known.located.series = Some(uid.clone());
                known
            }
            ImageName::Study(id) => self.study(id, config).await?,
            ImageName::Called(name, asker) => self.known(name, (config, uploads), asker).await?,
        })
    }

    /// The file of the image `name`, which then counts as used.
    pub(crate) async fn locate(
        &self,
        name: &ImageName,
        config: &Config,
        uploads: &Uploads,
    ) -> Result<Located, Refusal> {
        Ok(self.named(name, config, uploads).await?.located)
    }

    /// The lock of those who read the volume at `path`.
    fn turn(&self, path: &Path) -> Arc<AsyncMutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let known = turns.get(path).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::default();
            turns.insert(path.to_owned(), Arc::downgrade(&turn));
            turn
        })
    }

    /// Memory for reading a volume of `voxels`.
    pub(crate) async fn memory_of(&self, voxels: u64) -> Result<OwnedSemaphorePermit, Refusal> {
        self.memory.take(voxels.saturating_mul(VOXEL_BYTES)).await
    }

    /// The prepared image in the file `located`.
    pub(crate) async fn open(&self, located: Located) -> Result<Arc<Image>, Refusal> {
        // Held until the volume is read.
        let Located { path, series, file_name, kept: _kept } = located;
        let source = Source::of(path, series).await.map_err(|_| {
            Refusal::not_found(format!("{file_name}: the file is no longer there, or cannot be read"))
        })?;
        if let Some(image) = self.prepared(&source) {
            return Ok(image);
        }
        let turn = self.turn(&source.path);
        let _turn = turn.lock().await;
        if let Some(image) = self.prepared(&source) {
            return Ok(image);
        }
        let (limits, preprocessing) = (self.limits, self.preprocessing);
        let (path, series) = (source.path.clone(), source.series.clone());
        let sizing = tokio::task::spawn_blocking({
            let (path, series) = (path.clone(), series.clone());
            move || voxels(&path, series.as_deref())
        });
        let voxels = sizing.await.map_err(|error| Refusal::internal("read the volume", &error))?;
        // What is beyond the limit is refused by the reader, which needs no memory for it.
        let needed = if voxels > limits.max_voxels as u64 { 0 } else { voxels };
        let memory = self.memory_of(needed).await?;
        let loaded = tokio::task::spawn_blocking(move || {
            load((&path, series.as_deref()), limits, &preprocessing)
                .map_err(|error| Refusal::of_volume(&error, &path, &file_name))
        });
        let image = Arc::new(loaded.await.map_err(|error| Refusal::internal("read the volume", &error))??);
        drop(memory);
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.insert(source, Arc::clone(&image), image.bytes());
        Ok(image)
    }

    fn prepared(&self, source: &Source) -> Option<Arc<Image>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }
}

/// The voxels that the header of the volume at `path` claims; 0 if it cannot be read, which its reader will say.
fn voxels(path: &Path, series: Option<&str>) -> u64 {
    match read(path, series, ReadLimits { max_voxels: 0 }) {
        Err(IoError::TooLarge { voxels, .. }) => u64::try_from(voxels).unwrap_or(u64::MAX),
        _ => 0,
    }
}

/// Reads the volume at `path`. Its content is hashed here, so that the network's thread need not wait for it.
fn load(
    (path, series): (&Path, Option<&str>),
    limits: ReadLimits,
    preprocessing: &Preprocessing,
) -> Result<Image, IoError> {
    let volume = read(path, series, limits)?;
    let image = Image::new(volume, preprocessing).map_err(|error| error.of_file(path))?.compact();
    image.sha256();
    Ok(image)
}

fn read(path: &Path, series: Option<&str>, limits: ReadLimits) -> Result<Volume, IoError> {
    match series {
        Some(series) => sam3d_io::dicom::read(path, Some(series), limits),
        None => sam3d_io::read(path, limits),
    }
}

impl Known {
    fn of_study(study: Study) -> Self {
        let ending = studies::ending(&study.file_name);
        let Study { id, file_name, path, series, .. } = study;
        Self { stem: id, ending, located: Located { path, series, file_name, kept: None } }
    }

    fn of_upload(upload: UploadInfo) -> Self {
        let ending = studies::ending(&upload.name);
        // By content: the same volume has the same labels, whoever sends it under whatever name.
        let stem = format!("upload-{}", &upload.sha256[..32]);
        let located = Located { path: upload.path, series: None, file_name: upload.name, kept: None };
        Self { stem, ending, located }
    }

    fn of_archive(series: Arc<CachedSeries>) -> Self {
        let uid = series.record().series.to_string();
        let located = Located {
            path: series.directory().to_owned(),
            series: Some(uid.clone()),
            file_name: uid.clone(),
            kept: Some(series),
        };
        Self { stem: uid, ending: "", located }
    }
}
