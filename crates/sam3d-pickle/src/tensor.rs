use std::{fmt, sync::Arc};

use crate::{DType, PickleError, layout::Layout, storage::Storage};

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
