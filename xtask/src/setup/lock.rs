//! One setup at a time per cache directory.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use anyhow::{Context, Result};

/// Holds the lock of a cache directory until dropped; the system releases it when the process dies.
#[derive(Debug)]
pub(super) struct CacheLock {
    _file: File,
}

/// Waits for the lock of the directory `cache`, which is created.
///
/// # Errors
/// If the directory or the lock file in it cannot be made.
pub(super) fn acquire(cache: &Path) -> Result<CacheLock> {
    fs::create_dir_all(cache).with_context(|| {
        format!("cannot create {}: set SAM3D_CACHE to a directory you can write to", cache.display())
    })?;
    let path = cache.join("setup.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            eprintln!("another setup is at work in {}: waiting for it", cache.display());
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    Ok(CacheLock { _file: file })
}
