//! A pickle machine that can build data and nothing else.
//!
//! Python's machine calls whatever a pickle names. This one knows a fixed list of names ([`globals`]) and builds the
//! values they stand for itself. What it builds are numbered nodes, so that a shared list is one node however often it
//! is used; [`heap`] turns them into a [`Value`] at the end.

mod calls;
mod globals;
mod heap;
mod input;
mod machine;
mod numpy;
mod opcode;
mod storages;
mod torch;

use std::sync::Arc;

use crate::{Limits, PickleErrorKind, Value, tensor::Storage};
use heap::{Heap, Slot};
use machine::Machine;

pub(crate) use input::Input;
pub(crate) use storages::StorageRequest;

/// The result of one pickle. Where its tensors' data lies is for the caller to say.
pub(crate) struct Unpickled {
    heap: Heap,
    root: Slot,
    requests: Vec<StorageRequest>,
}

/// Reads one pickle, up to and including its last instruction.
pub(crate) fn load<R: std::io::Read>(
    input: &mut Input<R>,
    limits: &Limits,
) -> Result<Unpickled, PickleErrorKind> {
    Machine::new(limits).run(input)
}

impl Unpickled {
    /// The storages that its tensors view, in the order in which they are named.
    pub(crate) fn requests(&self) -> &[StorageRequest] {
        &self.requests
    }

    /// The value, with `storages` in the order of [`Self::requests`].
    pub(crate) fn finish(self, storages: &[Arc<Storage>], limits: &Limits) -> Result<Value, PickleErrorKind> {
        self.heap.into_value(self.root, storages, limits)
    }
}

fn malformed(reason: impl Into<String>) -> PickleErrorKind {
    PickleErrorKind::Malformed { reason: reason.into() }
}
