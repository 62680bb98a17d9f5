//! One block of LZ4, unpacked into a given space.

use crate::{ArrayError, head::Bytes};

/// Shortest repetition.
const SHORTEST: usize = 4;

/// Unpacks the block `packed` into `out`, which it must fill.
pub(crate) fn unpack(packed: &[u8], out: &mut [u8]) -> Result<(), ArrayError> {
    let mut bytes = Bytes { body: packed, at: 0 };
    let damaged = || ArrayError::damaged("an LZ4 stream cannot be decompressed to its length");
    let mut filled = 0;
    loop {
        let [token] = bytes.array().map_err(|_| damaged())?;
        let literals = length(token >> 4, &mut bytes)?;
        let end = filled + literals;
        let to = out.get_mut(filled..end).ok_or_else(damaged)?;
        to.copy_from_slice(bytes.take(literals).map_err(|_| damaged())?);
        filled = end;
        if bytes.at == packed.len() {
            return if filled == out.len() { Ok(()) } else { Err(damaged()) };
        }
        let distance = usize::from(u16::from_le_bytes(bytes.array().map_err(|_| damaged())?));
        let repeated = length(token & 15, &mut bytes)? + SHORTEST;
        let from = filled.checked_sub(distance).filter(|_| distance > 0).ok_or_else(damaged)?;
        if repeated > out.len() - filled {
            return Err(damaged());
        }
        // What is repeated may reach into what is being written.
        for at in 0..repeated {
            out[filled + at] = out[from + at];
        }
        filled += repeated;
    }
}

/// The length that begins with four bits, and goes on in bytes as long as they are 255.
fn length(start: u8, bytes: &mut Bytes<'_>) -> Result<usize, ArrayError> {
    let mut length = usize::from(start);
    if start == 15 {
        loop {
            let [more] = bytes.array()?;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Ok(length)
}
