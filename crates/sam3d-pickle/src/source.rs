//! Random access to a file on disk or in memory.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::Range,
    path::Path,
    sync::Arc,
};

use rawzip::{FileReader, RangeReader, ReaderAt};

/// Random access to a file that stays open as long as a tensor may be read from it. Clones share the file.
#[derive(Clone)]
pub(crate) struct Source {
    reader: Arc<dyn ReaderAt + Send + Sync>,
    length: u64,
    path: Arc<Path>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self { reader: Arc::new(FileReader::from(file)), length: metadata.len(), path: path.into() })
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>, name: &Path) -> Self {
        Self { length: bytes.len() as u64, reader: Arc::new(bytes), path: name.into() }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes in `range`, as a stream.
    pub(crate) fn stream(&self, range: Range<u64>) -> BufReader<RangeReader<Self>> {
        BufReader::new(RangeReader::new(self.clone(), range))
    }

    /// The first `count` bytes, or all if there are fewer.
    pub(crate) fn start(&self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream(0..count.min(self.length)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The bytes in `range`; the caller has checked that the file has them.
    pub(crate) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        self.reader.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }
}

impl ReaderAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reader.read_at(buffer, offset)
    }
}
