use std::{collections::HashSet, sync::Arc};

use super::{globals::Global, malformed};
use crate::{
    DType, Dict, Key, Limits, PickleErrorKind, Tensor, Value,
    error::{printable, within},
    layout::Layout,
    tensor::{Place, Storage},
};

/// A value on the machine's stack: small ones themselves, the others by number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Global(Global),
    Node(u32),
}

/// A value with an identity: lists and dictionaries still grow while others refer to them.
pub(super) enum Node {
    Str(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Vec<Slot>),
    Tuple(Vec<Slot>),
    Dict(Vec<(Slot, Slot)>),
    /// A storage, by its number.
    Storage(usize),
    Tensor(Box<PendingTensor>),
    NumpyDType(DType),
    /// A numpy array whose content follows.
    EmptyArray,
}

/// A tensor whose storage is not yet connected to a file.
pub(super) struct PendingTensor {
    pub(super) data: Data,
    pub(super) layout: Layout,
}

/// What a draft is a view of.
pub(super) enum Data {
    Storage(usize),
    Memory(Arc<[u8]>),
}

/// All nodes of one pickle.
pub(super) struct Heap {
    nodes: Vec<Node>,
}

impl Heap {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    /// Adds a node. The machine bounds how many.
    pub(super) fn add(&mut self, node: Node) -> Result<Slot, PickleErrorKind> {
        let number = u32::try_from(self.nodes.len()).map_err(|_| malformed("it has too many values"))?;
        self.nodes.push(node);
        Ok(Slot::Node(number))
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Node> {
        if let Slot::Node(number) = slot { self.nodes.get(number as usize) } else { None }
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Node> {
        if let Slot::Node(number) = slot { self.nodes.get_mut(number as usize) } else { None }
    }

    pub(super) fn text(&self, slot: Slot) -> Option<&Arc<str>> {
        if let Some(Node::Str(text)) = self.get(slot) { Some(text) } else { None }
    }

    pub(super) fn tuple(&self, slot: Slot) -> Option<&[Slot]> {
        if let Some(Node::Tuple(items)) = self.get(slot) { Some(items) } else { None }
    }

    /// The value of `root`; each node becomes one value, however often it is used.
    pub(super) fn into_value(
        self,
        root: Slot,
        storages: &[Arc<Storage>],
        limits: &Limits,
    ) -> Result<Value, PickleErrorKind> {
        let states = (0..self.nodes.len()).map(|_| State::New).collect();
        let mut finisher = Finisher { heap: &self, states, storages, limits };
        finisher.value(root, limits.depth()).map(|done| done.value)
    }
}

/// A finished value with its size: how many values are reached from it and how many containers it is deep.
#[derive(Clone)]
struct FinishedValue {
    value: Value,
    reached: usize,
    depth: usize,
}

enum State {
    New,
    /// In progress: reaching it again means that it contains itself.
    Open,
    FinishedValue(FinishedValue),
}

struct Finisher<'a> {
    heap: &'a Heap,
    states: Vec<State>,
    storages: &'a [Arc<Storage>],
    limits: &'a Limits,
}

impl Finisher<'_> {
    /// The value of `slot`, at most `room` containers deep.
    fn value(&mut self, slot: Slot, room: usize) -> Result<FinishedValue, PickleErrorKind> {
        let value = match slot {
            Slot::None => Value::None,
            Slot::Bool(value) => Value::Bool(value),
            Slot::Int(value) => Value::Int(value),
            Slot::Float(value) => Value::Float(value),
            Slot::Global(Global::TorchDType(dtype)) => Value::Str(dtype.torch_name().into()),
            Slot::Global(global) => {
                return Err(PickleErrorKind::unrepresentable(format!(
                    "the class or function {global:?} itself"
                )));
            }
            Slot::Node(number) => return self.node(number as usize, room),
        };
        Ok(FinishedValue { value, reached: 1, depth: 0 })
    }

