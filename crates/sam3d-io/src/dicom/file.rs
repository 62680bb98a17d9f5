use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use dicom_core::header::Header;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{
    decode::{DecodeFrom, explicit_le::ExplicitVRLittleEndianDecoder},
    transfer_syntax::{Endianness, TransferSyntaxIndex},
};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use flate2::bufread::DeflateDecoder;

use super::{DicomError, parser::Parser, value};
use crate::{IoError, source::open_file, source::read_failed};

/// The mark behind 128 bytes that may be anything.
const MARK: &[u8] = b"DICM";
const MARK_OFFSET: u64 = 128;
/// A data set that is deflated as a whole may not become longer.
const MOST_INFLATED_BYTES: u64 = 1 << 30;
/// The most bytes deflate can make of one.
const DEFLATE_LARGEST_RATIO: u64 = 1032;
/// Enough for the header of a slice, so that a scan of a directory reads each file once.
const BUFFER_BYTES: usize = 1 << 14;
const MOST_META_BYTES: u64 = 1 << 16;

type Reader = Box<dyn BufRead>;

/// An open DICOM file, its data set ahead.
pub(super) struct DicomFile {
    pub(super) parser: Parser<Reader>,
    /// UID of the transfer syntax.
    pub(super) transfer_syntax: String,
    pub(super) big_endian: bool,
    /// Bytes of the data set, or the most there can be of them.
    pub(super) largest_bytes: u64,
}

/// Whether a file begins as DICOM files do.
pub(crate) fn begins_as_dicom(start: &[u8]) -> bool {
    start.get(MARK_OFFSET as usize..).is_some_and(|rest| rest.starts_with(MARK))
}

/// Whether the file at `path` begins as DICOM files do.
pub(super) fn is_dicom(path: &Path) -> Result<bool, IoError> {
    let mut start = Vec::new();
    let count = MARK_OFFSET + MARK.len() as u64;
    open_file(path)?.take(count).read_to_end(&mut start).map_err(|source| read_failed(path, source))?;
    Ok(begins_as_dicom(&start))
}

impl DicomFile {
    /// Opens the file at `path`, which begins as DICOM files do, and reads in which form its data set is.
    pub(super) fn open(path: &Path) -> Result<Self, IoError> {
        let failed = |source| read_failed(path, source);
        let mut file = open_file(path)?;
        let length = file.metadata().map_err(failed)?.len();
        let start = MARK_OFFSET + MARK.len() as u64;
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        Self::read(file, start, length).map_err(|error| error.at(path))
    }

    fn read(file: File, start: u64, length: u64) -> Result<Self, DicomError> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let (transfer_syntax, meta_bytes) = read_meta(&mut reader)?;
        let position = start + meta_bytes;
        let stored = length.saturating_sub(position);
        let unsupported = || DicomError::TransferSyntaxUnsupported {
            uid: transfer_syntax.clone(),
            name: transfer_syntax_name(&transfer_syntax),
        };
        let known = TransferSyntaxRegistry.get(&transfer_syntax).ok_or_else(unsupported)?;
        let deflated = transfer_syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
        let (reader, position, end): (Reader, u64, u64) = if deflated {
            let most = stored.saturating_mul(DEFLATE_LARGEST_RATIO).min(MOST_INFLATED_BYTES);
            let inflated = DeflateDecoder::new(reader).take(most);
            (Box::new(BufReader::with_capacity(BUFFER_BYTES, inflated)), 0, most)
        } else if known.is_unsupported() {
            return Err(unsupported());
        } else {
            (Box::new(reader), position, length)
        };
        let decoder = known.decoder_for::<Reader>().ok_or_else(unsupported)?;
        let big_endian = known.endianness() == Endianness::Big;
        let largest_bytes = end.saturating_sub(position);
        let parser = Parser::new(reader, decoder, position, end);
        Ok(Self { parser, big_endian, transfer_syntax, largest_bytes })
    }
}

/// What the standard calls it.
pub(super) fn transfer_syntax_name(uid: &str) -> &'static str {
    TransferSyntaxRegistry.get(uid).map_or("unknown", |known| known.name())
}

/// The transfer syntax in the group of elements before the data set, and that group's length.
fn read_meta(reader: &mut impl BufRead) -> Result<(String, u64), DicomError> {
    let damaged =
        |expected: &str| DicomError::Damaged { reason: format!("expected {expected} in its first group") };
    let decoder = ExplicitVRLittleEndianDecoder::default();
    let (mut position, mut found) = (0, None);
    // The group ends where another one begins; its own length element is missing in some files.
    while reader.fill_buf().map_err(|_| damaged("readable data"))?.starts_with(&[2, 0]) {
        let (header, bytes) = decoder.decode_header(reader).map_err(|_| damaged("an element"))?;
        let length = header.len.get().map(u64::from).filter(|length| position + length <= MOST_META_BYTES);
        let length = length.ok_or_else(|| damaged("a short value"))?;
        position += bytes as u64 + length;
        let mut value = Vec::new();
        let read = reader.by_ref().take(length).read_to_end(&mut value);
        if !read.is_ok_and(|read| read as u64 == length) {
            return Err(damaged("the rest of a value"));
        }
        if header.tag() == tags::TRANSFER_SYNTAX_UID {
            found = Some(value::text(&value));
        }
    }
    let uid = found.ok_or(DicomError::AttributeMissing { name: "TransferSyntaxUID" })?;
    // Text from a file goes into errors: a UID has nothing but digits and dots.
    if uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && uid.len() <= 64 {
        Ok((uid, position))
    } else {
        Err(DicomError::AttributeInvalid { name: "TransferSyntaxUID", expected: "a UID" })
    }
}
