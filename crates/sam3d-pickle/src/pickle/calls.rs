//! What the permitted functions make of their arguments, and what BUILD adds to an object.

use super::{
    globals::Global,
    heap::{Node, Slot},
    machine::Machine,
    malformed,
};
use crate::{PickleErrorKind, error::printable};

/// No permitted function takes more.
const MOST_ARGUMENTS: usize = 16;

impl Machine<'_> {
    /// The result of `function`, computed here: no code of the file's choosing runs.
    pub(super) fn call(&mut self, function: Global, arguments: Slot) -> Result<Slot, PickleErrorKind> {
        let arguments = match self.heap.tuple(arguments) {
            Some(items) if items.len() <= MOST_ARGUMENTS => items.to_vec(),
            _ => return Err(malformed(format!("{function:?} is called without a tuple of arguments"))),
        };
        match (function, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.heap.add(Node::Dict(Vec::new())),
            (Global::OrderedDict, [pairs]) => self.ordered_dict(*pairs),
            (Global::Set, []) => self.heap.add(Node::List(Vec::new())),
            (Global::Set, [items]) => {
                let items = self.items(*items)?;
                self.heap.add(Node::List(items))
            }
            (Global::Bytes, []) => self.heap.add(Node::Bytes([].into())),
            (Global::Encode, [text, encoding]) => self.encode(*text, *encoding),
            (Global::TorchSize, [sizes]) if self.heap.tuple(*sizes).is_some() => Ok(*sizes),
            (Global::RebuildTensor, [storage, offset, shape, strides, rest @ ..]) => {
                // After the four: requires_grad, hooks, and flags that change what the numbers mean.
                self.refuse_flags(rest.get(2))?;
                self.tensor(*storage, [*offset, *shape, *strides], None)
            }
            (
                Global::RebuildTensorV3,
                [storage, offset, shape, strides, _, _, Slot::Global(Global::TorchDType(dtype)), rest @ ..],
            ) => {
                self.refuse_flags(rest.first())?;
                self.tensor(*storage, [*offset, *shape, *strides], Some(*dtype))
            }
            (Global::RebuildParameter, [tensor, ..])
                if matches!(self.heap.get(*tensor), Some(Node::Tensor(_))) =>
            {
                Ok(*tensor)
            }
            (Global::NumpyDType, [name, ..]) => self.numpy_dtype(*name),
            (Global::NumpyScalar, [dtype, bytes]) => self.numpy_scalar(*dtype, *bytes),
            (Global::NumpyReconstruct, [Slot::Global(Global::NumpyArrayType), ..]) => {
                self.heap.add(Node::EmptyArray)
            }
            _ => Err(malformed(format!("{function:?} is called with arguments it does not take"))),
        }
    }

    /// Gives `object` its state.
    pub(super) fn build(&mut self, object: Slot, state: Slot) -> Result<(), PickleErrorKind> {
        match self.heap.get(object) {
            // PyTorch attaches version numbers to its state dictionaries; weights do not need them.
            Some(Node::Dict(_)) => Ok(()),
            Some(Node::NumpyDType(_)) => self.check_numpy_byte_order(state),
            Some(Node::EmptyArray) => {
                let array = self.numpy_array(state)?;
                if let Some(node) = self.heap.get_mut(object) {
                    *node = array;
                }
                Ok(())
            }
            _ => Err(malformed("it gives a state to a value that has none")),
        }
    }

    fn ordered_dict(&mut self, pairs: Slot) -> Result<Slot, PickleErrorKind> {
        let entries = self
            .items(pairs)?
            .into_iter()
            .map(|pair| match self.heap.get(pair) {
                Some(Node::List(pair) | Node::Tuple(pair)) if pair.len() == 2 => Ok((pair[0], pair[1])),
                _ => Err(malformed("an ordered dictionary is made of something other than pairs")),
            })
            .collect::<Result<_, _>>()?;
        self.heap.add(Node::Dict(entries))
    }

    /// A copy of a list or tuple, counted, since a shared list may be copied any number of times.
    fn items(&mut self, slot: Slot) -> Result<Vec<Slot>, PickleErrorKind> {
        let items = match self.heap.get(slot) {
            Some(Node::List(items) | Node::Tuple(items)) => items.clone(),
            _ => return Err(malformed("a container is made of something that is not a list")),
        };
        self.charge(items.len())?;
        Ok(items)
    }

    /// Bytes as protocol 2 writes them: as text in which every character is one byte.
    fn encode(&mut self, text: Slot, encoding: Slot) -> Result<Slot, PickleErrorKind> {
        let (Some(text), Some(encoding)) = (self.heap.text(text), self.heap.text(encoding)) else {
            return Err(malformed("it encodes something that is not a string"));
        };
        if !matches!(&**encoding, "latin1" | "latin-1" | "iso-8859-1") {
            let encoding = printable(encoding);
            return Err(PickleErrorKind::unrepresentable(format!("text in the encoding {encoding}")));
        }
        let bytes = text
            .chars()
            .map(|character| u8::try_from(u32::from(character)))
            .collect::<Result<Vec<u8>, _>>()
            .map_err(|_| malformed("bytes are written with characters above 255"))?;
        self.charge_bytes(bytes.len())?;
        self.heap.add(Node::Bytes(bytes.into()))
    }
}
