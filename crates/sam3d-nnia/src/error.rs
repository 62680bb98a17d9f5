/// Why a packed array could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The first bytes are not those of a packed array.
    #[error("expected a packed array, which begins with NNIA, found {found:?}")]
    NotAnArray {
        /// The first bytes.
        found: String,
    },
    /// A variant of the format that is not read.
    #[error("{what} {found} is not supported, expected {expected}")]
    Unsupported {
        /// What of the format.
        what: &'static str,
        /// What the body has.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// The body ends early.
    #[error("the packed array ends after {found} bytes, expected at least {expected}")]
    Truncated {
        /// Bytes that are needed.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The array has more elements than are accepted.
    #[error("the packed array claims {elements} elements, at most {limit} are accepted")]
    TooLarge {
        /// Product of the sizes.
        elements: u128,
        /// The limit.
        limit: usize,
    },
    /// Two lengths of the body contradict each other, or its compressed data is damaged.
    #[error("the packed array is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Not enough memory.
    #[error("not enough memory for {bytes} bytes of a packed array")]
    OutOfMemory {
        /// Bytes of its elements.
        bytes: usize,
    },
}

impl ArrayError {
    pub(crate) fn damaged(what: &'static str) -> Self {
        Self::Damaged { what }
    }
}
