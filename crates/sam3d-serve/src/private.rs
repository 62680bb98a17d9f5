//! Directories and files that no other user of the computer can read, and what a killed server left of them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A directory that only this user can enter; removed when dropped, on a thread that may wait for the disk.
#[derive(Debug)]
pub(crate) struct PrivateDirectory {
    path: PathBuf,
    stays: bool,
}

impl PrivateDirectory {
    /// A new directory in `parent` with a generated name.
    pub(crate) fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix).rand_bytes(16);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        Ok(Self::existing(builder.tempdir_in(parent)?.keep()))
    }

    /// The directory at `path`, which was made as a new one.
    pub(crate) fn existing(path: PathBuf) -> Self {
        Self { path, stays: false }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it on the disk.
    pub(crate) fn stay(&mut self) {
        self.stays = true;
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let path = std::mem::take(&mut self.path);
        let remove = move || {
            if let Err(error) = fs::remove_dir_all(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("a client's file stays on the disk: {error}");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// A new file that only this user can read, from its first byte on.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The directory of one running server. Its lock says that the server runs: the system takes it back from a killed one.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    /// Removes a temporary one when dropped.
    temporary: Option<TempDir>,
    _lock: File,
}

const PREFIX: &str = "sam3d-serve-";
const LOCK: &str = "lock";

impl Root {
    /// A new directory in `parent`; those of servers that were killed are removed.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let directory = builder.tempdir_in(parent)?;
        let lock = new_file(&directory.path().join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        for path in abandoned(parent, directory.path())? {
            match fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!("removed the uploads of a server that was killed"),
                Err(error) => tracing::warn!("the uploads of a server that was killed stay: {error}"),
            }
        }
        Ok(Self { path: directory.path().to_owned(), temporary: Some(directory), _lock: lock })
    }

    /// The directory at `path`, which is made if it is not there, and stays with what lies in it.
    pub(crate) fn kept(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        let lock = match new_file(&path.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().write(true).open(path.join(LOCK))?
            }
            lock => lock?,
        };
        let in_use = |_| io::Error::other("another server is using it");
        lock.try_lock().map_err(in_use)?;
        Ok(Self { path: path.to_owned(), temporary: None, _lock: lock })
    }

    /// Whether it stays when the server ends.
    pub(crate) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The directories in `parent` of servers that no longer run, of the user whose directory is `own`.
fn abandoned(parent: &Path, own: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)?.flatten() {
        let path = entry.path();
        let is_named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !is_named || path == own || !is_directory_of_same_user(&path, own) {
            continue;
        }
        // A directory without a lock is one that is being made.
        let lock = OpenOptions::new().write(true).open(path.join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_directory_of_same_user(path: &Path, own: &Path) -> bool {
    let (Ok(found), Ok(own)) = (fs::symlink_metadata(path), fs::symlink_metadata(own)) else { return false };
    #[cfg(unix)]
    let same_user = {
        use std::os::unix::fs::MetadataExt;
        found.uid() == own.uid()
    };
    #[cfg(not(unix))]
    let same_user = own.is_dir();
    found.is_dir() && same_user
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_server_left_is_removed_and_a_running_one_is_spared() {
        let parent = tempfile::tempdir().unwrap();
        let killed = parent.path().join("sam3d-serve-killed");
        let other = parent.path().join("sam3d-serve-other");
        for directory in [&killed, &other] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("a patient's volume"), "x").unwrap();
        }
        fs::write(killed.join(LOCK), "").unwrap();
        let running = Root::new(parent.path()).unwrap();
        let later = Root::new(parent.path()).unwrap();
        assert!(!killed.exists() && other.exists());
        assert!(running.path().exists() && later.path().exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let root = Root::new(parent.path()).unwrap();
        let directory = PrivateDirectory::new(root.path(), "upload-").unwrap();
        let file = directory.path().join("volume.nii");
        new_file(&file).unwrap();
        assert_eq!([root.path(), directory.path(), &file].map(mode), [0o700, 0o700, 0o600]);
        let path = directory.path().to_owned();
        drop(directory);
        assert!(!path.exists());
    }
}
