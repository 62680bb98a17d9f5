//! The prepared cases of a split, by number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sam3d_geom::Preprocessing;

use crate::{
    cache::{CachedCase, VolumeCache},
    dataset::{Case, CaseId},
    prepared::{PreparedCase, PreparedVoxels},
};
use sam3d_io::IoError;

/// Where prepared volumes are kept.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    /// The cache on disk; `None` keeps cases in memory only.
    pub cache: Option<Arc<VolumeCache>>,
    /// Memory in bytes for cases that the cache does not hold. Cases without room are prepared at every request.
    pub memory_bytes: usize,
}

/// The cases of a split, prepared at the first request and kept.
///
/// The place where they are kept does not affect results. Threads may share a store.
pub struct CaseStore {
    cases: Vec<Case>,
    target_class: u32,
    preprocessing: Preprocessing,
    cache: Option<Arc<VolumeCache>>,
    kept: Mutex<LoadedCases>,
}

struct LoadedCases {
    cases: Vec<Option<Arc<dyn PreparedVoxels>>>,
    bytes_left: usize,
}

impl CaseStore {
    /// A store for `cases` with this preparation.
    pub fn new(cases: Vec<Case>, target_class: u32, preprocessing: Preprocessing, storage: Storage) -> Self {
        let kept = LoadedCases { cases: vec![None; cases.len()], bytes_left: storage.memory_bytes };
        Self { cases, target_class, preprocessing, cache: storage.cache, kept: Mutex::new(kept) }
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// The name of case number `index`.
    ///
    /// # Panics
    /// If `case` is out of range, like indexing.
    pub fn id(&self, index: usize) -> &CaseId {
        &self.cases[index].id
    }

    /// How volumes are prepared.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Case number `index`, kept or prepared now.
    ///
    /// # Errors
    /// As [`PreparedCase::read`].
    ///
    /// # Panics
    /// If `case` is out of range, like indexing.
    pub fn get(&self, index: usize) -> Result<Arc<dyn PreparedVoxels>, IoError> {
        if let Some(case) = &self.kept().cases[index] {
            return Ok(Arc::clone(case));
        }
        let case = &self.cases[index];
        let held = match &self.cache {
            Some(cache) => cache.get(case, self.target_class, &self.preprocessing)?,
            None => {
                let prepared = PreparedCase::read(case, self.target_class, &self.preprocessing)?;
                CachedCase::InMemory(Box::new(prepared))
            }
        };
        let (voxels, bytes): (Arc<dyn PreparedVoxels>, usize) = match held {
            CachedCase::OnDisk(entry) => (entry.into(), 0),
            CachedCase::InMemory(case) => {
                let bytes = case.bytes();
                (Arc::from(case as Box<dyn PreparedVoxels>), bytes)
            }
        };
        let mut kept = self.kept();
        if kept.cases[index].is_none() && bytes <= kept.bytes_left {
            kept.bytes_left -= bytes;
            kept.cases[index] = Some(Arc::clone(&voxels));
        }
        Ok(voxels)
    }

    /// Discards what is kept of case number `index` if `error`, from reading it, is the cache's fault: the case can
    /// be requested again, and is recreated. `false` if the fault lies elsewhere.
    pub(crate) fn discard(&self, index: usize, error: &IoError) -> bool {
        let discarded = self.cache.as_ref().is_some_and(|cache| cache.discard(error));
        if discarded {
            self.kept().cases[index] = None;
        }
        discarded
    }

    /// The kept cases. A poisoned lock is harmless: entries are written completely.
    fn kept(&self) -> MutexGuard<'_, LoadedCases> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for CaseStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaseStore").field("cases", &self.cases.len()).finish_non_exhaustive()
    }
}
