//! Prepared volumes on disk, so that a volume is resampled once, not in every epoch and every run.
//!
//! An entry is a file named after the SHA-256 of everything that affects it: the content of image and label, the target class,
//! spacing, orientation and clip range, and the version of the program. A changed file, description or program therefore
//! never uses an old entry. Whether a file has changed is seen from its size, times and inode; only then is it read
//! again to be hashed.
//!
//! Entries are cut into bricks of 32 x 32 x 32 voxels, each with a checksum, and bricks of one value take no space. A crop
//! reads the bricks it touches through ordinary reads, which the system's page cache serves from memory as it would a
//! mapping; unlike a mapping, a file that another process truncates is an error and does not end the program.
//!
//! Any number of threads and processes may share a cache: an entry appears whole or not at all, and one of them makes it
//! while the others wait. A damaged or missing entry is recreated. The directory may be removed at any time.

mod bricks;
mod entry;
mod key;
mod space;

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use sam3d_geom::Preprocessing;

use self::{entry::Entry, key::FileHashes};
use crate::{
    dataset::Case,
    prepared::{PreparedCase, PreparedVoxels},
};
use sam3d_io::IoError;

/// Ending of an entry's name.
const ENDING: &str = "volume";
/// Marks a directory that backups leave out (<https://bford.info/cachedir/>).
const TAG: (&str, &str) = (
    "CACHEDIR.TAG",
    "Signature: 8a477f597d28d172789f06886806bc55\n# Volumes prepared by sam3d. This directory may be removed at any time.\n",
);

/// A directory of prepared volumes.
#[derive(Debug)]
pub struct VolumeCache {
    directory: PathBuf,
    stamps: FileHashes,
    limit_bytes: u64,
    /// Keys that this process uses, which it does not remove to make room.
    used: Mutex<BTreeSet<String>>,
    /// Held while a case is prepared: one at a time, because that takes several times the memory of the result.
    preparing: Mutex<()>,
}

/// A case read from the cache.
pub(crate) enum CachedCase {
    /// Its voxels stay on the disk.
    OnDisk(Box<dyn PreparedVoxels>),
    /// There was no room for it.
    InMemory(Box<PreparedCase>),
}

impl VolumeCache {
    /// The cache in `directory`, which is created if missing. It grows to about `limit_bytes`: entries that have not been
    /// used for longest make room for new ones, but none that this process uses.
    ///
    /// # Errors
    /// [`IoError::Write`] if the directory cannot be created or written to.
    pub fn open(directory: &Path, limit_bytes: u64) -> Result<Self, IoError> {
        let stamps = directory.join("stamps");
        let made = fs::create_dir_all(&stamps).and_then(|()| fs::write(directory.join(TAG.0), TAG.1));
        made.map_err(IoError::write(directory))?;
        space::remove_abandoned(directory);
        space::remove_abandoned(&stamps);
        Ok(Self {
            directory: directory.to_owned(),
            stamps: FileHashes::new(stamps),
            limit_bytes,
            used: Mutex::default(),
            preparing: Mutex::default(),
        })
    }

