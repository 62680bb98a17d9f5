use std::{collections::HashMap, io::Read};

use super::{
    Unpickled, globals,
    heap::{Heap, Node, Slot},
    input::Input,
    malformed,
    storages::Storages,
};
use crate::{Limits, PickleErrorKind, error::within};

/// The stack machine. Python's `pickletools` module documents the instructions.
pub(super) struct Machine<'a> {
    pub(super) heap: Heap,
    pub(super) storages: Storages,
    pub(super) limits: &'a Limits,
    stack: Vec<Slot>,
    /// Heights of the stack at which open groups of items begin.
    marks: Vec<usize>,
    memo: HashMap<u32, Slot>,
    /// Values made so far, on the stack or copied.
    values: u64,
    /// Bytes made by conversion, which the pickle's own size does not bound.
    converted: u64,
}

impl<'a> Machine<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            heap: Heap::new(),
            storages: Storages::default(),
            limits,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            values: 0,
            converted: 0,
        }
    }

    pub(super) fn run<R: Read>(mut self, input: &mut Input<R>) -> Result<Unpickled, PickleErrorKind> {
        let [start, protocol] = input.array()?;
        if start != 0x80 || !(2..=5).contains(&protocol) {
            return Err(malformed("it does not start with a protocol from 2 to 5"));
        }
        loop {
            let position = input.position();
            let opcode = input.byte()?;
            if opcode == b'.' {
                let root = self.pop()?;
                return Ok(Unpickled { heap: self.heap, root, requests: self.storages.into_requests() });
            }
            self.step(opcode, position, input)?;
        }
    }

    fn step<R: Read>(
        &mut self,
        opcode: u8,
        position: u64,
        input: &mut Input<R>,
    ) -> Result<(), PickleErrorKind> {
        match opcode {
            // FRAME announces how many bytes follow; the stream needs no such hint.
            0x95 => input.array::<8>().map(drop),
            b'(' => self.mark(),
            b'N' => self.push(Slot::None),
            0x88 => self.push(Slot::Bool(true)),
            0x89 => self.push(Slot::Bool(false)),
            b'J' => {
                let value = i32::from_le_bytes(input.array()?);
                self.push(Slot::Int(value.into()))
            }
            b'K' => {
                let value = input.byte()?;
                self.push(Slot::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(input.array()?);
                self.push(Slot::Int(value.into()))
            }
            0x8a => {
                let count = input.byte()?;
                self.long(count.into(), input)
            }
            0x8b => {
                let count = u32::from_le_bytes(input.array()?);
                self.long(count.into(), input)
            }
            b'G' => {
                let value = f64::from_be_bytes(input.array()?);
                self.push(Slot::Float(value))
            }
            0x8c | b'X' | 0x8d => {
                let count = length(opcode == 0x8c, opcode == 0x8d, input)?;
                let text = input.text(count)?;
                self.push_node(Node::Str(text.into()))
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let count = length(opcode == b'C', matches!(opcode, 0x8e | 0x96), input)?;
                let bytes = input.bytes(count)?;
                self.push_node(Node::Bytes(bytes.into()))
            }
            b'U' | b'T' => {
                // Python 2's strings, which are text or bytes.
                let count = length(opcode == b'U', false, input)?;
                let node = match String::from_utf8(input.bytes(count)?) {
                    Ok(text) => Node::Str(text.into()),
                    Err(error) => Node::Bytes(error.into_bytes().into()),
                };
                self.push_node(node)
            }
            b')' => self.push_node(Node::Tuple(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push_node(Node::Tuple(items))
            }
            b't' => {
                let items = self.pop_group()?;
                self.push_node(Node::Tuple(items))
            }
            b']' | 0x8f => self.push_node(Node::List(Vec::new())),
            0x91 => {
                let items = self.pop_group()?;
                self.push_node(Node::List(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])
            }
            b'e' | 0x90 => {
                let items = self.pop_group()?;
                self.append(&items)
            }
            b'}' => self.push_node(Node::Dict(Vec::new())),
            b's' => {
                let entry = self.pop_many(2)?;
                self.insert(&entry)
            }
            b'u' => {
                let entries = self.pop_group()?;
                self.insert(&entries)
            }
            b'q' => {
                let number = input.byte()?;
                self.memorise(number.into())
            }
            b'r' => {
                let number = u32::from_le_bytes(input.array()?);
                self.memorise(number)
            }
            0x94 => self.memorise(self.memo.len() as u32),
            b'h' => {
                let number = input.byte()?;
                self.recall(number.into())
            }
            b'j' => {
                let number = u32::from_le_bytes(input.array()?);
                self.recall(number)
            }
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                self.push(Slot::Global(globals::resolve(&module, &name)?))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = match (self.heap.text(module), self.heap.text(name)) {
                    (Some(module), Some(name)) => globals::resolve(module, name)?,
                    _ => return Err(malformed("a name is not a string")),
                };
                self.push(Slot::Global(global))
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage)
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let Slot::Global(function) = function else {
                    return Err(malformed("it calls something that is not a function"));
                };
                let result = self.call(function, arguments)?;
                self.push(result)
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                self.build(object, state)
            }
            opcode => Err(PickleErrorKind::OpcodeRefused { opcode, position }),
        }
    }

    /// Counts `values` more values against the limit.
    pub(super) fn charge(&mut self, values: usize) -> Result<(), PickleErrorKind> {
        self.values = self.values.saturating_add(values as u64);
        within("values", "max_values", self.values, self.limits.max_values as u64)
    }

    /// Counts `bytes` converted bytes against the limit.
    pub(super) fn charge_bytes(&mut self, bytes: usize) -> Result<(), PickleErrorKind> {
        self.converted = self.converted.saturating_add(bytes as u64);
        within("bytes of pickle", "max_pickle_bytes", self.converted, self.limits.max_pickle_bytes)
    }

    fn push(&mut self, slot: Slot) -> Result<(), PickleErrorKind> {
        self.charge(1)?;
        self.stack.push(slot);
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<(), PickleErrorKind> {
        let slot = self.heap.add(node)?;
        self.push(slot)
    }

    fn mark(&mut self) -> Result<(), PickleErrorKind> {
        self.charge(1)?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn top(&self) -> Result<Slot, PickleErrorKind> {
        match self.stack.last() {
            Some(slot) if self.stack.len() > self.floor() => Ok(*slot),
            _ => Err(malformed("it takes a value from an empty stack")),
        }
    }

    fn pop(&mut self) -> Result<Slot, PickleErrorKind> {
        let slot = self.top()?;
        self.stack.pop();
        Ok(slot)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Slot>, PickleErrorKind> {
        if self.stack.len() < self.floor() + count {
            return Err(malformed("it takes a value from an empty stack"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    /// Everything above the last mark.
    fn pop_group(&mut self) -> Result<Vec<Slot>, PickleErrorKind> {
        let mark = self.marks.pop().ok_or_else(|| malformed("it closes a group that was not opened"))?;
        Ok(self.stack.split_off(mark))
    }

    /// No value below the last mark may be taken one by one.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn append(&mut self, items: &[Slot]) -> Result<(), PickleErrorKind> {
        let list = self.top()?;
        match self.heap.get_mut(list) {
            Some(Node::List(list)) => list.extend_from_slice(items),
            _ => return Err(malformed("it appends to something that is not a list")),
        }
        Ok(())
    }

    fn insert(&mut self, entries: &[Slot]) -> Result<(), PickleErrorKind> {
        let dict = self.top()?;
        let (Some(Node::Dict(dict)), (pairs, [])) = (self.heap.get_mut(dict), entries.as_chunks::<2>())
        else {
            return Err(malformed("it inserts into something that is not a dictionary, or half an entry"));
        };
        dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn memorise(&mut self, number: u32) -> Result<(), PickleErrorKind> {
        let slot = self.top()?;
        self.memo.insert(number, slot);
        within("values", "max_values", self.memo.len() as u64, self.limits.max_values as u64)
    }

    fn recall(&mut self, number: u32) -> Result<(), PickleErrorKind> {
        let slot =
            self.memo.get(&number).copied().ok_or_else(|| malformed("it recalls what it never stored"))?;
        self.push(slot)
    }

    /// An integer of `count` little-endian bytes in two's complement.
    fn long<R: Read>(&mut self, count: u64, input: &mut Input<R>) -> Result<(), PickleErrorKind> {
        if count > 8 {
            return Err(PickleErrorKind::unrepresentable(format!("an integer of {count} bytes")));
        }
        let bytes = input.bytes(count)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = if negative { [0xff; 8] } else { [0; 8] };
        wide[..bytes.len()].copy_from_slice(&bytes);
        self.push(Slot::Int(i64::from_le_bytes(wide)))
    }
}

/// The length in front of a string: one, eight or else four bytes.
fn length<R: Read>(short: bool, wide: bool, input: &mut Input<R>) -> Result<u64, PickleErrorKind> {
    match (short, wide) {
        (true, _) => input.byte().map(u64::from),
        (_, true) => input.array().map(u64::from_le_bytes),
        _ => input.array().map(|bytes| u32::from_le_bytes(bytes).into()),
    }
}
