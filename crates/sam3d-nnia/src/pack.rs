//! Masks as packed arrays.

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::{
    ElementType,
    blosc::{HEADER, LONG_HEADER, ONE_STREAM, VERSION, ZSTD},
    head,
};

/// Bytes of a chunk's elements, as the protocol's own client cuts them: a multiple of every element.
const CHUNK: usize = 1 << 30;
/// Bytes of a block's elements.
const BLOCK: usize = 1 << 17;

/// The packed array of shape `shape` with 1 where `is_set`, in C order, and 0 elsewhere. Elements that `is_set` lacks are 0.
pub fn pack<const N: usize>(
    element: ElementType,
    shape: [usize; N],
    is_set: impl IntoIterator<Item = bool>,
) -> Vec<u8> {
    let mut body = head(element, shape);
    let mut is_set = is_set.into_iter();
    let mut left = total(element, shape);
    let mut block = Vec::new();
    while left > 0 {
        let length = left.min(CHUNK);
        left -= length;
        let chunk = pack_chunk(element, length, &mut is_set, &mut block);
        body.extend((length as u64).to_le_bytes());
        body.extend((chunk.len() as u64).to_le_bytes());
        body.extend(chunk);
    }
    body
}

/// The first bytes of [`pack`], which do not depend on the elements: head and length of the first chunk.
pub fn known_start<const N: usize>(element: ElementType, shape: [usize; N]) -> Vec<u8> {
    let mut start = head(element, shape);
    match total(element, shape) {
        0 => {}
        total => start.extend((total.min(CHUNK) as u64).to_le_bytes()),
    }
    start
}

fn total<const N: usize>(element: ElementType, shape: [usize; N]) -> usize {
    shape.iter().fold(element.bytes(), |product, size| product.saturating_mul(*size))
}

fn head<const N: usize>(element: ElementType, shape: [usize; N]) -> Vec<u8> {
    let name = element.name();
    let mut head = head::MAGIC.to_vec();
    head.extend([head::VERSION, head::ZSTD, N as u8, name.len() as u8]);
    head.extend(name.bytes());
    shape.iter().for_each(|size| head.extend((*size as i64).to_le_bytes()));
    head.extend((total(element, shape).div_ceil(CHUNK) as u32).to_le_bytes());
    head
}

/// A chunk of `length` bytes; `block` is space that is used again.
fn pack_chunk(
    element: ElementType,
    length: usize,
    is_set: &mut impl Iterator<Item = bool>,
    block: &mut Vec<u8>,
) -> Vec<u8> {
    let blocks = length.div_ceil(BLOCK);
    let mut streams: Vec<u8> = Vec::new();
    let mut offsets = Vec::new();
    let first = HEADER + 4 * blocks;
    let one = element.one();
    let mut any = false;
    for number in 0..blocks {
        offsets.extend(((first + streams.len()) as i32).to_le_bytes());
        let bytes = BLOCK.min(length - number * BLOCK);
        block.clear();
        block.resize(bytes, 0);
        let mut block_any = false;
        for to in block.chunks_mut(element.bytes()) {
            if is_set.next() == Some(true) {
                to.copy_from_slice(&one[..to.len()]);
                block_any = true;
            }
        }
        if !block_any {
            // A stream of zeros.
            streams.extend(0i32.to_le_bytes());
            continue;
        }
        any = true;
        let packed = compress_to_vec(&block[..], CompressionLevel::Fastest);
        let stream = if packed.len() < bytes { &packed } else { &*block };
        streams.extend((stream.len() as i32).to_le_bytes());
        streams.extend(stream);
    }
    // A chunk of zeros is its header.
    let packed = if any { first + streams.len() } else { HEADER };
    let mut chunk = vec![VERSION, 1, LONG_HEADER | ONE_STREAM | ZSTD << 5, element.bytes() as u8];
    for number in [length, BLOCK.min(length), packed] {
        chunk.extend((number as i32).to_le_bytes());
    }
    chunk.extend([0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, if any { 0 } else { 1 << 4 }]);
    if any {
        chunk.extend(offsets);
        chunk.extend(streams);
    }
    chunk
}
