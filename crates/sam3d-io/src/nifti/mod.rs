//! NIfTI-1 and NIfTI-2: reading (`.nii`, `.nii.gz`, `.hdr` with `.img`) and writing (NIfTI-1 `.nii`, `.nii.gz`).
//!
//! Every size a header claims is checked against the file and the caller's limit before memory is taken for it, and
//! every field before it is used: a damaged or hostile file gives an [`IoError`](crate::IoError), never a panic.

mod header;
mod read;
mod write;

pub use crate::ReadLimits;
pub(crate) use read::files;
pub use read::read;
pub use write::write;
