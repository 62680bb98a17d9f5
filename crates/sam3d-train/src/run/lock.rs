//! The lock of a run directory: one job trains into it at a time.

use std::{
    fs::{self, TryLockError},
    io,
    path::Path,
};

use crate::TrainError;

/// Held by the process that writes into a run directory; the operating system releases it when the process ends, however it
/// ends.
#[derive(Debug)]
pub struct RunLock {
    _file: fs::File,
}

impl RunLock {
    /// Name of the locked file.
    pub(super) const FILE: &str = "run.lock";

    /// Locks the directory `directory` by its file `run.lock`, which stays there.
    ///
    /// # Errors
    /// [`TrainError::RunInUse`] if another process holds the lock, [`TrainError::File`] if the file cannot be opened or
    /// locked. A file system without locks gives a warning.
    pub(super) fn acquire(directory: &Path) -> Result<Self, TrainError> {
        let path = directory.join(Self::FILE);
        let failed = |action, source| TrainError::File { action, path: path.clone(), source };
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| failed("open", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::RunInUse { path: directory.to_owned() });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(
                    "the file system of {} has no file locks: take care that no other process trains into it",
                    directory.display()
                );
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", source)),
        }
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::{TrainError, run::RunDirectory};

    #[test]
    fn a_second_run_in_one_directory_is_refused_and_removes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run");
        let (_, lock) = RunDirectory::create(&path).unwrap();
        let half_written = path.join(".sam3d-1.tmp");
        fs::write(&half_written, "of the first process").unwrap();
        let refused = |result: Result<_, TrainError>| {
            let error = result.map(|_| ()).unwrap_err();
            assert!(matches!(&error, TrainError::RunInUse { path: found } if *found == path), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            assert!(half_written.exists());
        };
        refused(RunDirectory::create(&path));
        fs::write(path.join("state.safetensors"), "").unwrap();
        refused(RunDirectory::reopen(&path));
        drop(lock);
        let (_, _lock) = RunDirectory::reopen(&path).unwrap();
        assert!(!half_written.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_state_that_cannot_be_looked_for_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state.safetensors");
        // A link to itself cannot be followed, whoever asks.
        std::os::unix::fs::symlink(&state, &state).unwrap();
        let error = RunDirectory::create(place.path()).map(|_| ()).unwrap_err();
        assert!(matches!(&error, TrainError::File { path, .. } if *path == state), "{error}");
    }
}
