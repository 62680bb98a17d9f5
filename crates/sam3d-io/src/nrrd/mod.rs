//! NRRD: reading (`.nrrd`, `.nhdr` with its data file) and writing (`.nrrd`, and `.seg.nrrd` as 3D Slicer has it).
//!
//! As with NIfTI, every size a header claims is checked against the file and the caller's limit before memory is taken
//! for it. The format: <https://teem.sourceforge.net/nrrd/format.html>.

mod axes;
mod fields;
mod header;
mod layers;
mod read;
mod segment;
mod write;

pub use layers::{LayeredLabels, LayeredSegment, read_layers, write_layers};
pub(crate) use read::files;
pub use read::{read, segments};
pub use segment::Segment;
pub(crate) use write::write;
