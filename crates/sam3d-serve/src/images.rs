//! The images clients name, and those that were prepared lately.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use sam3d_geom::Preprocessing;
use sam3d_infer::{Image, Lru};
use sam3d_io::{IoError, ReadLimits};
use tokio::sync::Mutex as AsyncMutex;

use crate::{Config, refusal::Refusal, studies, studies::Study, uploads::Uploads};

/// An image as a client names it: a study of the listing or an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageName {
    Study(String),
    Upload(String),
}

/// Where a named image is.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) path: PathBuf,
    /// The file's name as its owner knows it.
    pub(crate) file_name: String,
}

impl Located {
    /// What a viewer shall call the file it gets: a DICOM series is sent as NIfTI.
    pub(crate) fn sent_name(&self) -> String {
        if self.path.is_dir() { format!("{}.nii", self.file_name) } else { self.file_name.clone() }
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
    /// Uploads that clients gave a name of their own, by that name.
    named: Mutex<BTreeMap<String, String>>,
    /// One image is read at a time, which bounds the memory that takes; who waits finds it prepared.
    reading: AsyncMutex<()>,
}

/// A file in the state it was read in: one that was replaced since is read again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Source {
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Images {
    pub(crate) fn new(config: &Config, preprocessing: Preprocessing) -> Self {
        Self {
            preprocessing,
            limits: ReadLimits { max_voxels: config.limits.voxels },
            prepared: Mutex::new(Lru::new(config.limits.image_cache_bytes)),
            named: Mutex::default(),
            reading: AsyncMutex::new(()),
        }
    }

    /// Bounds on a volume that is read.
    pub(crate) fn limits(&self) -> ReadLimits {
        self.limits
    }

    /// Calls the upload `id` by a client's `name` for it.
    pub(crate) fn call(&self, name: &str, id: String) {
        self.named().insert(name.to_owned(), id);
    }

    /// Every image that has a name: the studies, and the uploads that were given one.
    pub(crate) async fn known_names(
        &self,
        config: &Config,
        uploads: &Uploads,
    ) -> Result<BTreeMap<String, Known>, Refusal> {
        let mut known: BTreeMap<String, Known> =
            listed(config).await?.into_iter().map(|(id, study)| (id, Known::of_study(study))).collect();
        // A name whose upload has expired goes with it.
        self.named().retain(|name, id| {
            let Ok(upload) = uploads.get(id, false) else { return false };
            let ending = studies::ending(&upload.name);
            let located = Located { path: upload.path, file_name: upload.name };
            known.entry(name.clone()).or_insert(Known { stem: format!("upload-{id}"), ending, located });
            true
        });
        Ok(known)
    }

    /// The file of the image `name`, which then counts as used.
    pub(crate) async fn locate(
        &self,
        name: &ImageName,
        config: &Config,
        uploads: &Uploads,
    ) -> Result<Located, Refusal> {
        let upload = |id: &str| {
            let upload = uploads.get(id, true)?;
            Ok(Located { path: upload.path, file_name: upload.name })
        };
        match name {
            ImageName::Upload(id) => upload(id),
            ImageName::Study(id) => match listed(config).await?.remove(id) {
                Some(study) => Ok(Located { path: study.path, file_name: study.file_name }),
                None => {
                    let named = self.named().get(id).cloned();
                    named.map_or_else(
                        || Err(Refusal::not_found(format!("there is no study {id:?}"))),
                        |id| upload(&id),
                    )
                }
            },
        }
    }

    /// Waits for the turn to read a volume.
    pub(crate) async fn reading(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// The prepared image in the file `located`.
    pub(crate) async fn open(&self, located: Located) -> Result<Arc<Image>, Refusal> {
        let Located { path, file_name } = located;
        let source = source(path).await.map_err(|_| {
            Refusal::not_found(format!("{file_name}: the file is no longer there, or cannot be read"))
        })?;
        if let Some(image) = self.known(&source) {
            return Ok(image);
        }
        let _reading = self.reading().await;
        if let Some(image) = self.known(&source) {
            return Ok(image);
        }
        let (limits, preprocessing, path) = (self.limits, self.preprocessing, source.path.clone());
        let loaded = tokio::task::spawn_blocking(move || {
            load(&path, limits, &preprocessing).map_err(|error| Refusal::of_volume(&error, &path, &file_name))
        });
        let image = Arc::new(loaded.await.map_err(|error| Refusal::internal("read the volume", &error))??);
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.insert(source, Arc::clone(&image), image.bytes());
        Ok(image)
    }

    fn named(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, source: &Source) -> Option<Arc<Image>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }
}

/// Reads the volume at `path`. Its content is hashed here, so that the network's thread need not wait for it.
fn load(path: &Path, limits: ReadLimits, preprocessing: &Preprocessing) -> Result<Image, IoError> {
    let volume = sam3d_io::read(path, limits)?;
    let image = Image::new(volume, preprocessing)?.compact();
    image.sha256();
    Ok(image)
}

impl Known {
    fn of_study(study: Study) -> Self {
        let ending = studies::ending(&study.file_name);
        Self { stem: study.id, ending, located: Located { path: study.path, file_name: study.file_name } }
    }
}

/// The studies there are; none without a directory.
pub(crate) async fn listed(config: &Config) -> Result<BTreeMap<String, Study>, Refusal> {
    let Some(directory) = config.studies.clone() else { return Ok(BTreeMap::new()) };
    let labels = config.labels.clone();
    tokio::task::spawn_blocking(move || studies::list(&directory, labels.as_deref()))
        .await
        .map_err(|error| Refusal::internal("list the studies", &error))?
        .map_err(|error| Refusal::internal("list the studies", &error))
}

async fn source(path: PathBuf) -> std::io::Result<Source> {
    let metadata = tokio::fs::metadata(&path).await?;
    Ok(Source { path, modified: metadata.modified().ok(), bytes: metadata.len() })
}
