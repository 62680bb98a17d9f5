use std::io::{BufRead, Read};

use dicom_dictionary_std::uids;

use super::{DicomError, file::DicomFile, instance::Instance, jpeg, parser::Token, rle};
use crate::{IoError, Rescale, ValueType};

/// The most values that one byte of a compressed file is believed to stand for: a slice of one value all over takes a
/// few hundred bytes in JPEG 2000, and its file some more.
const LARGEST_RATIO: u64 = 4096;

/// How the numbers of a slice are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PixelFormat {
    bytes: usize,
    /// Position of the lowest bit, and how many there are.
    lowest_bit: u32,
    bits: u32,
    signed: bool,
    size: [usize; 2],
}

impl PixelFormat {
    /// The format of a slice, and whether its file can hold that many numbers.
    pub(super) fn of(slice: &Instance) -> Result<Self, IoError> {
        let failed = |error: DicomError| error.at(&slice.path);
        let unsupported = |found: String| IoError::TypeUnsupported { path: slice.path.clone(), found };
        let missing = |name| failed(DicomError::AttributeMissing { name });
        if slice.frames.is_some_and(|frames| frames != 1.0) {
            let frames = slice.frames.unwrap_or_default().max(0.0);
            return Err(IoError::FramesUnsupported {
                path: slice.path.clone(),
                frames: frames as u64,
                dimensions: vec![frames as i64],
            });
        }
        if let Some(samples) = slice.samples.filter(|samples| *samples != 1) {
            return Err(unsupported(format!("{samples} numbers for each voxel")));
        }
        if !["", "MONOCHROME1", "MONOCHROME2"].contains(&slice.photometric.as_str()) {
            return Err(unsupported(format!("colours ({})", slice.photometric)));
        }
        if slice.has_lookup_table {
            return Err(unsupported("a table of values (ModalityLUTSequence)".into()));
        }
        let allocated = slice.bits_allocated.ok_or_else(|| missing("BitsAllocated"))?;
        let bytes = match allocated {
            8 => 1,
            16 => 2,
            _ => return Err(unsupported(format!("{allocated} bits for each voxel"))),
        };
        let bits = slice.bits_stored.unwrap_or(allocated);
        let high_bit = slice.high_bit.unwrap_or(bits.saturating_sub(1));
        if bits == 0 || bits > allocated || high_bit >= allocated || high_bit + 1 < bits {
            return Err(failed(DicomError::AttributeInvalid {
                name: "BitsStored",
                expected: "bits that BitsAllocated has and that end at HighBit",
            }));
        }
        let size = [slice.columns, slice.rows].map(|size| usize::from(size.unwrap_or_default()));
        let expected = (size[0] * size[1] * bytes) as u64;
        let found = slice.largest_bytes.saturating_mul(LARGEST_RATIO);
        if expected > found {
            return Err(IoError::Truncated { path: slice.path.clone(), expected, found });
        }
        Ok(Self {
            bytes,
            lowest_bit: u32::from(high_bit + 1 - bits),
            bits: bits.into(),
            signed: slice.signed,
            size,
        })
    }

    /// The numbers' type.
    pub(super) fn value_type(&self) -> ValueType {
        match (self.bytes, self.signed) {
            (1, false) => ValueType::Uint8,
            (1, true) => ValueType::Int8,
            (_, false) => ValueType::Uint16,
            (_, true) => ValueType::Int16,
        }
    }

    /// The number in the bits of a stored one; what other bits hold (overlays, in old files) is not part of it.
    fn number(&self, stored: u32) -> i32 {
        let value = (stored >> self.lowest_bit) << (32 - self.bits);
        if self.signed { (value as i32) >> (32 - self.bits) } else { (value >> (32 - self.bits)) as i32 }
    }

