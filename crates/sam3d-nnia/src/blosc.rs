//! A chunk in the format of blosc2: a header of 32 bytes, an offset for each block, and the blocks' streams.

use rayon::prelude::*;

use crate::{ArrayError, head::Bytes, lz4, zstd::Zstd};

/// Bytes of the header.
pub(crate) const HEADER: usize = 32;
/// The version of the format.
pub(crate) const VERSION: u8 = 5;
/// The flags of a header of 32 bytes.
pub(crate) const LONG_HEADER: u8 = 0b101;
/// The flag of a chunk whose bytes follow as they are.
const STORED: u8 = 0b10;
/// The flag of blocks with one stream; otherwise there is one for each byte of the element.
pub(crate) const ONE_STREAM: u8 = 0b1_0000;
/// Codecs, in the highest three bits of the flags.
const LZ4: u8 = 1;
pub(crate) const ZSTD: u8 = 4;
const SHUFFLE: u8 = 1;

/// What the header of a chunk says.
struct Layout {
    element: usize,
    block: usize,
    is_shuffled: bool,
    has_one_stream: bool,
    codec: u8,
}

/// Unpacks `chunk` into `out`, which it must fill.
pub(crate) fn unpack(chunk: &[u8], out: &mut [u8]) -> Result<(), ArrayError> {
    let mut bytes = Bytes { body: chunk, at: 0 };
    let [version, _codec_version, flags, element] = bytes.array()?;
    let length = i32::from_le_bytes(bytes.array()?);
    let block = i32::from_le_bytes(bytes.array()?);
    let packed = i32::from_le_bytes(bytes.array()?);
    let rest: [u8; 16] = bytes.array()?;
    let (filters, filter_arguments, special) = (&rest[..6], &rest[8..14], rest[15]);
    let unsupported =
        |what, found: u8, expected| Err(ArrayError::Unsupported { what, found: found.to_string(), expected });
    if version != VERSION {
        return unsupported("version of a chunk", version, "5");
    }
    if flags & LONG_HEADER != LONG_HEADER {
        return unsupported("kind of a chunk", flags, "a header of 32 bytes");
    }
    let is = |number: i32, expected: usize| usize::try_from(number).is_ok_and(|number| number == expected);
    if !is(length, out.len()) || !is(packed, chunk.len()) {
        return Err(ArrayError::damaged("the lengths inside and outside a chunk differ"));
    }
    if element == 0 {
        return Err(ArrayError::damaged("elements of no bytes"));
    }
    if special & !0b111_0000 != 0 {
        return unsupported("kind of a chunk", special, "one without a dictionary");
    }
    match special >> 4 {
        0 => {}
        1 => {
            out.fill(0);
            return Ok(());
        }
        2 => return repeat(out, nan(element)?),
        3 => return repeat(out, bytes.take(element.into())?),
        other => return unsupported("kind of a chunk", other, "0 to 3"),
    }
    if flags & STORED != 0 {
        out.copy_from_slice(bytes.take(out.len())?);
        return Ok(());
    }
    let shuffled = filters.iter().filter(|filter| **filter == SHUFFLE).count();
    let is_known = filters.iter().all(|filter| *filter <= SHUFFLE) && shuffled <= 1;
    if !is_known || filter_arguments.iter().any(|argument| *argument != 0) {
        let found = filters.iter().copied().max().unwrap_or_default();
        return unsupported("filter", found, "none or byte shuffle");
    }
    let element = usize::from(element);
    let block = usize::try_from(block).ok().filter(|block| (1..=out.len()).contains(block));
    let block = block.ok_or(ArrayError::damaged("blocks of no bytes, or larger than their chunk"))?;
    let layout = Layout {
        element,
        block,
        is_shuffled: shuffled == 1 && element > 1,
        has_one_stream: flags & ONE_STREAM != 0,
        codec: flags >> 5,
    };
    if layout.codec != ZSTD && layout.codec != LZ4 {
        return unsupported("codec of a chunk", layout.codec, "1 (LZ4) or 4 (zstd)");
    }
    if !layout.has_one_stream && !block.is_multiple_of(element) {
        return Err(ArrayError::damaged("a block is not a whole number of elements"));
    }
    let count = out.len().div_ceil(block);
    let table = bytes.take(count.saturating_mul(4))?;
    let (offsets, _) = table.as_chunks::<4>();
    let first = bytes.at;
    out.par_chunks_mut(block).zip(offsets).try_for_each_init(Decoders::default, |decoders, (out, offset)| {
        let offset = usize::try_from(i32::from_le_bytes(*offset)).ok();
        let offset = offset.filter(|offset| (first..chunk.len()).contains(offset));
        let at = offset.ok_or(ArrayError::damaged("a block lies outside its chunk"))?;
        layout.unpack_block(Bytes { body: chunk, at }, out, decoders)
    })
}

