use std::{collections::HashMap, io::Read};

use super::{
    Unpickled, globals,
    heap::{Heap, Node, Slot},
    input::Input,
    malformed, opcode as op,
    storages::Storages,
};
use crate::{Limits, PickleErrorKind, error::within};

/// The stack machine. Python's `pickletools` module documents what each instruction does.
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
        if start != op::PROTO || !(2..=5).contains(&protocol) {
            return Err(malformed("it does not start with a protocol from 2 to 5"));
        }
        loop {
            let position = input.position();
            let opcode = input.byte()?;
            if opcode == op::STOP {
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
            op::FRAME => input.array::<8>().map(drop),
            op::MARK => self.mark(),
            op::NONE => self.push(Slot::None),
            op::NEWTRUE => self.push(Slot::Bool(true)),
            op::NEWFALSE => self.push(Slot::Bool(false)),
            op::BININT => {
                let value = i32::from_le_bytes(input.array()?);
                self.push(Slot::Int(value.into()))
            }
            op::BININT1 => {
                let value = input.byte()?;
                self.push(Slot::Int(value.into()))
            }
            op::BININT2 => {
                let value = u16::from_le_bytes(input.array()?);
                self.push(Slot::Int(value.into()))
            }
            op::LONG1 => {
                let count = input.byte()?;
                self.long(count.into(), input)
            }
            op::LONG4 => {
                let count = u32::from_le_bytes(input.array()?);
                self.long(count.into(), input)
            }
            op::BINFLOAT => {
                let value = f64::from_be_bytes(input.array()?);
                self.push(Slot::Float(value))
            }
            op::SHORT_BINUNICODE | op::BINUNICODE | op::BINUNICODE8 => {
                let count = length(opcode == op::SHORT_BINUNICODE, opcode == op::BINUNICODE8, input)?;
                let text = input.text(count)?;
                self.push_node(Node::Str(text.into()))
            }
            op::SHORT_BINBYTES | op::BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                let count = length(
                    opcode == op::SHORT_BINBYTES,
                    matches!(opcode, op::BINBYTES8 | op::BYTEARRAY8),
                    input,
                )?;
                let bytes = input.bytes(count)?;
                self.push_node(Node::Bytes(bytes.into()))
            }
            op::SHORT_BINSTRING | op::BINSTRING => {
                // Python 2's strings, which are text or bytes.
                let count = length(opcode == op::SHORT_BINSTRING, false, input)?;
                let node = match String::from_utf8(input.bytes(count)?) {
                    Ok(text) => Node::Str(text.into()),
                    Err(error) => Node::Bytes(error.into_bytes().into()),
                };
                self.push_node(node)
            }
            op::EMPTY_TUPLE => self.push_node(Node::Tuple(Vec::new())),
            op::TUPLE1..=op::TUPLE3 => {
                let items = self.pop_many(usize::from(opcode - op::TUPLE1 + 1))?;
                self.push_node(Node::Tuple(items))
            }
            op::TUPLE => {
                let items = self.pop_group()?;
                self.push_node(Node::Tuple(items))
            }
            op::EMPTY_LIST | op::EMPTY_SET => self.push_node(Node::List(Vec::new())),
            op::FROZENSET => {
                let items = self.pop_group()?;
                self.push_node(Node::List(items))
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(&[item])
            }
            op::APPENDS | op::ADDITEMS => {
                let items = self.pop_group()?;
                self.append(&items)
            }
            op::EMPTY_DICT => self.push_node(Node::Dict(Vec::new())),
            op::SETITEM => {
                let entry = self.pop_many(2)?;
                self.insert(&entry)
            }
            op::SETITEMS => {
                let entries = self.pop_group()?;
                self.insert(&entries)
            }
            op::BINPUT => {
                let number = input.byte()?;
                self.memorise(number.into())
            }
            op::LONG_BINPUT => {
                let number = u32::from_le_bytes(input.array()?);
                self.memorise(number)
            }
            op::MEMOIZE => self.memorise(self.memo.len() as u32),
            op::BINGET => {
                let number = input.byte()?;
                self.recall(number.into())
            }
            op::LONG_BINGET => {
                let number = u32::from_le_bytes(input.array()?);
                self.recall(number)
            }
            op::GLOBAL => {
                let (module, name) = (input.line()?, input.line()?);
                self.push(Slot::Global(globals::resolve(&module, &name)?))
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = match (self.heap.text(module), self.heap.text(name)) {
                    (Some(module), Some(name)) => globals::resolve(module, name)?,
                    _ => return Err(malformed("a name is not a string")),
                };
                self.push(Slot::Global(global))
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage)
            }
            op::REDUCE => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let Slot::Global(function) = function else {
                    return Err(malformed("it calls something that is not a function"));
                };
                let result = self.call(function, arguments)?;
                self.push(result)
            }
            op::BUILD => {
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
