use std::io::{BufRead, Read};

use dicom_core::{
    Length, Tag, VR,
    header::{Header, SequenceItemHeader},
};
use dicom_dictionary_std::tags;
use dicom_encoding::{
    decode::{DecodeFrom, implicit_le::StandardImplicitVRLittleEndianDecoder},
    transfer_syntax::DynDecoder,
};

use super::DicomError;

/// Sequences inside sequences that are followed; the deepest of the standard's own is far below.
const MOST_LEVELS: usize = 64;

const ITEM_DELIMITER: Tag = Tag(0xfffe, 0xe00d);

/// What comes next in a data set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token {
    /// An element with a value, which [`Parser::take`] gives and the next call of [`Parser::next`] passes over.
    Element(Tag),
    /// The items of a sequence follow, unless [`Parser::skip_sequence`] passes over them.
    SequenceStart(Tag),
    SequenceEnd,
    ItemStart,
    ItemEnd,
    /// The image's pixels: as a value, or in fragments for [`Parser::take_fragments`].
    Pixels {
        in_fragments: bool,
        bytes: u64,
    },
    End,
}

/// Reader of a data set, one element at a time.
///
/// Neither an object tree nor a value is built unless a caller asks for it, so that what a file claims costs nothing,
/// nesting uses no stack, and what describes a person is never read into memory.
pub(super) struct Parser<R> {
    reader: R,
    decoder: DynDecoder<R>,
    position: u64,
    /// No value reaches beyond this position.
    end: u64,
    frames: Vec<Frame>,
    /// Bytes of the current element's value that were not read.
    pending: u64,
}

/// Compressed pixels as a file holds them.
pub(super) struct Fragments {
    /// Where each frame begins, in bytes from the first fragment's header on.
    offsets: Vec<u32>,
    fragments: Vec<Vec<u8>>,
}

