//! The server over HTTP, as its page, its viewers and its enemies use it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test without its server cannot go on")]

mod archive;
mod bright;
mod edits;
mod faults;
mod kept;
mod load;
mod monai;
mod nninteractive;
mod operations;
mod overlap;
mod page;
mod prompts;
mod series;
mod slices;
mod support;
mod uploads;
mod workspaces;
