//! Numpy's scalars and plain arrays: a training loop that keeps its best loss often keeps it as one.

use std::sync::Arc;

use super::{
    heap::{Data, Node, PendingTensor, Slot},
    machine::Machine,
    malformed,
};
use crate::{DType, PickleErrorKind, dtype::first, error::printable, layout::Layout};

impl Machine<'_> {
    pub(super) fn numpy_dtype(&mut self, name: Slot) -> Result<Slot, PickleErrorKind> {
        let name = self.heap.text(name).ok_or_else(|| malformed("a numpy type is not named"))?;
        let dtype = DType::from_numpy_name(name)
            .ok_or_else(|| PickleErrorKind::unrepresentable(format!("the numpy type {}", printable(name))))?;
        self.heap.add(Node::NumpyDType(dtype))
    }

    /// The state of a numpy type is `(version, byte order, ...)`.
    pub(super) fn check_numpy_byte_order(&self, state: Slot) -> Result<(), PickleErrorKind> {
        let order = self.heap.tuple(state).and_then(|state| self.heap.text(*state.get(1)?));
        match order.map(|order| &**order) {
            Some("<" | "|") => Ok(()),
            Some(">") => Err(PickleErrorKind::BigEndian),
            _ => Err(malformed("a numpy type has no byte order")),
        }
    }

    pub(super) fn numpy_scalar(&mut self, dtype: Slot, bytes: Slot) -> Result<Slot, PickleErrorKind> {
        let (Some(Node::NumpyDType(dtype)), Some(Node::Bytes(bytes))) =
            (self.heap.get(dtype), self.heap.get(bytes))
        else {
            return Err(malformed("a numpy scalar is not made of a type and bytes"));
        };
        if bytes.len() != dtype.size() {
            return Err(malformed("a numpy scalar has more or fewer bytes than its type"));
        }
        scalar(*dtype, bytes)
    }

    /// The array of the state `(version, shape, type, fortran order, bytes)`.
    pub(super) fn numpy_array(&mut self, state: Slot) -> Result<Node, PickleErrorKind> {
        let Some([_version, shape, dtype, Slot::Bool(fortran), bytes]) = self.heap.tuple(state) else {
            return Err(malformed("a numpy array is not described by a tuple of five"));
        };
        let (Some(Node::NumpyDType(dtype)), Some(Node::Bytes(bytes))) =
            (self.heap.get(*dtype), self.heap.get(*bytes))
        else {
            return Err(malformed("a numpy array is not made of a type and bytes"));
        };
        let (dtype, bytes) = (*dtype, Arc::clone(bytes));
        let layout = Layout::dense(dtype, self.sizes(*shape)?, *fortran, bytes.len() as u64)
            .map_err(|reason| malformed(format!("a numpy array {reason}")))?;
        self.storages.count_view(None, layout.len(), dtype, self.limits)?;
        Ok(Node::Tensor(Box::new(PendingTensor { data: Data::Memory(bytes), layout })))
    }
}

fn scalar(dtype: DType, bytes: &[u8]) -> Result<Slot, PickleErrorKind> {
    Ok(match dtype {
        DType::F16 | DType::BF16 | DType::F32 => Slot::Float(dtype.to_f32()(bytes).into()),
        DType::F64 => Slot::Float(f64::from_le_bytes(first(bytes))),
        DType::I8 => Slot::Int(i8::from_le_bytes(first(bytes)).into()),
        DType::I16 => Slot::Int(i16::from_le_bytes(first(bytes)).into()),
        DType::I32 => Slot::Int(i32::from_le_bytes(first(bytes)).into()),
        DType::I64 => Slot::Int(i64::from_le_bytes(first(bytes))),
        DType::U8 => Slot::Int(u8::from_le_bytes(first(bytes)).into()),
        DType::U16 => Slot::Int(u16::from_le_bytes(first(bytes)).into()),
        DType::U32 => Slot::Int(u32::from_le_bytes(first(bytes)).into()),
        DType::U64 => Slot::Int(i64::try_from(u64::from_le_bytes(first(bytes))).map_err(|_| {
            PickleErrorKind::unrepresentable("a numpy integer above the largest 64-bit signed one")
        })?),
        DType::Bool => Slot::Bool(bytes != [0]),
    })
}
