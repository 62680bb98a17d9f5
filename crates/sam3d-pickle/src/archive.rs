//! The zip archive that `torch.save` has written since PyTorch 1.6: `PREFIX/data.pkl` and one entry
//! `PREFIX/data/KEY` per storage.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator};

use crate::{
    Limits, PickleErrorKind, Value,
    error::{printable, within},
    pickle::{self, Input, StorageRequest},
    source::Source,
    tensor::{Place, Storage},
};

/// Deflate compresses by at most this factor.
const DEFLATE_RATIO: u64 = 1032;

/// PyTorch writes no longer entry names.
const LONGEST_NAME: usize = 1024;

/// An opened archive and its directory.
pub(crate) struct Archive {
    zip: ZipArchive<Source>,
    entries: HashMap<String, Entry>,
}

/// One file in the archive. Its sizes are consistent with the size of the archive.
#[derive(Clone)]
pub(crate) struct Entry {
    name: String,
    deflated: bool,
    size: u64,
    location: ZipArchiveEntryWayfinder,
}

/// Reads the checkpoint in the archive `source`. The tensors' data stays in the file.
pub(crate) fn read(source: Source, limits: &Limits) -> Result<Value, PickleErrorKind> {
    let archive = Arc::new(Archive::open(source, limits)?);
    let prefix = archive.prefix()?;
    archive.check_byte_order(&prefix)?;

    let pickled = archive.entry(&format!("{prefix}data.pkl"))?;
    within("bytes of pickle", "max_pickle_bytes", pickled.size, limits.max_pickle_bytes)?;
    let bytes = archive.unpack(pickled)?;
    let unpickled = pickle::load(&mut Input::new(bytes.as_slice(), limits.max_pickle_bytes), limits)?;

    let mut storages = Vec::with_capacity(unpickled.requests().len());
    for request in unpickled.requests() {
        let entry = archive.storage_entry(&prefix, request)?;
        storages.push(Arc::new(Storage::new(Place::Entry(Arc::clone(&archive), entry), request.is_shared())));
    }
    unpickled.finish(&storages, limits)
}

impl Archive {
    fn open(source: Source, limits: &Limits) -> Result<Self, PickleErrorKind> {
        let length = source.length();
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let zip = ZipLocator::new()
            .locate_in_reader(source, &mut buffer, length)
            .map_err(|(_, error)| damaged(error))?;

        let mut entries = HashMap::new();
        let mut packed_bytes = 0u64;
        let mut directory = zip.entries(&mut buffer);
        while let Some(record) = directory.next_entry().map_err(damaged)? {
            let path = record.file_path();
            let name: &[u8] = path.as_ref();
            if name.len() > LONGEST_NAME {
                return Err(PickleErrorKind::unexpected(format!("an entry's name has {} bytes", name.len())));
            }
            let name = String::from_utf8_lossy(name).into_owned();
            packed_bytes = packed_bytes.saturating_add(record.compressed_size_hint());
            if packed_bytes > length {
                return Err(PickleErrorKind::unexpected("its entries are larger than the file"));
            }
            let entry = Entry {
                deflated: is_deflated(&name, record.compression_method(), record.flags().is_encrypted())?,
                size: record.uncompressed_size_hint(),
                location: record.wayfinder(),
                name: name.clone(),
            };
            entry.check_size()?;
            if entries.insert(name.clone(), entry).is_some() {
                return Err(PickleErrorKind::unexpected(format!("entry {} stands twice", printable(&name))));
            }
            within("archive entries", "max_entries", entries.len() as u64, limits.max_entries as u64)?;
        }
        if entries.len() as u64 != zip.entries_hint() {
            return Err(damaged(io::Error::other(format!(
                "the archive announces {} entries and lists {}",
                zip.entries_hint(),
                entries.len()
            ))));
        }
        Ok(Self { zip, entries })
    }

    pub(crate) fn path(&self) -> &Path {
        self.zip.get_ref().path()
    }