impl Fragments {
    /// The compressed bytes of each of `count` frames.
    ///
    /// # Errors
    /// [`DicomError::Damaged`] if neither their number nor the offsets say which fragments make a frame.
    pub(super) fn into_frames(self, count: usize) -> Result<Vec<Vec<u8>>, DicomError> {
        const HEADER_BYTES: usize = 8;
        let Self { offsets, fragments } = self;
        if count == 1 {
            return Ok(vec![fragments.concat()]);
        }
        if fragments.len() == count {
            return Ok(fragments);
        }
        let found = fragments.len();
        let mut frames: Vec<Vec<u8>> = Vec::new();
        if offsets.len() == count {
            let mut at = 0;
            for fragment in fragments {
                if offsets.get(frames.len()).is_some_and(|offset| *offset as usize == at) {
                    frames.push(Vec::new());
                }
                at += HEADER_BYTES + fragment.len();
                if let Some(frame) = frames.last_mut() {
                    frame.extend(fragment);
                }
            }
        }
        if frames.len() == count {
            return Ok(frames);
        }
        Err(DicomError::Damaged {
            reason: format!("expected the fragments of {count} frames, found {found}"),
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    is_item: bool,
    /// `None`: up to a delimiter.
    end: Option<u64>,
    /// Whether the content is in implicit VR, as that of an element of unknown type and length is everywhere.
    implicit: bool,
}

impl<R: BufRead> Parser<R> {
    /// A parser of the data set that begins at `position` and ends at `end` or before.
    pub(super) fn new(reader: R, decoder: DynDecoder<R>, position: u64, end: u64) -> Self {
        Self { reader, decoder, position, end, frames: Vec::new(), pending: 0 }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token, DicomError> {
        self.skip(self.pending)?;
        let frame = self.frames.last().copied();
        if let Some(Frame { end: Some(end), is_item, .. }) = frame {
            if self.position == end {
                self.frames.pop();
                return Ok(if is_item { Token::ItemEnd } else { Token::SequenceEnd });
            }
            if self.position > end {
                return Err(self.damaged("an element that ends with its sequence"));
            }
        }
        match frame {
            Some(Frame { is_item: false, implicit, .. }) => self.next_item(implicit),
            Some(Frame { implicit, .. }) => self.next_element(implicit),
            None if self.position >= self.end || self.is_at_end()? => Ok(Token::End),
            None => self.next_element(false),
        }
    }

    /// The current element's value, which may have up to `most_bytes`.
    pub(super) fn take(&mut self, most_bytes: u64) -> Result<Vec<u8>, DicomError> {
        let count = self.pending;
        if count > most_bytes {
            return Err(self.damaged(&format!("a value of up to {most_bytes} bytes, found {count}")));
        }
        let mut value = Vec::new();
        self.append(count, &mut value)?;
        self.pending = 0;
        Ok(value)
    }

    /// Passes over the items of the sequence that was just entered.
    pub(super) fn skip_sequence(&mut self) -> Result<(), DicomError> {
        let Some(Frame { end: Some(end), .. }) = self.frames.last() else {
            let level = self.frames.len();
            while self.frames.len() >= level {
                self.next()?;
            }
            return Ok(());
        };
        let count = end.saturating_sub(self.position);
        self.frames.pop();
        self.skip(count)
    }

    /// The fragments of the pixels and the offsets of frames in them, which may be missing.
    pub(super) fn take_fragments(&mut self) -> Result<Fragments, DicomError> {
        let mut fragments = Fragments { offsets: Vec::new(), fragments: Vec::new() };
        let mut is_table = true;
        loop {
            match self.item_header(false)? {
                SequenceItemHeader::Item { len } => {
                    let count =
                        u64::from(len.get().ok_or_else(|| self.damaged("a fragment of known length"))?);
                    self.check_fits(count)?;
                    let mut bytes = Vec::new();
                    self.append(count, &mut bytes)?;
                    if is_table {
                        let (offsets, _) = bytes.as_chunks::<4>();
                        fragments.offsets =
                            offsets.iter().map(|offset| u32::from_le_bytes(*offset)).collect();
                    } else {
                        fragments.fragments.push(bytes);
                    }
                    is_table = false;
                }
                SequenceItemHeader::SequenceDelimiter => return Ok(fragments),
                SequenceItemHeader::ItemDelimiter => return Err(self.damaged("a fragment of the pixels")),
            }
        }
    }

    /// The pixels' value from here on; how long it is was told by the token.
    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    fn next_item(&mut self, implicit: bool) -> Result<Token, DicomError> {
        match self.item_header(implicit)? {
            SequenceItemHeader::Item { len } => {
                self.enter(true, len, implicit)?;
                Ok(Token::ItemStart)
            }
            SequenceItemHeader::SequenceDelimiter => {
                self.frames.pop();
                Ok(Token::SequenceEnd)
            }
            SequenceItemHeader::ItemDelimiter => Err(self.damaged("an item of the sequence")),
        }
    }

    fn next_element(&mut self, implicit: bool) -> Result<Token, DicomError> {
        let header = if implicit {
            DecodeFrom::decode_header(&StandardImplicitVRLittleEndianDecoder::new(), &mut self.reader)
        } else {
            self.decoder.decode_header(&mut self.reader)
        };
        let (header, bytes) = header.map_err(|_| self.damaged("an element"))?;
        self.position += bytes as u64;
        if header.tag() == ITEM_DELIMITER {
            let in_item = self.frames.pop().is_some_and(|frame| frame.is_item && frame.end.is_none());
            return if in_item { Ok(Token::ItemEnd) } else { Err(self.damaged("an element in an item")) };
        }
        let is_pixels = header.tag() == tags::PIXEL_DATA && self.frames.is_empty();
        match header.len.get() {
            Some(length) if header.vr() != VR::SQ => {
                self.check_fits(length.into())?;
                self.pending = length.into();
                Ok(if is_pixels {
                    Token::Pixels { in_fragments: false, bytes: length.into() }
                } else {
                    Token::Element(header.tag())
                })
            }
            None if is_pixels => Ok(Token::Pixels { in_fragments: true, bytes: 0 }),
            _ => {
                self.enter(false, header.len, implicit || header.vr() == VR::UN)?;
                Ok(Token::SequenceStart(header.tag()))
            }
        }
    }

    fn enter(&mut self, is_item: bool, length: Length, implicit: bool) -> Result<(), DicomError> {
        if self.frames.len() >= 2 * MOST_LEVELS {
            return Err(self.damaged(&format!("at most {MOST_LEVELS} nested sequences")));
        }
        let end = match length.get() {
            None => None,
            Some(length) => {
                self.check_fits(length.into())?;
                Some(self.position + u64::from(length))
            }
        };
        self.frames.push(Frame { is_item, end, implicit });
        Ok(())
    }

    fn item_header(&mut self, implicit: bool) -> Result<SequenceItemHeader, DicomError> {
        let header = if implicit {
            DecodeFrom::decode_item_header(&StandardImplicitVRLittleEndianDecoder::new(), &mut self.reader)
        } else {
            self.decoder.decode_item_header(&mut self.reader)
        };
        let header = header.map_err(|_| self.damaged("an item or the end of its sequence"))?;
        self.position += 8;
        Ok(header)
    }

    /// Fails if `count` bytes from here reach beyond the file or the sequence they are in.
    fn check_fits(&self, count: u64) -> Result<(), DicomError> {
        let innermost = self.frames.iter().rev().find_map(|frame| frame.end).unwrap_or(self.end);
        let left = innermost.min(self.end).saturating_sub(self.position);
        if count <= left {
            return Ok(());
        }
        Err(self.damaged(&format!("a value of at most the {left} bytes that are left, found {count}")))
    }

    fn is_at_end(&mut self) -> Result<bool, DicomError> {
        match self.reader.fill_buf() {
            Ok(buffer) => Ok(buffer.is_empty()),
            Err(_) => Err(self.damaged("readable data")),
        }
    }

    fn append(&mut self, count: u64, to: &mut Vec<u8>) -> Result<(), DicomError> {
        let before = to.len();
        let read = self.reader.by_ref().take(count).read_to_end(to);
        self.position += (to.len() - before) as u64;
        match read {
            Ok(read) if read as u64 == count => Ok(()),
            _ => Err(self.damaged("the rest of a value")),
        }
    }

    fn skip(&mut self, count: u64) -> Result<(), DicomError> {
        self.pending = 0;
        let skipped = std::io::copy(&mut self.reader.by_ref().take(count), &mut std::io::sink());
        self.position += count;
        match skipped {
            Ok(skipped) if skipped == count => Ok(()),
            _ => Err(self.damaged("the rest of a value")),
        }
    }

    fn damaged(&self, expected: &str) -> DicomError {
        DicomError::Damaged { reason: format!("expected {expected} at byte {}", self.position) }
    }
}
