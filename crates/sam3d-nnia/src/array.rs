//! A packed array, unpacked.

use std::fmt;

use half::f16;

use crate::{ArrayError, ElementType, Head, blosc, head::Bytes};

/// An array in C order.
#[derive(Clone, PartialEq, Eq)]
pub struct Array {
    element: ElementType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Unpacks `body`, of at most `limit` elements.
///
/// # Errors
/// [`ArrayError::TooLarge`] before memory is taken; [`ArrayError::Truncated`], [`ArrayError::Damaged`] or another one if the
/// body is not a packed array.
pub fn unpack(body: &[u8], limit: usize) -> Result<Array, ArrayError> {
    let head = Head::read(body)?;
    let total = head.check(limit)?;
    let mut bytes = Bytes { body, at: head.length };
    let mut chunks = Vec::new();
    let mut left = total;
    for _ in 0..head.chunks {
        let unpacked = u64::from_le_bytes(bytes.array()?);
        let packed = u64::from_le_bytes(bytes.array()?);
        let unpacked = usize::try_from(unpacked).ok().filter(|length| (1..=left).contains(length));
        let unpacked = unpacked.ok_or(ArrayError::damaged("a chunk does not fit the shape"))?;
        let packed = usize::try_from(packed).unwrap_or(usize::MAX);
        chunks.push((unpacked, bytes.take(packed)?));
        left -= unpacked;
    }
    if left > 0 {
        return Err(ArrayError::damaged("the chunks hold less than the shape says"));
    }
    if bytes.at != body.len() {
        return Err(ArrayError::damaged("bytes follow the last chunk"));
    }
    let mut unpacked = Vec::new();
    unpacked.try_reserve_exact(total).map_err(|_| ArrayError::OutOfMemory { bytes: total })?;
    unpacked.resize(total, 0);
    let mut rest = &mut unpacked[..];
    for (length, chunk) in chunks {
        let (part, after) = rest.split_at_mut(length);
        blosc::unpack(chunk, part)?;
        rest = after;
    }
    Ok(Array { element: head.element, shape: head.shape, bytes: unpacked })
}

impl fmt::Debug for Array {
    /// Type and shape alone: the elements may be many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { element, shape, bytes: _ } = self;
        f.debug_struct("Array").field("element", element).field("shape", shape).finish_non_exhaustive()
    }
}

impl Array {
    /// Type of the elements.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Size along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements as bytes, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether each element differs from 0.
    pub fn is_set(&self) -> impl Iterator<Item = bool> {
        let element = self.element;
        self.bytes.chunks_exact(element.bytes()).map(move |bytes| match element {
            // Minus 0 is 0.
            ElementType::Float16 | ElementType::Float32 | ElementType::Float64 => {
                let (last, others) = bytes.split_last().unwrap_or((&0, &[]));
                last & 0x7f != 0 || others.iter().any(|byte| *byte != 0)
            }
            _ => bytes.iter().any(|byte| *byte != 0),
        })
    }

    /// The elements as `f32`, and how many of them were NaN, which becomes 0. What is beyond the range of `f32` becomes its
    /// largest number of that sign.
    ///
    /// # Errors
    /// [`ArrayError::OutOfMemory`].
    pub fn to_f32(&self) -> Result<(Vec<f32>, usize), ArrayError> {
        match self.element {
            ElementType::Bool => self.numbers(|[byte]: [u8; 1]| f64::from(u8::from(byte != 0))),
            ElementType::Int8 => self.numbers(|bytes| i8::from_le_bytes(bytes).into()),
            ElementType::Uint8 => self.numbers(|bytes| u8::from_le_bytes(bytes).into()),
            ElementType::Int16 => self.numbers(|bytes| i16::from_le_bytes(bytes).into()),
            ElementType::Uint16 => self.numbers(|bytes| u16::from_le_bytes(bytes).into()),
            ElementType::Int32 => self.numbers(|bytes| i32::from_le_bytes(bytes).into()),
            ElementType::Uint32 => self.numbers(|bytes| u32::from_le_bytes(bytes).into()),
            ElementType::Int64 => self.numbers(|bytes| i64::from_le_bytes(bytes) as f64),
            ElementType::Uint64 => self.numbers(|bytes| u64::from_le_bytes(bytes) as f64),
            ElementType::Float16 => self.numbers(|bytes| f16::from_le_bytes(bytes).to_f64()),
            ElementType::Float32 => self.numbers(|bytes| f32::from_le_bytes(bytes).into()),
            ElementType::Float64 => self.numbers(f64::from_le_bytes),
        }
    }

    fn numbers<const N: usize>(
        &self,
        number: impl Fn([u8; N]) -> f64,
    ) -> Result<(Vec<f32>, usize), ArrayError> {
        let (elements, _) = self.bytes.as_chunks::<N>();
        let mut numbers = Vec::new();
        let bytes = elements.len().saturating_mul(size_of::<f32>());
        numbers.try_reserve_exact(elements.len()).map_err(|_| ArrayError::OutOfMemory { bytes })?;
        let mut nan = 0;
        numbers.extend(elements.iter().map(|bytes| {
            let number = number(*bytes);
            nan += usize::from(number.is_nan());
            if number.is_nan() { 0.0 } else { number.clamp(f32::MIN.into(), f32::MAX.into()) as f32 }
        }));
        Ok((numbers, nan))
    }
}