    /// Path prefix of `data.pkl`: a folder named after the file or `archive/`.
    fn prefix(&self) -> Result<String, PickleErrorKind> {
        let mut found: Vec<&str> = self
            .entries
            .keys()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('/'))
            .collect();
        match (found.pop(), found.pop()) {
            (Some(prefix), None) => Ok(prefix.to_owned()),
            (None, _) => Err(PickleErrorKind::unexpected("it has no data.pkl")),
            (Some(_), Some(_)) => Err(PickleErrorKind::unexpected("it has more than one data.pkl")),
        }
    }

    fn entry(&self, name: &str) -> Result<&Entry, PickleErrorKind> {
        self.entries
            .get(name)
            .ok_or_else(|| PickleErrorKind::unexpected(format!("it has no {}", printable(name))))
    }

    /// PyTorch before 2.1 wrote no `byteorder` entry, and always little-endian numbers.
    fn check_byte_order(&self, prefix: &str) -> Result<(), PickleErrorKind> {
        let Some(entry) = self.entries.get(&format!("{prefix}byteorder")) else { return Ok(()) };
        if entry.size > 16 {
            return Err(PickleErrorKind::unexpected(format!("its byteorder has {} bytes", entry.size)));
        }
        match self.unpack(entry)?.as_slice() {
            b"little" => Ok(()),
            b"big" => Err(PickleErrorKind::BigEndian),
            other => {
                let text = printable(&String::from_utf8_lossy(other));
                Err(PickleErrorKind::unexpected(format!("its byteorder is {text}")))
            }
        }
    }

    fn storage_entry(&self, prefix: &str, request: &StorageRequest) -> Result<Entry, PickleErrorKind> {
        let entry = self.entries.get(&format!("{prefix}data/{}", request.key()));
        let found = entry.map_or(0, |entry| entry.size);
        match entry {
            Some(entry) if found == request.bytes() => Ok(entry.clone()),
            _ => Err(request.size_mismatch(found)),
        }
    }

    /// The content of `entry`; its size and checksum are verified.
    pub(crate) fn unpack(&self, entry: &Entry) -> Result<Vec<u8>, PickleErrorKind> {
        self.try_unpack(entry)
            .map_err(|source| PickleErrorKind::EntryDamaged { entry: printable(&entry.name), source })
    }

    fn try_unpack(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let packed = self.zip.get_entry(entry.location).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size).map_err(io::Error::other)?);
        // One byte more than announced is enough to notice a bomb.
        let count = if entry.deflated {
            let reader = packed.verifying_reader(DeflateDecoder::new(packed.reader()));
            reader.take(entry.size + 1).read_to_end(&mut bytes)
        } else {
            packed.verifying_reader(packed.reader()).take(entry.size + 1).read_to_end(&mut bytes)
        }?;
        if count as u64 != entry.size {
            return Err(io::Error::other(format!("expected {} bytes, found {count}", entry.size)));
        }
        Ok(bytes)
    }
}

impl Entry {
    /// Whether the announced size can come out of the packed bytes, so that memory may be allocated for it.
    fn check_size(&self) -> Result<(), PickleErrorKind> {
        let packed = self.location.compressed_size_hint();
        let possible = if self.deflated { packed.saturating_mul(DEFLATE_RATIO) } else { packed };
        if self.size > possible || (!self.deflated && self.size != packed) {
            return Err(PickleErrorKind::unexpected(format!(
                "entry {} announces {} bytes in {packed} packed bytes",
                printable(&self.name),
                self.size
            )));
        }
        Ok(())
    }
}

fn is_deflated(name: &str, method: CompressionMethod, encrypted: bool) -> Result<bool, PickleErrorKind> {
    match method {
        _ if encrypted => Err(PickleErrorKind::unexpected(format!("entry {} is encrypted", printable(name)))),
        CompressionMethod::STORE => Ok(false),
        CompressionMethod::DEFLATE => Ok(true),
        other => Err(PickleErrorKind::unexpected(format!(
            "entry {} is packed with {other}, neither stored nor deflated",
            printable(name)
        ))),
    }
}

fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PickleErrorKind {
    PickleErrorKind::ArchiveDamaged(io::Error::other(error))
}
