use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{
    DType, PickleError, PickleErrorKind,
    archive::{Archive, Entry},
    layout::Layout,
    source::Source,
};

/// A tensor of a checkpoint. Its numbers stay in the file until they are asked for, so that a checkpoint is never in
/// memory as a whole; clones share the view.
#[derive(Clone)]
pub struct Tensor {
    view: Arc<(Arc<Storage>, Layout)>,
}

impl Tensor {
    pub(crate) fn new(storage: Arc<Storage>, layout: Layout) -> Self {
        Self { view: Arc::new((storage, layout)) }
    }

    /// Element type in the file.
    pub fn dtype(&self) -> DType {
        self.view.1.dtype()
    }

    /// Sizes, outermost first; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        self.view.1.shape()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.view.1.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the elements as `f32`, in C order. 64-bit values and large integers are rounded; `bool` becomes 0 and 1.
    ///
    /// The storage is read from the file each time, unless several tensors share it.
    ///
    /// # Errors
    /// If the file cannot be read, or its data is damaged (checksum or size).
    pub fn to_f32_vec(&self) -> Result<Vec<f32>, PickleError> {
        let (storage, layout) = &*self.view;
        Ok(layout.gather_f32(&storage.read()?))
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tensor")
            .field("dtype", &self.dtype())
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}

/// The data that one or more tensors view.
pub(crate) struct Storage {
    place: Place,
    shared: bool,
    cache: OnceLock<Vec<u8>>,
}

/// Where a storage's bytes lie.
pub(crate) enum Place {
    /// In the pickle itself, as for numpy arrays.
    Memory(Arc<[u8]>),
    /// In an entry of the zip archive.
    Entry(Arc<Archive>, Entry),
    /// In a file that is not an archive, at `start`.
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