    fn count(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// Fills `plane`, in the order of rows, with the values of `slice`.
pub(super) fn read_plane(slice: &Instance, plane: &mut [f32]) -> Result<(), IoError> {
    let format = PixelFormat::of(slice)?;
    let file = DicomFile::open(&slice.path)?;
    slice
        .rescale()
        .and_then(|rescale| decode(file, format, rescale, plane))
        .map_err(|error| error.at(&slice.path))
}

fn decode(
    mut file: DicomFile,
    format: PixelFormat,
    rescale: Rescale,
    plane: &mut [f32],
) -> Result<(), DicomError> {
    let Rescale { slope, intercept } = rescale;
    let value =
        |number: i32| (slope * f64::from(number) + intercept).clamp(f32::MIN.into(), f32::MAX.into()) as f32;
    let (in_fragments, bytes) = loop {
        match file.parser.next()? {
            Token::Pixels { in_fragments, bytes } => break (in_fragments, bytes),
            Token::SequenceStart(_) => file.parser.skip_sequence()?,
            Token::End => return Err(DicomError::AttributeMissing { name: "PixelData" }),
            _ => {}
        }
    };
    let uid = file.transfer_syntax.as_str();
    match (Codec::of(uid), in_fragments) {
        (Some(Codec::None), false) => {
            let expected = format.count() * format.bytes;
            if bytes < expected as u64 {
                let reason = format!("expected {expected} bytes of pixels, found {bytes}");
                return Err(DicomError::Damaged { reason });
            }
            let stored = read_exactly(file.parser.into_reader(), expected)?;
            fill(plane, &stored, format, file.big_endian, value);
        }
        (Some(Codec::Rle), true) => {
            let stored = rle::decode(&file.parser.take_fragments()?, format.count(), format.bytes)?;
            fill(plane, &stored, format, false, value);
        }
        (Some(codec @ (Codec::Jpeg | Codec::Jpeg2000)), true) => {
            let frame = file.parser.take_fragments()?;
            let numbers = match codec {
                Codec::Jpeg => jpeg::decode_jpeg(&frame, format.size)?,
                _ => jpeg::decode_jpeg2000(&frame, format.size)?,
            };
            // A codestream of negative numbers is told from one that holds their bits alone by its own numbers.
            plane.iter_mut().zip(numbers).for_each(|(to, number)| *to = value(format.number(number as u32)));
        }
        (Some(_), _) => {
            let reason = "expected pixels in the form of the file's transfer syntax".to_owned();
            return Err(DicomError::Damaged { reason });
        }
        (None, _) => return Err(unsupported(uid)),
    }
    Ok(())
}

/// How pixels are compressed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Codec {
    None,
    Rle,
    Jpeg,
    Jpeg2000,
}

impl Codec {
    fn of(transfer_syntax: &str) -> Option<Self> {
        match transfer_syntax {
            uids::IMPLICIT_VR_LITTLE_ENDIAN
            | uids::EXPLICIT_VR_LITTLE_ENDIAN
            | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | EXPLICIT_VR_BIG_ENDIAN => Some(Self::None),
            uids::RLE_LOSSLESS => Some(Self::Rle),
            uids::JPEG_BASELINE8_BIT
            | uids::JPEG_EXTENDED12_BIT
            | uids::JPEG_LOSSLESS
            | uids::JPEG_LOSSLESS_SV1 => Some(Self::Jpeg),
            uids::JPEG2000_LOSSLESS | uids::JPEG2000 => Some(Self::Jpeg2000),
            _ => None,
        }
    }
}

/// Retired, and so not in the dictionary.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// Fails unless slices in `transfer_syntax` can be decoded, which is asked before memory is taken.
pub(super) fn check_codec(transfer_syntax: &str) -> Result<(), DicomError> {
    if Codec::of(transfer_syntax).is_some() { Ok(()) } else { Err(unsupported(transfer_syntax)) }
}

fn unsupported(uid: &str) -> DicomError {
    DicomError::TransferSyntaxUnsupported {
        uid: uid.to_owned(),
        name: super::file::transfer_syntax_name(uid),
    }
}

fn fill(plane: &mut [f32], stored: &[u8], format: PixelFormat, big_endian: bool, value: impl Fn(i32) -> f32) {
    if format.bytes == 1 {
        plane.iter_mut().zip(stored).for_each(|(to, byte)| *to = value(format.number((*byte).into())));
        return;
    }
    let (stored, _) = stored.as_chunks::<2>();
    let number =
        |bytes: &[u8; 2]| if big_endian { u16::from_be_bytes(*bytes) } else { u16::from_le_bytes(*bytes) };
    plane.iter_mut().zip(stored).for_each(|(to, bytes)| *to = value(format.number(number(bytes).into())));
}

fn read_exactly(reader: impl BufRead, count: usize) -> Result<Vec<u8>, DicomError> {
    let mut bytes = Vec::new();
    match reader.take(count as u64).read_to_end(&mut bytes) {
        Ok(read) if read == count => Ok(bytes),
        _ => Err(DicomError::Damaged {
            reason: format!("expected {count} bytes of pixels, found {}", bytes.len()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_fewer_bits_than_they_take() {
        let format =
            |lowest_bit, bits, signed| PixelFormat { bytes: 2, lowest_bit, bits, signed, size: [1, 1] };
        assert_eq!(format(0, 16, true).number(0xffff), -1);
        assert_eq!(format(0, 16, false).number(0xffff), 65535);
        assert_eq!(format(0, 12, true).number(0x0fff), -1);
        assert_eq!(format(0, 12, false).number(0xf123), 0x123);
        assert_eq!(format(4, 12, true).number(0x8010), -2047);
        assert_eq!(format(0, 16, true).number(-5i32 as u32), -5);
    }
}
