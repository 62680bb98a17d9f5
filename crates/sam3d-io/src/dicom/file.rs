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
    /// Why only the elements before the pixels can be read; `None` if all can.
    pub(super) unsupported: Option<DicomError>,
}

/// The start of a DICOM file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileStart {
    /// With a preamble and the mark.
    Marked,
    /// With elements that only DICOM files have, as files do that were cut out of a network message.
    Bare,
}

impl FileStart {
    fn of(start: &[u8]) -> Option<Self> {
        if start.get(MARK_OFFSET as usize..).is_some_and(|rest| rest.starts_with(MARK)) {
            return Some(Self::Marked);
        }
        let is_meta = [[2, 0, 0, 0], [2, 0, 1, 0], [2, 0, 2, 0]].iter().any(|tag| start.starts_with(tag));
        let is_identifying = start.len() >= 8 && matches!(start[..4], [8, 0, _, 0] | [0, 8, 0, _]);
        // The class of the object, which every file has, begins with the standard's own prefix.
        let has_class = start.windows(CLASS_PREFIX.len()).any(|window| window == CLASS_PREFIX);
        ((is_meta || is_identifying) && has_class).then_some(Self::Bare)
    }
}

/// What the UID of every object's class begins with.
const CLASS_PREFIX: &[u8] = b"1.2.840.10008.";
/// Bytes at the start of a file in which its class is looked for if it has no mark.
pub(crate) const START_BYTES: usize = 1024;

/// Whether a file begins like a DICOM file: `start` is its first [`START_BYTES`], or all of a shorter one.
pub(crate) fn begins_as_dicom(start: &[u8]) -> bool {
    FileStart::of(start).is_some()
}

/// Whether the file at `path` begins like a DICOM file.
pub(super) fn is_dicom(path: &Path) -> Result<bool, IoError> {
    Ok(start_of(path)?.is_some())
}

fn start_of(path: &Path) -> Result<Option<FileStart>, IoError> {
    let mut start = Vec::new();
    let file = open_file(path)?;
    file.take(START_BYTES as u64).read_to_end(&mut start).map_err(|source| read_failed(path, source))?;
    Ok(FileStart::of(&start))
}

impl DicomFile {
    /// Opens the file at `path` and finds out in which form its data set is.
    ///
    /// A file without a first group, or in an unknown transfer syntax, is read in the form its first element has.
    ///
    /// # Errors
    /// An [`IoError`] that names the file: it cannot be read, or does not begin as DICOM files do.
    pub(super) fn open(path: &Path) -> Result<Self, IoError> {
        let failed = |source| read_failed(path, source);
        let start = match start_of(path)? {
            Some(FileStart::Marked) => MARK_OFFSET + MARK.len() as u64,
            Some(FileStart::Bare) => 0,
            None => {
                let reason = "expected DICM at byte 128, or elements of a DICOM data set".to_owned();
                return Err(DicomError::Damaged { reason }.at(path));
            }
        };
        let mut file = open_file(path)?;
        let length = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        Self::read(file, start, length).map_err(|error| error.at(path))
    }

    /// Fails if the data set is in a form that is not read.
    pub(super) fn check_supported(&mut self) -> Result<(), DicomError> {
        self.unsupported.take().map_or(Ok(()), Err)
    }

    fn read(file: File, start: u64, length: u64) -> Result<Self, DicomError> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let (named, meta_bytes) = read_meta(&mut reader)?;
        let position = start + meta_bytes;
        let stored = length.saturating_sub(position);
        let unsupported_syntax = |uid: &str| DicomError::TransferSyntaxUnsupported {
            uid: uid.to_owned(),
            name: transfer_syntax_name(uid),
        };
        let is_readable =
            |uid: &str| TransferSyntaxRegistry.get(uid).is_some_and(|known| !known.is_unsupported());
        let deflated = named.as_deref() == Some(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
        let (transfer_syntax, unsupported) = match named {
            Some(uid) if deflated || is_readable(&uid) => (uid, None),
            other => {
                let by_content = form_of_first_element(&mut reader)?.to_owned();
                (by_content, other.map(|uid| unsupported_syntax(&uid)))
            }
        };
        let failed = || unsupported_syntax(&transfer_syntax);
        let known = TransferSyntaxRegistry.get(&transfer_syntax).ok_or_else(failed)?;
        let (reader, position, end): (Reader, u64, u64) = if deflated {
            let most = stored.saturating_mul(DEFLATE_LARGEST_RATIO).min(MOST_INFLATED_BYTES);
            let inflated = DeflateDecoder::new(reader).take(most);
            (Box::new(BufReader::with_capacity(BUFFER_BYTES, inflated)), 0, most)
        } else {
            (Box::new(reader), position, length)
        };
        let decoder = known.decoder_for::<Reader>().ok_or_else(failed)?;
        let big_endian = known.endianness() == Endianness::Big;
        let largest_bytes = end.saturating_sub(position);
        let parser = Parser::new(reader, decoder, position, end);
        Ok(Self { parser, big_endian, transfer_syntax, largest_bytes, unsupported })
    }
}

/// The transfer syntax of an uncompressed data set, by its first element.
fn form_of_first_element(reader: &mut impl BufRead) -> Result<&'static str, DicomError> {
    let damaged = || DicomError::Damaged { reason: "expected an element of a DICOM data set".to_owned() };
    let start = reader.fill_buf().map_err(|_| damaged())?;
    let [group_low, group_high, _, _, a, b, ..] = *start else { return Err(damaged()) };
    let is_explicit = [a, b].iter().all(u8::is_ascii_uppercase);
    match ([group_low, group_high], is_explicit) {
        ([0, high], true) if high > 0 => Ok(EXPLICIT_VR_BIG_ENDIAN),
        (_, true) => Ok(uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (_, false) => Ok(uids::IMPLICIT_VR_LITTLE_ENDIAN),
    }
}

/// Retired, and so not in the dictionary.
pub(super) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// What the standard calls it.
pub(super) fn transfer_syntax_name(uid: &str) -> &'static str {
    TransferSyntaxRegistry.get(uid).map_or("unknown", |known| known.name())
}

/// The transfer syntax in the group of elements before the data set, if it has one, and that group's length.
fn read_meta(reader: &mut impl BufRead) -> Result<(Option<String>, u64), DicomError> {
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
    // Text from a file goes into errors: a UID has nothing but digits and dots.
    let is_uid =
        |uid: &String| uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && uid.len() <= 64;
    if found.as_ref().is_none_or(is_uid) {
        Ok((found, position))
    } else {
        Err(DicomError::AttributeInvalid { name: "TransferSyntaxUID", expected: "a UID" })
    }
}
