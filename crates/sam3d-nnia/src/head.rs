//! What a packed array says of itself before its elements.

use crate::{ArrayError, ElementType};

pub(crate) const MAGIC: [u8; 4] = *b"NNIA";
pub(crate) const VERSION: u8 = 1;
/// The note of the codec: zstd.
pub(crate) const ZSTD: u8 = 1;
const LZ4: u8 = 2;
/// Most axes of an array.
const AXES: usize = 8;
/// Length of the longest element type's name.
const NAME: usize = 16;

/// Element type, shape and number of chunks of a packed array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<usize>,
    pub(crate) chunks: u32,
    pub(crate) length: usize,
}

impl Head {
    /// Bytes of the longest head: whoever has so many of a body can read its head.
    pub const LONGEST: usize = 8 + NAME + 8 * AXES + 4;

    /// Reads the head at the start of `body`.
    ///
    /// # Errors
    /// [`ArrayError`], of which [`Truncated`](ArrayError::Truncated) means that more bytes are needed.
    pub fn read(body: &[u8]) -> Result<Self, ArrayError> {
        let mut bytes = Bytes { body, at: 0 };
        let magic = bytes.take(4)?;
        if magic != MAGIC {
            let found = String::from_utf8_lossy(magic).into_owned();
            return Err(ArrayError::NotAnArray { found });
        }
        let [version, codec, axes, name] = bytes.array()?;
        let unsupported = |what, found: u8, expected| {
            Err(ArrayError::Unsupported { what, found: found.to_string(), expected })
        };
        if version != VERSION {
            return unsupported("version", version, "1");
        }
        if codec != ZSTD && codec != LZ4 {
            return unsupported("codec", codec, "1 (zstd) or 2 (LZ4)");
        }
        if usize::from(axes) > AXES {
            return unsupported("number of axes", axes, "8 at most");
        }
        if usize::from(name) > NAME {
            return unsupported("length of the element type", name, "16 at most");
        }
        let name = bytes.take(name.into())?;
        let name = String::from_utf8_lossy(name).into_owned();
        let element = ElementType::of_name(&name).ok_or(ArrayError::Unsupported {
            what: "element type",
            found: name,
            expected: "bool, int8 to int64, uint8 to uint64 or float16 to float64",
        })?;
        let sizes = (0..axes).map(|_| {
            let size = i64::from_le_bytes(bytes.array()?);
            usize::try_from(size).map_err(|_| ArrayError::damaged("a size is negative"))
        });
        let shape = sizes.collect::<Result<Vec<_>, _>>()?;
        let chunks = u32::from_le_bytes(bytes.array()?);
        Ok(Self { element, shape, chunks, length: bytes.at })
    }

    /// Type of the elements.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Size along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes of all elements, if there are at most `limit` elements.
    ///
    /// # Errors
    /// [`ArrayError::TooLarge`].
    pub fn check(&self, limit: usize) -> Result<usize, ArrayError> {
        // Saturated, the product is beyond every limit, unless a later size is 0.
        let elements = if self.shape.contains(&0) {
            0
        } else {
            self.shape.iter().fold(1u128, |product, size| product.saturating_mul(*size as u128))
        };
        usize::try_from(elements)
            .ok()
            .filter(|count| *count <= limit)
            .and_then(|count| count.checked_mul(self.element.bytes()))
            .ok_or(ArrayError::TooLarge { elements, limit })
    }

    /// The most bytes that a whole body with this head may have, when its elements have `bytes` bytes: incompressible data
    /// grows by the lengths of its streams.
    pub fn longest_body(&self, bytes: usize) -> u64 {
        let chunks = u64::from(self.chunks).min(1 + bytes as u64 / 1024);
        self.length as u64 + bytes as u64 + bytes as u64 / 32 + chunks * 256 + (1 << 16)
    }
}

/// Bytes that are taken from the front.
pub(crate) struct Bytes<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ArrayError> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.body.get(self.at..end)).ok_or(ArrayError::Truncated {
            expected: (self.at as u64).saturating_add(count as u64),
            found: self.body.len() as u64,
        })?;
        self.at += count;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ArrayError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}
