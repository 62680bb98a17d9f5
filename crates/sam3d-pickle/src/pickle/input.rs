use std::io::{self, Read};

use super::malformed;
use crate::{PickleErrorKind, error::within};

/// The names of modules and classes in a pickle end with a line break; a longer line is not a name.
const LONGEST_LINE: usize = 512;

/// A stream of bytes that counts and bounds what is taken from it.
pub(crate) struct Input<R> {
    reader: R,
    position: u64,
    limit: u64,
}

impl<R: Read> Input<R> {
    /// At most `limit` bytes of `reader`.
    pub(crate) fn new(reader: R, limit: u64) -> Self {
        Self { reader, position: 0, limit }
    }

    /// Bytes taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleErrorKind> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleErrorKind> {
        self.reserve(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| self.ended(error))?;
        self.position += N as u64;
        Ok(bytes)
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, PickleErrorKind> {
        self.reserve(count)?;
        // `take` grows the buffer with what really arrives, so an announced length allocates nothing.
        let mut bytes = Vec::new();
        self.reader.by_ref().take(count).read_to_end(&mut bytes).map_err(PickleErrorKind::Io)?;
        self.position += bytes.len() as u64;
        if (bytes.len() as u64) < count {
            return Err(PickleErrorKind::PickleEndsEarly { position: self.position });
        }
        Ok(bytes)
    }

    pub(super) fn text(&mut self, count: u64) -> Result<String, PickleErrorKind> {
        String::from_utf8(self.bytes(count)?).map_err(|_| malformed("a string is not UTF-8"))
    }

    pub(super) fn line(&mut self) -> Result<String, PickleErrorKind> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if line.len() == LONGEST_LINE => {
                    return Err(malformed("a name is longer than any module or class"));
                }
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).map_err(|_| malformed("a name is not UTF-8"))
    }

    fn reserve(&self, count: u64) -> Result<(), PickleErrorKind> {
        within("bytes of pickle", "max_pickle_bytes", self.position.saturating_add(count), self.limit)
    }

    fn ended(&self, error: io::Error) -> PickleErrorKind {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => PickleErrorKind::PickleEndsEarly { position: self.position },
            _ => PickleErrorKind::Io(error),
        }
    }
}
