//! Storages and tensors.

use std::sync::Arc;

use super::{
    globals::Global,
    heap::{Data, Node, PendingTensor, Slot},
    machine::Machine,
    malformed,
};
use crate::{DType, PickleErrorKind, layout::Layout};

/// PyTorch's own limit is 64 axes.
const MOST_AXES: usize = 64;

impl Machine<'_> {
    /// The storage behind a persistent id: `("storage", class, key, location, elements)` and, in files from before
    /// PyTorch 1.6, what part of another storage it is.
    pub(super) fn storage(&mut self, id: Slot) -> Result<Slot, PickleErrorKind> {
        let parts = match self.heap.tuple(id) {
            Some([tag, class, key, _location, elements, rest @ ..]) => {
                let part = rest.first().copied().unwrap_or(Slot::None);
                (self.heap.text(*tag), *class, self.heap.text(*key), *elements, part)
            }
            _ => return Err(malformed("a persistent id is not a tuple of five")),
        };
        let (Some("storage"), Slot::Global(Global::StorageType(dtype)), Some(key), Slot::Int(elements), part) =
            (parts.0.map(|tag| &**tag), parts.1, parts.2, parts.3, parts.4)
        else {
            return Err(malformed("a persistent id does not describe a storage"));
        };
        if !matches!(part, Slot::None) {
            return Err(PickleErrorKind::unrepresentable(
                "a storage that is part of another; load the file in PyTorch and save it again",
            ));
        }
        let elements = u64::try_from(elements).map_err(|_| malformed("a storage has a negative size"))?;
        let key = Arc::clone(key);
        let number = self.storages.request(key, dtype.unwrap_or(DType::U8), elements, self.limits)?;
        self.heap.add(Node::Storage(number))
    }

    /// A tensor that views `storage`; `place` is its offset, shape and strides. `dtype` is the storage's own unless
    /// given.
    pub(super) fn tensor(
        &mut self,
        storage: Slot,
        place: [Slot; 3],
        dtype: Option<DType>,
    ) -> Result<Slot, PickleErrorKind> {
        let Some(Node::Storage(number)) = self.heap.get(storage) else {
            return Err(malformed("a tensor has no storage"));
        };
        let number = *number;
        let [offset, shape, strides] = place;
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let request = self.storages.get(number);
        let dtype = dtype.unwrap_or(request.dtype());
        let layout = Layout::new(dtype, size(offset)?, shape, strides, request.bytes())
            .map_err(|reason| malformed(format!("a tensor {reason}")))?;
        self.storages.count_view(Some(number), layout.len(), dtype, self.limits)?;
        self.heap.add(Node::Tensor(Box::new(PendingTensor { data: Data::Storage(number), layout })))
    }

    /// Refuses a tensor whose numbers are to be read as negated or conjugated.
    pub(super) fn refuse_flags(&self, flags: Option<&Slot>) -> Result<(), PickleErrorKind> {
        match flags.map(|flags| (flags, self.heap.get(*flags))) {
            None | Some((Slot::None, _)) => Ok(()),
            Some((_, Some(Node::Dict(flags)))) if flags.is_empty() => Ok(()),
            Some(_) => Err(PickleErrorKind::unrepresentable(
                "a tensor with a pending negation or conjugation; save it with clone()",
            )),
        }
    }

    /// A tuple of sizes or strides.
    pub(super) fn sizes(&self, slot: Slot) -> Result<Vec<usize>, PickleErrorKind> {
        match self.heap.tuple(slot) {
            Some(sizes) if sizes.len() <= MOST_AXES => sizes.iter().map(|value| size(*value)).collect(),
            Some(sizes) => Err(malformed(format!("a tensor has {} axes", sizes.len()))),
            None => Err(malformed("a shape is not a tuple")),
        }
    }
}

fn size(slot: Slot) -> Result<usize, PickleErrorKind> {
    match slot {
        Slot::Int(value) => usize::try_from(value).map_err(|_| malformed("a size is negative")),
        _ => Err(malformed("a size is not an integer")),
    }
}
