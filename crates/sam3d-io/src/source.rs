use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::bufread::{GzDecoder, ZlibDecoder};

use crate::IoError;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The most bytes deflate can make of one: 258 bytes for two bits.
const DEFLATE_LARGEST_RATIO: u64 = 1032;
const BUFFER_BYTES: usize = 1 << 16;

/// How the bytes of a file, or of its part with the voxels, are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    /// Gzip, in one member or several.
    Gzip,
    /// Zlib, which is deflate as gzip is, with another frame.
    Zlib,
}

/// The bytes of a file from some offset on, unpacked.
pub(crate) struct UnpackedFile {
    path: PathBuf,
    reader: Box<dyn Read>,
    /// How many bytes there can be in all.
    largest_bytes: u64,
    /// Whether `largest_bytes` is only an upper bound.
    compressed: bool,
    consumed: u64,
}

/// The content of one gzip member after the other. Bytes after the last one that are not a member are ignored with a warning:
/// tapes and downloads leave padding there, and gzip ignores it too.
struct GzipMembers<R> {
    path: PathBuf,
    /// `None` behind the last member.
    member: Option<GzDecoder<R>>,
    /// Whether nothing of the current member was read yet.
    is_new: bool,
    is_first: bool,
}

impl<R: BufRead> GzipMembers<R> {
    fn new(path: &Path, file: R) -> Self {
        Self { path: path.to_owned(), member: Some(GzDecoder::new(file)), is_new: true, is_first: true }
    }

    /// Moves to the member that follows, if anything does.
    fn next_member(&mut self, mut file: R) -> io::Result<()> {
        let start = file.fill_buf()?;
        if start.is_empty() {
            return Ok(());
        }
        if start.first() == Some(&GZIP_MAGIC[0]) {
            (self.member, self.is_new, self.is_first) = (Some(GzDecoder::new(file)), true, false);
        } else {
            self.ignore_rest();
        }
        Ok(())
    }

    fn ignore_rest(&mut self) {
        self.member = None;
        tracing::warn!(path = %self.path.display(), "the bytes behind the compressed data are ignored");
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer) {
                // The end of the member, whose checksum is right.
                Ok(0) if !buffer.is_empty() => {
                    if let Some(member) = self.member.take() {
                        self.next_member(member.into_inner())?;
                    }
                }
                Ok(count) => {
                    self.is_new = false;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                // Bytes that begin like a member but are not one.
                Err(_) if self.is_new && !self.is_first => self.ignore_rest(),
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}

impl UnpackedFile {
    /// The whole file, unpacked if it starts as gzip does, whatever its name.
    pub(crate) fn open(path: &Path) -> Result<Self, IoError> {
        let mut start = Vec::with_capacity(2);
        let file = open_file(path)?;
        file.take(2).read_to_end(&mut start).map_err(|source| read_failed(path, source))?;
        let packing = if start == GZIP_MAGIC { Packing::Gzip } else { Packing::Plain };
        Self::open_at(path, 0, packing)
    }

    /// The file from its byte `offset` on, packed as `packing` says.
    pub(crate) fn open_at(path: &Path, offset: u64, packing: Packing) -> Result<Self, IoError> {
        let failed = |source| read_failed(path, source);
        let mut file = open_file(path)?;
        let stored_bytes = file.metadata().map_err(failed)?.len().saturating_sub(offset);
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self::new(path, file, stored_bytes, packing))
    }

    fn new(path: &Path, file: impl BufRead + 'static, stored_bytes: u64, packing: Packing) -> Self {
        let reader: Box<dyn Read> = match packing {
            Packing::Plain => Box::new(file),
            Packing::Gzip => Box::new(GzipMembers::new(path, file)),
            Packing::Zlib => Box::new(ZlibDecoder::new(file)),
        };
        let compressed = packing != Packing::Plain;
        let ratio = if compressed { DEFLATE_LARGEST_RATIO } else { 1 };
        let largest_bytes = stored_bytes.saturating_mul(ratio);
        Self { path: path.to_owned(), reader, largest_bytes, compressed, consumed: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the file cannot hold `expected` bytes: before memory is taken for them.
    pub(crate) fn check_holds(&self, expected: u64) -> Result<(), IoError> {
        if expected <= self.largest_bytes {
            return Ok(());
        }
        Err(IoError::Truncated { path: self.path.clone(), expected, found: self.largest_bytes })
    }

    /// Fills `buffer` as far as the file goes and returns the number of bytes.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, IoError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A gzip stream that stops short: the file ends here.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.consumed += filled as u64;
        Ok(filled)
    }

    /// Moves to byte `offset`, which must not lie behind.
    pub(crate) fn skip_to(&mut self, offset: u64) -> Result<(), IoError> {
        let mut skipped = [0; 4096];
        while self.consumed < offset {
            let count = (offset - self.consumed).min(skipped.len() as u64) as usize;
            if self.fill(&mut skipped[..count])? < count {
                return Err(self.truncated(offset));
            }
        }
        Ok(())
    }

    /// Fails if a compressed stream that ends here has a wrong checksum or no end. What follows is not read.
    pub(crate) fn check_end(&mut self) -> Result<(), IoError> {
        if !self.compressed {
            return Ok(());
        }
        // The decoder checks the sum at the end; bytes after it do not belong to this volume.
        self.reader.read(&mut [0]).map(|_following| ()).map_err(|error| self.failed(error))
    }

    /// The error for a file that ended before byte `expected`.
    pub(crate) fn truncated(&self, expected: u64) -> IoError {
        IoError::Truncated { path: self.path.clone(), expected, found: self.consumed }
    }

    fn failed(&self, source: io::Error) -> IoError {
        let path = self.path.clone();
        // The decoder reports what is wrong with the stream by these kinds; the rest comes from the file below it.
        let stream = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput, io::ErrorKind::UnexpectedEof];
        if self.compressed && stream.contains(&source.kind()) {
            IoError::CompressionDamaged { path, source }
        } else {
            IoError::Read { path, source }
        }
    }
}

/// The open file; a directory, which some systems would open as well, is refused.
pub(crate) fn open_file(path: &Path) -> Result<File, IoError> {
    let failed = |source| read_failed(path, source);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok(file)
}

pub(crate) fn read_failed(path: &Path, source: io::Error) -> IoError {
    IoError::Read { path: path.to_owned(), source }
}
