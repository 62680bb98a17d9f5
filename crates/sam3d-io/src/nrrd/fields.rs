use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    Format, IoError,
    source::{open_file, read_failed},
};

/// The largest header, which is text and describes the segments, too.
const MOST_HEADER_BYTES: u64 = 1 << 23;

/// The lines of a header, not yet understood.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) path: PathBuf,
    /// `field: description`, the field in lower case.
    fields: BTreeMap<String, String>,
    /// `key:=value`.
    pub(super) keys: BTreeMap<String, String>,
    /// The byte after the header.
    pub(super) header_bytes: u64,
}

impl Fields {
    /// Reads the header at the start of the file: up to an empty line, or to the end if the data is elsewhere.
    pub(super) fn read(path: &Path) -> Result<Self, IoError> {
        let failed = |source| read_failed(path, source);
        let mut reader = BufReader::new(open_file(path)?).take(MOST_HEADER_BYTES);
        let mut fields =
            Self { path: path.to_owned(), fields: BTreeMap::new(), keys: BTreeMap::new(), header_bytes: 0 };
        let mut line = Vec::new();
        let mut first = true;
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(failed)?;
            fields.header_bytes += count as u64;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            if first {
                fields.check_magic(text)?;
                first = false;
            } else if count == 0 {
                fields.check_end(reader.limit())?;
                return Ok(fields);
            } else if text.is_empty() {
                return Ok(fields);
            } else {
                fields.insert(text)?;
            }
        }
    }

    fn check_magic(&self, line: &str) -> Result<(), IoError> {
        let version = line.strip_prefix("NRRD").filter(|rest| rest.len() == 4);
        // 0001 to 0005 differ in what may stand in them; an early one is written 00.1.
        if version.is_some_and(|version| version.starts_with("00")) {
            return Ok(());
        }
        let found: String = line.chars().take(20).collect();
        let reason = format!("expected it to start with NRRD0001 to NRRD0005, found {found:?}");
        Err(IoError::NotOfFormat { path: self.path.clone(), format: Format::Nrrd, reason })
    }

    fn check_end(&self, bytes_left: u64) -> Result<(), IoError> {
        if bytes_left == 0 {
            return Err(self.invalid(format!("no end within {MOST_HEADER_BYTES} bytes")));
        }
        if self.get("data file").is_none() {
            return Err(self.invalid("expected an empty line and the voxels, or the field data file".into()));
        }
        Ok(())
    }

    fn insert(&mut self, line: &str) -> Result<(), IoError> {
        if line.starts_with('#') {
            return Ok(());
        }
        // A key may hold ": ", a field never ":=".
        let field_at = line.find(": ").or_else(|| line.ends_with(':').then(|| line.len() - 1));
        match (line.find(":="), field_at) {
            (Some(at), field) if field.is_none_or(|field| at < field) => {
                self.keys.insert(line[..at].trim().to_owned(), line[at + 2..].to_owned());
            }
            (_, Some(at)) => {
                let name = canonical(&line[..at]);
                let value = line[at + 1..].trim().to_owned();
                if self.fields.insert(name.clone(), value).is_some() {
                    return Err(self.invalid(format!("the field {name} stands there twice")));
                }
            }
            _ => {
                let start: String = line.chars().take(40).collect();
                return Err(
                    self.invalid(format!("expected \"field: value\" or \"key:=value\", found {start:?}"))
                );
            }
        }
        Ok(())
    }

    /// The description of a field that may be missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The description of a field.
    pub(super) fn required(&self, name: &str) -> Result<&str, IoError> {
        self.get(name).ok_or_else(|| self.invalid(format!("expected the field {name}, which is missing")))
    }

    /// The words of a field as numbers.
    pub(super) fn numbers<T: std::str::FromStr>(&self, name: &str) -> Result<Option<Vec<T>>, IoError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let numbers: Option<Vec<T>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        numbers.map(Some).ok_or_else(|| self.unexpected(name, "numbers", text))
    }

    pub(super) fn unexpected(&self, name: &str, expected: &str, found: &str) -> IoError {
        let found: String = found.chars().take(80).collect();
        self.invalid(format!("expected {name} to be {expected}, found {found:?}"))
    }

    pub(super) fn invalid(&self, reason: String) -> IoError {
        IoError::HeaderInvalid { path: self.path.clone(), format: Format::Nrrd, reason }
    }
}

/// Lower case, with the space that some writers leave out.
fn canonical(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    match name.as_str() {
        "datafile" => "data file".to_owned(),
        "byteskip" => "byte skip".to_owned(),
        "lineskip" => "line skip".to_owned(),
        _ => name,
    }
}