/// What is used again for the next block.
#[derive(Default)]
struct Decoders {
    zstd: Zstd,
    shuffled: Vec<u8>,
}

impl Layout {
    fn unpack_block(
        &self,
        mut bytes: Bytes<'_>,
        out: &mut [u8],
        Decoders { zstd, shuffled }: &mut Decoders,
    ) -> Result<(), ArrayError> {
        // The last block, if shorter, always has one stream.
        let is_split = !self.has_one_stream && out.len() == self.block;
        let stream = if is_split { self.block / self.element } else { out.len() };
        if !self.is_shuffled {
            return out
                .chunks_mut(stream)
                .try_for_each(|out| unpack_stream(&mut bytes, out, self.codec, zstd));
        }
        shuffled.clear();
        shuffled.resize(out.len(), 0);
        for stream in shuffled.chunks_mut(stream) {
            unpack_stream(&mut bytes, stream, self.codec, zstd)?;
        }
        // Byte j of element i lies at j * count + i; what is left of an element stays at the end.
        let count = out.len() / self.element;
        let whole = count * self.element;
        if count > 0 {
            for (j, bytes) in shuffled[..whole].chunks(count).enumerate() {
                for (to, byte) in out[j..whole].iter_mut().step_by(self.element).zip(bytes) {
                    *to = *byte;
                }
            }
        }
        out[whole..].copy_from_slice(&shuffled[whole..]);
        Ok(())
    }
}

/// Unpacks the next stream into `out`, which it must fill.
fn unpack_stream(
    bytes: &mut Bytes<'_>,
    out: &mut [u8],
    codec: u8,
    zstd: &mut Zstd,
) -> Result<(), ArrayError> {
    let length = i32::from_le_bytes(bytes.array()?);
    let Ok(length) = usize::try_from(length) else {
        let [token] = bytes.array()?;
        let byte = u8::try_from(length.unsigned_abs()).ok().filter(|_| token & 1 == 1);
        out.fill(byte.ok_or(ArrayError::damaged("a run of bytes is invalid"))?);
        return Ok(());
    };
    if length == 0 {
        out.fill(0);
        return Ok(());
    }
    let packed = bytes.take(length)?;
    if length == out.len() {
        out.copy_from_slice(packed);
        Ok(())
    } else if codec == ZSTD {
        zstd.unpack(packed, out)
    } else {
        lz4::unpack(packed, out)
    }
}

fn repeat(out: &mut [u8], value: &[u8]) -> Result<(), ArrayError> {
    if !out.len().is_multiple_of(value.len()) {
        return Err(ArrayError::damaged("a chunk is not a whole number of elements"));
    }
    out.chunks_mut(value.len()).for_each(|element| element.copy_from_slice(value));
    Ok(())
}

/// NaN in an element of `bytes` bytes.
fn nan(bytes: u8) -> Result<&'static [u8], ArrayError> {
    const SINGLE: [u8; 4] = f32::NAN.to_le_bytes();
    const DOUBLE: [u8; 8] = f64::NAN.to_le_bytes();
    match bytes {
        4 => Ok(&SINGLE),
        8 => Ok(&DOUBLE),
        _ => Err(ArrayError::damaged("NaN in elements that cannot hold it")),
    }
}
