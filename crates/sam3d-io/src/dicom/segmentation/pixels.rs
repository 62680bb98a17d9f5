//! The pixels of a segmentation.

use crate::dicom::{
    DicomError,
    file::DicomFile,
    pixels::{Codec, unsupported},
    rle,
};

/// Pixels of a frame, and bits of a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    pub(super) pixels: usize,
    pub(super) bits: u16,
}

/// Pixels as they are stored, or decompressed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pixels {
    layout: Layout,
    big_endian: bool,
    bytes: Vec<u8>,
}

/// Reads the pixels that come next in `file`.
pub(super) fn read(
    file: &mut DicomFile,
    layout: Layout,
    frames: usize,
    in_fragments: bool,
    bytes: u64,
) -> Result<Pixels, DicomError> {
    let codec = Codec::of(&file.transfer_syntax).ok_or_else(|| unsupported(&file.transfer_syntax))?;
    let is_known = match codec {
        Codec::None => !in_fragments,
        Codec::Rle => in_fragments && layout.bits > 1,
        Codec::Jpeg | Codec::JpegLs | Codec::Jpeg2000 => return Err(unsupported(&file.transfer_syntax)),
    };
    if !is_known {
        let reason = "expected pixels in the form of the file's transfer syntax".to_owned();
        return Err(DicomError::Damaged { reason });
    }
    if codec == Codec::Rle {
        let value_bytes = usize::from(layout.bits / 8);
        let mut all = Vec::new();
        for frame in file.parser.take_fragments()?.into_frames(frames)? {
            all.extend(rle::decode(&frame, layout.pixels, value_bytes)?);
        }
        return Ok(Pixels { layout, big_endian: false, bytes: all });
    }
    let bits = (layout.pixels as u64 * u64::from(layout.bits)).saturating_mul(frames as u64);
    let expected = bits.div_ceil(8);
    if bytes < expected {
        let reason = format!("expected {expected} bytes of pixels, found {bytes}");
        return Err(DicomError::Damaged { reason });
    }
    // No more than the file has.
    let stored = file.parser.take(bytes)?;
    Ok(Pixels { layout, big_endian: file.big_endian, bytes: stored })
}

impl Pixels {
    /// Calls `found` with the place in the frame, row after row, and the value of each pixel of `frame` that is not 0.
    pub(super) fn for_nonzero<E>(
        &self,
        frame: usize,
        mut found: impl FnMut(usize, u16) -> Result<(), E>,
    ) -> Result<(), E> {
        let Layout { pixels, bits } = self.layout;
        let first = frame * pixels;
        match bits {
            1 => {
                let mut at = 0;
                while at < pixels {
                    let bit = first + at;
                    let byte = self.bytes.get(bit / 8).copied().unwrap_or(0);
                    // Whole bytes without voxels, which most are, at once.
                    if byte == 0 && bit.is_multiple_of(8) {
                        at += 8;
                        continue;
                    }
                    if byte >> (bit % 8) & 1 == 1 {
                        found(at, 1)?;
                    }
                    at += 1;
                }
            }
            8 => {
                let values = self.bytes.get(first..first + pixels).unwrap_or_default();
                for (at, value) in values.iter().enumerate().filter(|(_, value)| **value != 0) {
                    found(at, u16::from(*value))?;
                }
            }
            _ => {
                let values = self.bytes.get(2 * first..2 * (first + pixels)).unwrap_or_default();
                let (values, _) = values.as_chunks::<2>();
                for (at, value) in values.iter().enumerate().filter(|(_, value)| **value != [0, 0]) {
                    let value =
                        if self.big_endian { u16::from_be_bytes(*value) } else { u16::from_le_bytes(*value) };
                    found(at, value)?;
                }
            }
        }
        Ok(())
    }
}
