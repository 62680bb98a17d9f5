//! Bodies that nnInteractive's client 2.6.0 packed.

use std::{fs, path::Path};

/// The recorded bodies, by the names of their files.
pub(crate) const RECORDED: [&str; 9] = [
    "chunks_uint16",
    "initial_seg_uint8",
    "lasso_stored_uint8",
    "lz4_int16",
    "lz4_shuffle_int16",
    "point_reply_uint8",
    "scribble_uint8",
    "set_image_int16",
    "set_image_zero_float32",
];

pub(crate) fn recorded(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(directory.join(format!("{name}.bin"))).unwrap()
}
