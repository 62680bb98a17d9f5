//! Progress of long tasks, reported to a callback so that each program shows it in its own way.

use std::{fmt, path::Path};

/// Receives the progress of a task, from any thread.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// An event of a long task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A stage begins.
    Begins {
        /// What is done in it.
        stage: Stage<'a>,
        /// The amount done so far, in the stage's unit.
        done: u64,
        /// The total amount, if known.
        total: Option<u64>,
    },
    /// So much more is done.
    Advances(u64),
    /// The stage has ended.
    Ends,
    /// Nothing had to be done: the archive was unpacked into this directory before.
    UnpackedBefore(&'a Path),
}

/// What is done in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage<'a> {
    /// Phantoms are generated in a directory.
    Generating(&'a Path),
    /// Images and labels are checked.
    Checking,
    /// The target's intensities are read.
    Measuring,
    /// An archive is unpacked.
    Unpacking {
        /// The archive.
        archive: &'a Path,
        /// The directory it is unpacked into.
        directory: &'a Path,
    },
    /// A file is downloaded.
    Downloading {
        /// Its address.
        url: &'a str,
        /// Where it goes.
        target: &'a Path,
    },
}

impl Stage<'_> {
    /// Whether the stage is counted in bytes, and not in cases.
    pub fn is_in_bytes(self) -> bool {
        matches!(self, Self::Unpacking { .. } | Self::Downloading { .. })
    }
}

impl fmt::Display for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generating(directory) => write!(f, "generating CT phantoms in {}", directory.display()),
            Self::Checking => f.write_str("checking images and labels"),
            Self::Measuring => f.write_str("measuring the intensities of the target"),
            Self::Unpacking { archive, directory } => {
                write!(f, "unpacking {} to {}", archive.display(), directory.display())
            }
            Self::Downloading { url, target } => write!(f, "downloading {url} to {}", target.display()),
        }
    }
}
