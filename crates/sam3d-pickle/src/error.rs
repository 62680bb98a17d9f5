use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

/// Why a file was refused: its path and the fact.
#[derive(Debug)]
pub struct PickleError {
    path: PathBuf,
    kind: PickleErrorKind,
}

impl PickleError {
    pub(crate) fn new(path: &Path, kind: PickleErrorKind) -> Self {
        Self { path: path.to_owned(), kind }
    }

    /// The file that was refused.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    pub fn kind(&self) -> &PickleErrorKind {
        &self.kind
    }
}

impl fmt::Display for PickleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path.display(), self.kind)
    }
}

impl Error for PickleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text of `kind` is part of this error's own text, so only its cause follows.
        self.kind.source()
    }
}

/// What is wrong with a file. The texts have the file as their subject.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleErrorKind {
    /// The file cannot be opened or read.
    #[error("cannot be read")]
    Io(#[source] io::Error),
    /// The file has no bytes.
    #[error("is empty; copy or download it again")]
    Empty,
    /// The file is neither a zip archive nor a pickle.
    #[error("is neither a PyTorch checkpoint nor a pickle of protocol 2 to 5: it starts with \"{start}\"")]
    UnknownFormat {
        /// The first bytes, escaped.
        start: String,
    },
    /// The file starts like a zip archive, but the directory that ends one is missing or damaged.
    #[error(
        "starts like a PyTorch zip checkpoint, but the directory at its end is missing or damaged, so it is \
         probably cut short; copy or download it again"
    )]
    ArchiveDamaged(#[source] io::Error),
    /// The archive is readable, but `torch.save` did not write it.
    #[error("is a zip archive, but not a checkpoint written by torch.save: {reason}")]
    ArchiveUnexpected {
        /// What differs.
        reason: String,
    },
    /// A file inside the archive cannot be unpacked.
    #[error("is damaged: its entry {entry} cannot be unpacked; copy or download it again")]
    EntryDamaged {
        /// Name of the entry, escaped.
        entry: String,
        /// What the unpacker found.
        source: io::Error,
    },
    /// The pickle refers to a storage that the file lacks or holds in another size.
    #[error("does not hold storage {key} as described: expected {expected} bytes, found {found}")]
    StorageSize {
        /// The storage's key, escaped.
        key: String,
        /// Bytes by the pickle.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// The numbers were written with the most significant byte first.
    #[error("was written on a big-endian machine; load and save it again on a little-endian one")]
    BigEndian,
    /// A bound of [`Limits`](crate::Limits) is exceeded.
    #[error(
        "asks for {found} {what}, more than the allowed {limit}; if you trust it, raise Limits::{setting}"
    )]
    LimitExceeded {
        /// What is counted.
        what: &'static str,
        /// Count in the file, or the first count known to be too large.
        found: u64,
        /// The bound.
        limit: u64,
        /// The field of [`Limits`](crate::Limits) that sets it.
        setting: &'static str,
    },
    /// The pickle refers to a class or function that is not on the short list of harmless ones.
    #[error(
        "refers to {name}, which is neither a tensor nor plain data; refused, nothing was executed. If you trust \
         the file, load it in PyTorch and save only the state dictionaries"
    )]
    GlobalRefused {
        /// The dotted name, escaped.
        name: String,
    },
    /// The pickle uses an instruction that plain data does not need.
    #[error(
        "uses pickle instruction {opcode:#04x} at byte {position}, which plain data does not need; refused"
    )]
    OpcodeRefused {
        /// The instruction's code.
        opcode: u8,
        /// Where it stands, in bytes from the start of the pickle.
        position: u64,
    },
    /// The pickle ends in the middle of a value.
    #[error("holds a pickle that ends early, after {position} bytes; copy or download it again")]
    PickleEndsEarly {
        /// Bytes read.
        position: u64,
    },
    /// The pickle contradicts itself.
    #[error("holds a malformed pickle: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The pickle is well formed, but its result cannot be represented.
    #[error("holds a value that cannot be represented: {reason}")]
    Unrepresentable {
        /// What it is, and what to do.
        reason: String,
    },
}

impl PickleErrorKind {
    pub(crate) fn unexpected(reason: impl Into<String>) -> Self {
        Self::ArchiveUnexpected { reason: reason.into() }
    }

    pub(crate) fn unrepresentable(reason: impl Into<String>) -> Self {
        Self::Unrepresentable { reason: reason.into() }
    }
}

/// Refuses `found` above `limit`.
pub(crate) fn within(
    what: &'static str,
    setting: &'static str,
    found: u64,
    limit: u64,
) -> Result<(), PickleErrorKind> {
    if found > limit {
        return Err(PickleErrorKind::LimitExceeded { what, found, limit, setting });
    }
    Ok(())
}

/// Text from a file as it may be shown: control characters escaped, long texts cut. A file must not be able to move
/// the cursor of the terminal that shows its error.
pub(crate) fn printable(text: &str) -> String {
    const SHOWN: usize = 120;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_moves_no_cursor() {
        assert_eq!(printable("posix.system"), "posix.system");
        assert_eq!(printable("\u{1b}[2Jgone\n"), "\\u{1b}[2Jgone\\n");
        assert_eq!(printable(&"x".repeat(500)).len(), 123);
    }

    #[test]
    fn the_cause_is_told_once() {
        let cause = io::Error::other("the disk left");
        let error = PickleError::new(Path::new("a.pth"), PickleErrorKind::Io(cause));
        assert_eq!(error.to_string(), "a.pth: cannot be read");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the disk left"));
    }
}
