use std::path::{Component, Path, PathBuf};

use crate::IoError;

/// The data file `name` of the header at `header`, relative to the header's directory.
///
/// Only a file beside the header or below is taken: a header from elsewhere shall not make this program read any file of
/// the computer.
///
/// # Errors
/// [`IoError::DataFileElsewhere`].
pub(crate) fn beside(header: &Path, name: &str) -> Result<PathBuf, IoError> {
    let inside = Path::new(name)
        .components()
        .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if !inside || name.is_empty() {
        return Err(IoError::DataFileElsewhere { path: header.to_owned(), data_file: name.to_owned() });
    }
    Ok(header.with_file_name("").join(name))
}

/// Where the last `data_bytes` bytes of the file at `path` begin, which is not before `earliest`.
///
/// # Errors
/// [`IoError::Truncated`] if there are not so many, [`IoError::Read`].
pub(crate) fn start_of_last(path: &Path, data_bytes: u64, earliest: u64) -> Result<u64, IoError> {
    let length = crate::source::open_file(path)?
        .metadata()
        .map_err(|source| crate::source::read_failed(path, source))?
        .len();
    length.checked_sub(data_bytes).filter(|start| *start >= earliest).ok_or_else(|| IoError::Truncated {
        path: path.to_owned(),
        expected: data_bytes,
        found: length.saturating_sub(earliest),
    })
}
