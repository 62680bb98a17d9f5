//! MetaImage: reading (`.mha`, or `.mhd` with its data file), as ITK writes it.

mod header;
mod read;

pub(crate) use read::files;
pub use read::read;
