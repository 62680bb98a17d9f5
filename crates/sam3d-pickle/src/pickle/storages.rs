use std::{collections::HashMap, sync::Arc};

use crate::{DType, Limits, PickleErrorKind, error::printable, error::within};

/// A storage that the pickle refers to and that lies outside it.
pub(crate) struct StorageRequest {
    key: Arc<str>,
    dtype: DType,
    bytes: u64,
    views: usize,
}

impl StorageRequest {
    /// Its name in the file.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Element type by its class; bytes for an untyped one.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether more than one tensor views it.
    pub(crate) fn is_shared(&self) -> bool {
        self.views > 1
    }

    /// The error for a file that holds `found` bytes for it.
    pub(crate) fn size_mismatch(&self, found: u64) -> PickleErrorKind {
        PickleErrorKind::StorageSize { key: printable(&self.key), expected: self.bytes, found }
    }
}

/// The storages named so far, and the bytes they and their tensors ask for.
#[derive(Default)]
pub(super) struct Storages {
    requests: Vec<StorageRequest>,
    by_key: HashMap<Arc<str>, usize>,
    storage_bytes: u64,
    tensor_bytes: u64,
}

impl Storages {
    /// The number of the storage `key` of `elements` elements.
    pub(super) fn request(
        &mut self,
        key: Arc<str>,
        dtype: DType,
        elements: u64,
        limits: &Limits,
    ) -> Result<usize, PickleErrorKind> {
        let bytes = elements.saturating_mul(dtype.size() as u64);
        if let Some(known) = self.by_key.get(&key) {
            let request = &self.requests[*known];
            if (request.dtype, request.bytes) != (dtype, bytes) {
                return Err(super::malformed(format!(
                    "storage {} is described in two ways",
                    printable(&key)
                )));
            }
            return Ok(*known);
        }
        self.storage_bytes = charged(self.storage_bytes, elements, dtype);
        within("bytes of storages", "max_tensor_bytes", self.storage_bytes, limits.max_tensor_bytes)?;
        self.by_key.insert(Arc::clone(&key), self.requests.len());
        self.requests.push(StorageRequest { key, dtype, bytes, views: 0 });
        Ok(self.requests.len() - 1)
    }

    pub(super) fn get(&self, number: usize) -> &StorageRequest {
        &self.requests[number]
    }

    /// Counts a tensor of `elements` elements that views the storage `number`, or lies in the pickle.
    pub(super) fn count_view(
        &mut self,
        number: Option<usize>,
        elements: usize,
        dtype: DType,
        limits: &Limits,
    ) -> Result<(), PickleErrorKind> {
        self.tensor_bytes = charged(self.tensor_bytes, elements as u64, dtype);
        within("bytes of tensors", "max_tensor_bytes", self.tensor_bytes, limits.max_tensor_bytes)?;
        if let Some(number) = number {
            self.requests[number].views += 1;
        }
        Ok(())
    }

    pub(super) fn into_requests(self) -> Vec<StorageRequest> {
        self.requests
    }
}

/// `total` and `elements` more, each of four bytes at least: what it takes as `f32`.
fn charged(total: u64, elements: u64, dtype: DType) -> u64 {
    total.saturating_add(elements.saturating_mul(dtype.size().max(4) as u64))
}