    /// The prepared `case`, from its entry, which is created if missing.
    ///
    /// # Errors
    /// [`IoError`] if the case's files cannot be read or prepared. What is wrong with the cache is logged and costs time
    /// only.
    pub(crate) fn get(
        &self,
        case: &Case,
        target_class: u32,
        preprocessing: &Preprocessing,
    ) -> Result<CachedCase, IoError> {
        let key = self.stamps.key(case, target_class, preprocessing)?;
        let path = self.directory.join(&key).with_extension(ENDING);
        lock(&self.used).insert(key.clone());
        if let Some(entry) = existing(&path, &key) {
            return Ok(CachedCase::OnDisk(Box::new(entry)));
        }
        // In this order: while this thread waits for another process, others of this process prepare other cases.
        let _others_wait = KeyLock::acquire(path.with_extension("lock"));
        let _one_at_a_time = lock(&self.preparing);
        // Another thread or process may have made it since.
        if let Some(entry) = existing(&path, &key) {
            return Ok(CachedCase::OnDisk(Box::new(entry)));
        }
        let prepared = PreparedCase::read(case, target_class, preprocessing)?;
        if !space::make_room(&self.directory, self.limit_bytes, prepared.bytes() as u64, &lock(&self.used)) {
            tracing::warn!(case = %case.id, limit_bytes = self.limit_bytes, cache = %self.directory.display(),
                "no room in the cache: the case is prepared again whenever memory has no room for it either");
            return Ok(CachedCase::InMemory(Box::new(prepared)));
        }
        match entry::write(&path, &key, &prepared).and_then(|()| Entry::open(&path, &key)) {
            Ok(entry) => Ok(CachedCase::OnDisk(Box::new(entry))),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(case = %case.id, %error, cause, "the cache takes no entry: the case is kept in memory");
                Ok(CachedCase::InMemory(Box::new(prepared)))
            }
        }
    }

    /// Removes the entry that `error` is about; `false` if it is about none.
    pub(crate) fn discard(&self, error: &IoError) -> bool {
        let (IoError::CacheDamaged { path, .. } | IoError::Read { path, .. }) = error else { return false };
        let of_this_cache =
            path.parent() == Some(&self.directory) && path.extension().is_some_and(|e| e == ENDING);
        if of_this_cache {
            tracing::warn!(%error, "an entry of the cache is damaged and is recreated");
            // It may be gone already, which is as good.
            let _ = fs::remove_file(path);
        }
        of_this_cache
    }
}

/// The entry at `path`, marked as used; `None` if it is missing or damaged.
fn existing(path: &Path, key: &str) -> Option<Entry> {
    match Entry::open(path, key) {
        Ok(entry) => {
            // Only the order in which entries make room depends on it.
            let _ = OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|file| file.set_modified(SystemTime::now()));
            Some(entry)
        }
        Err(IoError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, "an entry of the cache is damaged and is recreated");
            None
        }
    }
}

/// Locks a mutex. After a panic its content is still consistent: nothing is half done while it is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to create an entry, among all processes. On a file system without locks two may create it, which takes
/// time twice and gives the same.
struct KeyLock {
    path: PathBuf,
    _file: Option<File>,
}

impl KeyLock {
    fn acquire(path: PathBuf) -> Self {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).ok();
        let file = file.filter(|file| file.lock().is_ok());
        Self { path, _file: file }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use ndarray::Array3;
    use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Spacing};
    use sam3d_io::{Grid, atomic::Overwrite, nifti};

    use super::*;
    use crate::dataset::CaseId;

    fn write_case(directory: &Path, name: &str, value: i16) -> Case {
        let affine = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let grid = Grid::from_affine([4; 3], Affine::new(affine).unwrap()).unwrap();
        let path = directory.join(name).with_extension("nii");
        nifti::write(&path, Array3::from_elem([4; 3], value).view(), &grid, Overwrite::Refuse).unwrap();
        Case {
            id: CaseId::new(name).unwrap(),
            image: path.clone(),
            label: path,
            label_on_image_voxels: false,
        }
    }

    #[test]
    fn waiting_for_another_process_stops_no_other_case() {
        let directory = tempfile::tempdir().unwrap();
        let [awaited, free] = [1, 2].map(|n| write_case(directory.path(), &format!("case_{n}"), n));
        let preprocessing = Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 40.0).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        };
        let cache = VolumeCache::open(&directory.path().join("cache"), u64::MAX).unwrap();
        let key = cache.stamps.key(&awaited, 1, &preprocessing).unwrap();
        let other_process = KeyLock::acquire(cache.directory.join(&key).with_extension("lock"));
        let (done, is_done) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| cache.get(&awaited, 1, &preprocessing).map(drop).unwrap());
            // From here on that thread does nothing but wait for the lock.
            while !lock(&cache.used).contains(&key) {
                thread::yield_now();
            }
            let (cache, free) = (&cache, &free);
            scope.spawn(move || done.send(cache.get(free, 1, &preprocessing).map(drop)).unwrap());
            let outcome = is_done.recv_timeout(Duration::from_secs(20));
            drop(other_process);
            outcome.unwrap().unwrap();
        });
        assert!(existing(&cache.directory.join(&key).with_extension(ENDING), &key).is_some());
    }
}
