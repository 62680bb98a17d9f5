//! Files that are either whole or not there.

use std::{
    fs, io,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::IoError;

/// What to do where a file of the same name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// Leave it alone and fail.
    #[default]
    Refuse,
    /// Put the new file in its place.
    Replace,
}

/// Writes the file `path` by `content`: into a temporary file beside it, then to the disk, then renamed.
///
/// Whatever happens, `path` is either as it was or complete. The temporary file is removed on failure.
///
/// # Errors
/// [`IoError::Exists`] if the file is there and `overwrite` says to refuse, else [`IoError::Write`] with the cause.
pub fn write(
    path: &Path,
    overwrite: Overwrite,
    content: impl FnOnce(&mut BufWriter<&mut fs::File>) -> io::Result<()>,
) -> Result<(), IoError> {
    let failed = |source| IoError::Write { path: path.to_owned(), source };
    // Asked early, so that no work is done in vain; the rename below asks again without a gap.
    if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
        return Err(IoError::Exists { path: path.to_owned() });
    }
    let mut temporary = new_temporary(path).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
    content(&mut writer).map_err(failed)?;
    // Flushed here, because a buffer that is dropped swallows the error of a full disk.
    writer.flush().map_err(failed)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(failed)?;
    let persisted = match overwrite {
        Overwrite::Refuse => temporary.persist_noclobber(path),
        Overwrite::Replace => temporary.persist(path),
    };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(IoError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(failed(error.error)),
    }
}

fn new_temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sam3d-").suffix(".tmp");
    // A temporary file is private by default; the finished one shall be as readable as any other the user creates.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_or_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        write(&path, Overwrite::Refuse, |file| file.write_all(b"one")).unwrap();
        let refused = write(&path, Overwrite::Refuse, |file| file.write_all(b"two"));
        assert!(matches!(refused, Err(IoError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, Overwrite::Replace, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn failure_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let failed = write(&path, Overwrite::Replace, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        assert!(matches!(failed, Err(IoError::Write { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let missing = write(&directory.path().join("no/such/a"), Overwrite::Refuse, |_| Ok(()));
        assert!(matches!(missing, Err(IoError::Write { .. })));
    }
}
