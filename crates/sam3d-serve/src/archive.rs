//! Series of a DICOMweb archive as studies: fetched when they are named for the first time, and read from the cache on disk.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use sam3d_dicomweb::{
    Archive, CachedSeries, DicomWebError, FetchProgress, SeriesCache, SeriesRecord, SeriesSearch,
    StoreReport, Uid,
};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use crate::refusal::{Refusal, sentence};

/// Requests to the archive at a time; others wait.
const AT_ONCE: usize = 4;
/// How long the list of studies waits for the archive's part.
const LISTING: Duration = Duration::from_secs(5);
/// How long a series counts as unchanged at the archive after it was asked.
const UNCHANGED: Duration = Duration::from_secs(300);
/// Series that are remembered as unchanged.
const MOST_REMEMBERED: usize = 64;
/// Series in the list of studies.
pub(crate) const MOST_LISTED: usize = 200;

/// An archive whose series are offered.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// The archive.
    pub archive: Archive,
    /// Where fetched series are kept.
    pub cache: SeriesCache,
    /// Whether clients may see and search patients and dates.
    pub shows_patients: bool,
}

/// The archive, and what is known of its series.
#[derive(Debug)]
pub(crate) struct ArchiveStudies {
    config: ArchiveConfig,
    permits: Arc<Semaphore>,
    shared: Arc<Fetches>,
}

/// What the threads of fetches share.
#[derive(Debug, Default)]
struct Fetches {
    /// Series that are at hand, and when the archive was asked for them.
    asked: Mutex<HashMap<Uid, (Instant, Arc<CachedSeries>)>>,
    /// Who fetches a series; others wait for it.
    turns: Mutex<HashMap<Uid, Arc<Mutex<()>>>>,
    progress: Mutex<BTreeMap<Uid, FetchProgress>>,
    is_stopping: AtomicBool,
}

/// How far a fetch is, as clients are told.
#[derive(Debug, Serialize)]
pub(crate) struct Fetching {
    series: Uid,
    instances: usize,
    expected: Option<usize>,
    bytes: u64,
}

impl ArchiveStudies {
    pub(crate) fn new(config: ArchiveConfig) -> Self {
        Self { config, permits: Arc::new(Semaphore::new(AT_ONCE)), shared: Arc::default() }
    }

    pub(crate) fn shows_patients(&self) -> bool {
        self.config.shows_patients
    }

    /// The series that `search` describes.
    pub(crate) async fn search(&self, search: SeriesSearch) -> Result<Vec<SeriesRecord>, Refusal> {
        let archive = self.config.archive.clone();
        self.ask("list the archive's series", move || archive.search(&search)).await
    }

    /// The CT series for the list of studies; none, with a line in the log, if the archive does not answer soon.
    pub(crate) async fn listed(&self) -> Vec<SeriesRecord> {
        let search = SeriesSearch {
            modality: Some("CT".to_owned()),
            with_patient: self.config.shows_patients,
            limit: MOST_LISTED,
            ..SeriesSearch::default()
        };
        match tokio::time::timeout(LISTING, self.search(search)).await {
            Ok(found) => found.unwrap_or_default(),
            Err(_) => {
                tracing::warn!("the archive did not list its series within {} s", LISTING.as_secs());
                Vec::new()
            }
        }
    }

    /// The series that clients call `name`, on disk.
    pub(crate) async fn series(&self, name: &str) -> Result<Arc<CachedSeries>, Refusal> {
        let missing = |_| Refusal::not_found(format!("there is no study {name:?}"));
        let uid: Uid = name.parse().map_err(missing)?;
        if let Some(series) = self.shared.unchanged(&uid) {
            return Ok(series);
        }
        let (config, shared) = (self.config.clone(), Arc::clone(&self.shared));
        self.ask("fetch the series", move || shared.fetch(&config, &uid)).await
    }

    /// Stores a DICOM file in a study of the archive.
    pub(crate) async fn store(&self, study: Uid, file: Vec<u8>) -> Result<StoreReport, Refusal> {
        let archive = self.config.archive.clone();
        self.ask("store the object", move || archive.store(&study, &[file])).await
    }

