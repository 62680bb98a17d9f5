use std::io::{BufRead, Read};

use dicom_dictionary_std::uids;
use rayon::prelude::*;

use super::{
    DicomError,
    file::{DicomFile, EXPLICIT_VR_BIG_ENDIAN},
    instance::Instance,
    jpeg,
    parser::Token,
    rle,
};
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
        let expected = ((size[0] * size[1] * bytes) as u64).saturating_mul(slice.frame_count() as u64);
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

/// Fills the planes of slices that are frames of one file, in the order of rows, with their values.
pub(super) fn read_planes(mut planes: Vec<(&Instance, &mut [f32])>) -> Result<(), IoError> {
    planes.sort_by_key(|(slice, _)| slice.frame);
    let Some((first, _)) = planes.first() else { return Ok(()) };
    let path = first.path.clone();
    let format = PixelFormat::of(first)?;
    let file = DicomFile::open(&path)?;
    decode(file, format, planes).map_err(|error| error.at(&path))
}

fn decode(
    mut file: DicomFile,
    format: PixelFormat,
    planes: Vec<(&Instance, &mut [f32])>,
) -> Result<(), DicomError> {
    file.check_supported()?;
    let (in_fragments, bytes) = loop {
        match file.parser.next()? {
            Token::Pixels { in_fragments, bytes } => break (in_fragments, bytes),
            Token::SequenceStart(_) => file.parser.skip_sequence()?,
            Token::End => return Err(DicomError::AttributeMissing { name: "PixelData" }),
            _ => {}
        }
    };
    let uid = file.transfer_syntax.as_str();
    let codec = Codec::of(uid).ok_or_else(|| unsupported(uid))?;
    let frame_count = planes.first().map_or(1, |(slice, _)| slice.frame.map_or(1, |[_, count]| count));
    if (codec == Codec::None) == in_fragments {
        let reason = "expected pixels in the form of the file's transfer syntax".to_owned();
        return Err(DicomError::Damaged { reason });
    }
    if codec != Codec::None {
        let frames = file.parser.take_fragments()?.into_frames(frame_count)?;
        return planes.into_par_iter().try_for_each(|(slice, plane)| {
            let frame = frames.get(slice.frame.map_or(0, |[frame, _]| frame)).map_or(&[][..], Vec::as_slice);
            decode_frame(codec, frame, format, &scaling(slice)?, plane)
        });
    }
    let plane_bytes = format.count() * format.bytes;
    let expected = (plane_bytes as u64).saturating_mul(frame_count as u64);
    if bytes < expected {
        let reason = format!("expected {expected} bytes of pixels, found {bytes}");
        return Err(DicomError::Damaged { reason });
    }
    let mut reader = file.parser.into_reader();
    let mut next = 0;
    for (slice, plane) in planes {
        let frame = slice.frame.map_or(0, |[frame, _]| frame);
        while next < frame {
            read_exactly(&mut reader, plane_bytes)?;
            next += 1;
        }
        next += 1;
        let stored = read_exactly(&mut reader, plane_bytes)?;
        fill(plane, &stored, format, file.big_endian, scaling(slice)?);
    }
    Ok(())
}

/// From a stored number to the value.
fn scaling(slice: &Instance) -> Result<impl Fn(i32) -> f32 + use<>, DicomError> {
    let Rescale { slope, intercept } = slice.rescale()?;
    Ok(move |number: i32| {
        (slope * f64::from(number) + intercept).clamp(f32::MIN.into(), f32::MAX.into()) as f32
    })
}

fn decode_frame(
    codec: Codec,
    frame: &[u8],
    format: PixelFormat,
    value: &impl Fn(i32) -> f32,
    plane: &mut [f32],
) -> Result<(), DicomError> {
    let numbers = match codec {
        Codec::Jpeg => jpeg::decode_jpeg(frame, format.size)?,
        Codec::Jpeg2000 => jpeg::decode_jpeg2000(frame, format.size)?,
        Codec::JpegLs => jpeg::decode_jpeg_ls(frame, format.size)?,
        Codec::Rle | Codec::None => {
            let stored = rle::decode(frame, format.count(), format.bytes)?;
            fill(plane, &stored, format, false, value);
            return Ok(());
        }
    };
    // A codestream of negative numbers is told from one that holds their bits alone by its own numbers.
    plane.iter_mut().zip(numbers).for_each(|(to, number)| *to = value(format.number(number as u32)));
    Ok(())
}

/// How pixels are compressed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Codec {
    None,
    Rle,
    Jpeg,
    Jpeg2000,
    JpegLs,
}

impl Codec {
    pub(super) fn of(transfer_syntax: &str) -> Option<Self> {
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
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Some(Self::JpegLs),
            _ => None,
        }
    }
}

/// Fails unless slices in `transfer_syntax` can be decoded, which is asked before memory is taken.
pub(super) fn check_codec(transfer_syntax: &str) -> Result<(), DicomError> {
    if Codec::of(transfer_syntax).is_some() { Ok(()) } else { Err(unsupported(transfer_syntax)) }
}

pub(super) fn unsupported(uid: &str) -> DicomError {
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

fn read_exactly(reader: &mut impl BufRead, count: usize) -> Result<Vec<u8>, DicomError> {
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
