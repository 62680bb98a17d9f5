//! One frame of zstd, unpacked into a given space.

use std::{
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::ArrayError;

/// Largest window of a frame, for which the decoder takes memory: what every decoder of zstd is to support.
const WINDOW: u64 = 8 << 20;

/// A decoder, whose memory is used again.
#[derive(Default)]
pub(crate) struct Zstd(Option<FrameDecoder>);

impl Zstd {
    /// Unpacks the frame `packed` into `out`, which it must fill.
    pub(crate) fn unpack(&mut self, packed: &[u8], out: &mut [u8]) -> Result<(), ArrayError> {
        let mut decoder = self.0.take().unwrap_or_else(|| {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(WINDOW);
            decoder
        });
        // The decoder states some of what it relies on by assertions. One that fails is the frame's fault, and costs the decoder.
        let unpacked = catch_unwind(AssertUnwindSafe(|| decode(&mut decoder, packed, out).map(|()| decoder)));
        match unpacked {
            Ok(Some(decoder)) => {
                self.0 = Some(decoder);
                Ok(())
            }
            _ => Err(ArrayError::damaged("a zstd stream cannot be decompressed to its length")),
        }
    }
}

/// `None` if the frame is damaged or of another length than `out`.
fn decode(decoder: &mut FrameDecoder, mut packed: &[u8], out: &mut [u8]) -> Option<()> {
    decoder.init(&mut packed).ok()?;
    let mut filled = 0;
    while !decoder.is_finished() {
        // One block has at most 128 KiB, so that what is kept is bounded by the window and that.
        decoder.decode_blocks(&mut packed, BlockDecodingStrategy::UptoBlocks(1)).ok()?;
        filled += decoder.read(&mut out[filled..]).ok()?;
        if filled == out.len() && !decoder.is_finished() && decoder.can_collect() > 0 {
            return None;
        }
    }
    filled += decoder.read(&mut out[filled..]).ok()?;
    (filled == out.len() && decoder.can_collect() == 0 && packed.is_empty()).then_some(())
}