    /// How far the series are that are being fetched.
    pub(crate) fn fetching(&self) -> Vec<Fetching> {
        let progress = lock(&self.shared.progress);
        let tell = |(series, progress): (&Uid, &FetchProgress)| {
            let FetchProgress { instances, expected, bytes } = *progress;
            Fetching { series: series.clone(), instances, expected, bytes }
        };
        progress.iter().map(tell).collect()
    }

    /// Calls off what is being fetched.
    pub(crate) fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
    }

    /// The result of `work`, which blocks: on a thread that does not hold up a server that stops. What is fetched for a client
    /// that goes away is there when it comes again.
    async fn ask<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce() -> Result<T, DicomWebError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| Refusal::internal(action, &error))?;
        let (reply, result) = oneshot::channel();
        let started = thread::Builder::new().name("archive".to_owned()).spawn(move || {
            let _nobody_waits = reply.send(work());
            drop(permit);
        });
        started.map_err(|error| Refusal::internal(action, &error))?;
        let result = result.await.map_err(|error| Refusal::internal(action, &error))?;
        result.map_err(|error| refusal(&error, action))
    }
}

impl Fetches {
    /// The series if the archive was asked for it lately.
    fn unchanged(&self, uid: &Uid) -> Option<Arc<CachedSeries>> {
        let mut asked = lock(&self.asked);
        asked.retain(|_, (when, _)| when.elapsed() < UNCHANGED);
        asked.get(uid).map(|(_, series)| Arc::clone(series))
    }

    fn fetch(&self, config: &ArchiveConfig, uid: &Uid) -> Result<Arc<CachedSeries>, DicomWebError> {
        let turn = Arc::clone(lock(&self.turns).entry(uid.clone()).or_default());
        let held = lock(&turn);
        let result = match self.unchanged(uid) {
            Some(series) => Ok(series),
            None => self.fetch_now(config, uid),
        };
        lock(&self.progress).remove(uid);
        drop(held);
        let mut turns = lock(&self.turns);
        // Its own and the map's: nobody else waits.
        if Arc::strong_count(&turn) <= 2 {
            turns.remove(uid);
        }
        result
    }

    fn fetch_now(&self, config: &ArchiveConfig, uid: &Uid) -> Result<Arc<CachedSeries>, DicomWebError> {
        let record = config.archive.series(uid, None)?;
        let mut tell = |progress| {
            lock(&self.progress).insert(uid.clone(), progress);
            if self.is_stopping.load(Ordering::Acquire) { Err(DicomWebError::CalledOff) } else { Ok(()) }
        };
        let series = Arc::new(config.cache.fetch(&config.archive, &record, &mut tell)?);
        let mut asked = lock(&self.asked);
        if asked.len() >= MOST_REMEMBERED {
            let oldest = asked.iter().min_by_key(|(_, (when, _))| *when).map(|(uid, _)| uid.clone());
            oldest.and_then(|uid| asked.remove(&uid));
        }
        asked.insert(uid.clone(), (Instant::now(), Arc::clone(&series)));
        Ok(series)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a client is told. The log hears what kind of fault it is, and nothing that says whose images they are.
fn refusal(error: &DicomWebError, action: &'static str) -> Refusal {
    let (status, kind) = match error {
        DicomWebError::SeriesNotFound { .. } | DicomWebError::UidInvalid { .. } => {
            (StatusCode::NOT_FOUND, "it does not have the series")
        }
        DicomWebError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "it sends more than is allowed"),
        DicomWebError::Cache { source, .. } => {
            return Refusal::internal("use the cache of the archive's series", source);
        }
        DicomWebError::CalledOff => return Refusal::busy("the server is stopping"),
        DicomWebError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, "it takes too long"),
        DicomWebError::Unreachable { .. } => (StatusCode::BAD_GATEWAY, "it cannot be reached"),
        DicomWebError::AccessRefused { .. } => (StatusCode::BAD_GATEWAY, "it refuses access"),
        _ => (StatusCode::BAD_GATEWAY, "its answer cannot be used"),
    };
    tracing::warn!("the archive did not {action}: {kind}");
    Refusal::new(status, sentence(error))
}