    fn node(&mut self, number: usize, room: usize) -> Result<FinishedValue, PickleErrorKind> {
        let done = match &self.states[number] {
            State::Open => return Err(PickleErrorKind::unrepresentable("a container that contains itself")),
            State::FinishedValue(done) => done.clone(),
            State::New => {
                self.states[number] = State::Open;
                let done = self.finish(number, room)?;
                self.states[number] = State::FinishedValue(done.clone());
                done
            }
        };
        self.check_depth(done.depth, room)?;
        Ok(done)
    }

    fn finish(&mut self, number: usize, room: usize) -> Result<FinishedValue, PickleErrorKind> {
        let heap = self.heap;
        let value = match &heap.nodes[number] {
            Node::Str(text) => Value::Str(Arc::clone(text)),
            Node::Bytes(bytes) => Value::Bytes(Arc::clone(bytes)),
            Node::Tensor(draft) => Value::Tensor(self.tensor(draft)),
            Node::NumpyDType(dtype) => Value::Str(dtype.torch_name().into()),
            Node::Storage(_) => {
                return Err(PickleErrorKind::unrepresentable("a storage that is not part of a tensor"));
            }
            Node::EmptyArray => return Err(malformed("a numpy array has no content")),
            Node::List(items) => return self.items(items, room, Value::List),
            Node::Tuple(items) => return self.items(items, room, Value::Tuple),
            Node::Dict(entries) => return self.dict(entries, room),
        };
        Ok(FinishedValue { value, reached: 1, depth: 0 })
    }

    fn items(
        &mut self,
        items: &[Slot],
        room: usize,
        container: fn(Arc<[Value]>) -> Value,
    ) -> Result<FinishedValue, PickleErrorKind> {
        self.check_depth(1, room)?;
        let (mut reached, mut depth) = (1, 0);
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let done = self.value(*item, room - 1)?;
            self.count(&mut reached, &mut depth, &done)?;
            values.push(done.value);
        }
        Ok(FinishedValue { value: container(values.into()), reached, depth: depth + 1 })
    }

    fn dict(&mut self, entries: &[(Slot, Slot)], room: usize) -> Result<FinishedValue, PickleErrorKind> {
        self.check_depth(1, room)?;
        let (mut reached, mut depth) = (1, 0);
        let mut finished = Vec::with_capacity(entries.len());
        let mut seen = HashSet::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.key(*key)?;
            if !seen.insert(key.clone()) {
                let name = printable(&key.to_string());
                return Err(malformed(format!("a dictionary names {name} twice")));
            }
            let done = self.value(*value, room - 1)?;
            self.count(&mut reached, &mut depth, &done)?;
            finished.push((key, done.value));
        }
        Ok(FinishedValue {
            value: Value::Dict(Arc::new(finished.into_iter().collect::<Dict>())),
            reached,
            depth: depth + 1,
        })
    }

    fn key(&self, slot: Slot) -> Result<Key, PickleErrorKind> {
        match (slot, self.heap.text(slot)) {
            (Slot::Int(number), _) => Ok(Key::Int(number)),
            (_, Some(text)) => Ok(Key::Str(Arc::clone(text))),
            _ => Err(PickleErrorKind::unrepresentable(
                "a dictionary with a key that is neither a string nor an integer",
            )),
        }
    }

    fn tensor(&self, draft: &PendingTensor) -> Tensor {
        let storage = match &draft.data {
            Data::Storage(number) => Arc::clone(&self.storages[*number]),
            Data::Memory(bytes) => Arc::new(Storage::new(Place::Memory(Arc::clone(bytes)), false)),
        };
        Tensor::new(storage, draft.layout.clone())
    }

    fn count(
        &self,
        reached: &mut usize,
        depth: &mut usize,
        done: &FinishedValue,
    ) -> Result<(), PickleErrorKind> {
        *reached = reached.saturating_add(done.reached);
        *depth = done.depth.max(*depth);
        within("values", "max_values", *reached as u64, self.limits.max_values as u64)
    }

    fn check_depth(&self, depth: usize, room: usize) -> Result<(), PickleErrorKind> {
        let above = self.limits.depth() - room;
        within(
            "containers inside each other",
            "max_depth",
            (above + depth) as u64,
            self.limits.depth() as u64,
        )
    }
}
