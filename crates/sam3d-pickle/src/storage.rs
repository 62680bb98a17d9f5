use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use crate::{
    PickleError, PickleErrorKind,
    archive::{Archive, Entry},
    source::Source,
};

/// The numbers behind one or more tensors.
pub(crate) struct Storage {
    place: Place,
    shared: bool,
    cache: OnceLock<Vec<u8>>,
}

/// Where a storage's bytes lie.
pub(crate) enum Place {
    /// In the pickle itself, as numpy's arrays do.
    Memory(Arc<[u8]>),
    /// In an entry of the zip archive.
    Entry(Arc<Archive>, Entry),
    /// In a file without archive, at `start`.
    Span {
        /// The file.
        source: Source,
        /// First byte.
        start: u64,
        /// Bytes; checked against the file's length.
        length: u64,
    },
}

impl Storage {
    /// `shared` says that several tensors view it, so that reading it once for all of them is worth its memory.
    pub(crate) fn new(place: Place, shared: bool) -> Self {
        Self { place, shared, cache: OnceLock::new() }
    }

    pub(crate) fn read(&self) -> Result<Cow<'_, [u8]>, PickleError> {
        if let Some(bytes) = self.cache.get() {
            return Ok(Cow::Borrowed(bytes));
        }
        let bytes = match &self.place {
            Place::Memory(bytes) => return Ok(Cow::Borrowed(bytes)),
            Place::Entry(archive, entry) => {
                archive.unpack(entry).map_err(|kind| PickleError::new(archive.path(), kind))?
            }
            Place::Span { source, start, length } => source
                .read(*start..start + length)
                .map_err(|error| PickleError::new(source.path(), PickleErrorKind::Io(error)))?,
        };
        if self.shared {
            return Ok(Cow::Borrowed(self.cache.get_or_init(|| bytes)));
        }
        Ok(Cow::Owned(bytes))
    }
}
