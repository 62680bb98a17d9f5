//! `sam3d serve` as a program: with a real browser, with MONAI Label's own client, and how it starts and stops.

#![expect(clippy::unwrap_used, reason = "a test without its server cannot go on")]

mod archive;
#[path = "../../../sam3d-serve/tests/serve/bright.rs"]
mod bright;
mod client;
mod nninteractive;
#[path = "../cli/orthanc.rs"]
mod orthanc;
mod page;
mod process;
mod session;
#[path = "../../../sam3d-serve/tests/serve/slices.rs"]
mod slices;
mod support;
