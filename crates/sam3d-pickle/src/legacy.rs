//! Files that are not zip archives: a bare pickle, and what `torch.save` wrote before PyTorch 1.6.
//!
//! The old layout is a sequence of pickles (a magic number, a version, a description of the machine, the object, the
//! list of storage keys) followed by each storage as a 64-bit count of elements and its bytes.

use std::{collections::HashMap, io::Read, sync::Arc};

use crate::{
    Limits, PickleErrorKind, Value,
    pickle::{self, Input, StorageRequest, Unpickled},
    source::Source,
    tensor::{Place, Storage},
};

/// The pickled magic number with which the old layout starts.
pub(crate) const MAGIC: &[u8] =
    &[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// The only version of the old layout.
const VERSION: i64 = 1001;

/// Reads a file that is one pickle of plain data.
pub(crate) fn read_pickle(source: &Source, limits: &Limits) -> Result<Value, PickleErrorKind> {
    let mut input = Input::new(source.stream(0..source.length()), limits.max_pickle_bytes);
    let value = plain(pickle::load(&mut input, limits)?, limits)?;
    match source.length() - input.position() {
        0 => Ok(value),
        rest => Err(PickleErrorKind::unrepresentable(format!(
            "{rest} bytes after the end of the pickle; a file must hold a single one"
        ))),
    }
}

/// Reads a checkpoint in the old layout. The tensors' data stays in the file.
pub(crate) fn read_checkpoint(source: &Source, limits: &Limits) -> Result<Value, PickleErrorKind> {
    let start = MAGIC.len() as u64;
    let mut input = Input::new(source.stream(start..source.length()), limits.max_pickle_bytes);
    let version = plain(pickle::load(&mut input, limits)?, limits)?;
    if version.as_i64() != Some(VERSION) {
        return Err(PickleErrorKind::unrepresentable("a version of PyTorch's old layout other than 1001"));
    }
    let machine = plain(pickle::load(&mut input, limits)?, limits)?;
    if !matches!(machine.get("little_endian"), Some(Value::Bool(true))) {
        return Err(PickleErrorKind::BigEndian);
    }
    let object = pickle::load(&mut input, limits)?;
    let keys = plain(pickle::load(&mut input, limits)?, limits)?;
    let storages = locate(source, start + input.position(), &keys, object.requests())?;
    object.finish(&storages, limits)
}

/// The value of a pickle that may not refer to storages.
fn plain(unpickled: Unpickled, limits: &Limits) -> Result<Value, PickleErrorKind> {
    if !unpickled.requests().is_empty() {
        return Err(PickleErrorKind::unrepresentable("a tensor whose data lies outside the pickle"));
    }
    unpickled.finish(&[], limits)
}

/// Where each requested storage lies, given that those in `keys` stand one after the other from `position`.
fn locate(
    source: &Source,
    mut position: u64,
    keys: &Value,
    requests: &[StorageRequest],
) -> Result<Vec<Arc<Storage>>, PickleErrorKind> {
    let by_key: HashMap<&str, &StorageRequest> =
        requests.iter().map(|request| (request.key(), request)).collect();
    let mut starts = HashMap::new();
    for key in keys.as_items().unwrap_or_default() {
        let request = key
            .as_str()
            .and_then(|key| by_key.get(key))
            .ok_or_else(|| PickleErrorKind::unrepresentable("a storage that no tensor describes"))?;
        let elements = elements_at(source, position)?;
        let bytes = elements.saturating_mul(request.dtype().size() as u64);
        if bytes != request.bytes() {
            return Err(request.size_mismatch(bytes));
        }
        position += 8;
        let available = source.length().saturating_sub(position);
        if bytes > available {
            return Err(request.size_mismatch(available));
        }
        starts.insert(request.key(), position);
        position += bytes;
    }
    requests
        .iter()
        .map(|request| {
            let start = *starts.get(request.key()).ok_or_else(|| request.size_mismatch(0))?;
            let place = Place::Span { source: source.clone(), start, length: request.bytes() };
            Ok(Arc::new(Storage::new(place, request.is_shared())))
        })
        .collect()
}

fn elements_at(source: &Source, position: u64) -> Result<u64, PickleErrorKind> {
    let mut count = [0; 8];
    source
        .stream(position..source.length().max(position))
        .read_exact(&mut count)
        .map_err(|_| PickleErrorKind::PickleEndsEarly { position: source.length() })?;
    Ok(u64::from_le_bytes(count))
}
