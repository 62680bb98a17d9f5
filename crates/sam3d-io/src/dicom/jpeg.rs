//! JPEG, JPEG-LS and JPEG 2000 frames of one component.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::DicomError;

/// Values of a frame, in the order of its rows.
pub(super) fn decode_jpeg(frame: &[u8], [columns, rows]: [usize; 2]) -> Result<Vec<i32>, DicomError> {
    let damaged = |reason: String| DicomError::PixelsDamaged { codec: "JPEG", reason };
    guarded("JPEG", || {
        let mut decoder = jpeg_decoder::Decoder::new(frame);
        // Its own size is checked before memory is taken for it.
        decoder.read_info().map_err(|error| damaged(error.to_string()))?;
        let info = decoder.info().ok_or_else(|| damaged("the frame header is missing".into()))?;
        check_size("JPEG", [info.width.into(), info.height.into()], [columns, rows])?;
        decoder.set_max_decoding_buffer_size(2 * columns * rows);
        let bytes = decoder.decode().map_err(|error| damaged(error.to_string()))?;
        let values: Vec<i32> = match info.pixel_format {
            jpeg_decoder::PixelFormat::L8 => bytes.into_iter().map(i32::from).collect(),
            jpeg_decoder::PixelFormat::L16 => {
                let (values, _) = bytes.as_chunks::<2>();
                values.iter().map(|value| u16::from_ne_bytes(*value).into()).collect()
            }
            _ => return Err(damaged("expected one component, found several".into())),
        };
        check_count("JPEG", values.len(), columns * rows)?;
        Ok(values)
    })
}

/// Values of a frame, lossless or nearly so, in the order of its rows.
pub(super) fn decode_jpeg_ls(frame: &[u8], [columns, rows]: [usize; 2]) -> Result<Vec<i32>, DicomError> {
    const CODEC: &str = "JPEG-LS";
    let damaged = |reason: String| DicomError::PixelsDamaged { codec: CODEC, reason };
    let [width, height] = [columns, rows].map(|size| u32::try_from(size).unwrap_or(u32::MAX));
    guarded(CODEC, || {
        // Takes memory only for a frame whose own header has this size.
        let (values, ..) =
            jpegls::decode(frame, width, height).map_err(|error| damaged(error.to_string()))?;
        check_count(CODEC, values.len(), columns * rows)?;
        Ok(values.into_iter().map(i32::from).collect())
    })
}

/// Values of a frame, in the order of its rows; negative ones if the codestream says that it has such.
pub(super) fn decode_jpeg2000(frame: &[u8], [columns, rows]: [usize; 2]) -> Result<Vec<i32>, DicomError> {
    const CODEC: &str = "JPEG 2000";
    let damaged = |reason: String| DicomError::PixelsDamaged { codec: CODEC, reason };
    let component =
        first_component(frame).ok_or_else(|| damaged("expected a codestream of one component".into()))?;
    guarded(CODEC, || {
        let image =
            Image::new(frame, &DecodeSettings::default()).map_err(|error| damaged(error.to_string()))?;
        check_size(CODEC, [image.width() as usize, image.height() as usize], [columns, rows])?;
        let mut context = DecoderContext::default();
        let decoded = image.decode(&mut context).map_err(|error| damaged(error.to_string()))?;
        let samples = decoded.components().first().map_or(&[][..], |component| component.samples());
        check_count(CODEC, samples.len(), columns * rows)?;
        // The decoder shifts every component up by half its range, as only unsigned ones are meant to be.
        let shift = if component.signed { 1 << (component.bits - 1) } else { 0 };
        Ok(samples.iter().map(|sample| sample.round() as i32 - shift).collect())
    })
}

struct Component {
    signed: bool,
    bits: u32,
}

/// What the codestream's first marker segment (ISO/IEC 15444-1, A.5.1) says of its only component.
fn first_component(codestream: &[u8]) -> Option<Component> {
    const COUNT_AT: usize = 40;
    let is_codestream = codestream.starts_with(&[0xff, 0x4f, 0xff, 0x51]);
    let [high, low, precision] = *codestream.get(COUNT_AT..)?.first_chunk::<3>()?;
    let bits = u32::from(precision & 0x7f) + 1;
    let is_single = u16::from_be_bytes([high, low]) == 1;
    (is_codestream && is_single && bits <= 16).then_some(Component { signed: precision & 0x80 != 0, bits })
}

/// Turns a panic of a decoder, on a hostile file, into an error.
fn guarded<T>(codec: &'static str, decode: impl FnOnce() -> Result<T, DicomError>) -> Result<T, DicomError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(DicomError::PixelsDamaged { codec, reason: "the decoder failed".to_owned() }))
}

fn check_size(codec: &'static str, found: [usize; 2], expected: [usize; 2]) -> Result<(), DicomError> {
    if found == expected {
        return Ok(());
    }
    let reason =
        format!("expected {} x {} values, found {} x {}", expected[0], expected[1], found[0], found[1]);
    Err(DicomError::PixelsDamaged { codec, reason })
}

fn check_count(codec: &'static str, found: usize, expected: usize) -> Result<(), DicomError> {
    if found == expected {
        return Ok(());
    }
    Err(DicomError::PixelsDamaged { codec, reason: format!("expected {expected} values, found {found}") })
}
