//! NRRD with its voxels in one file, raw or gzip, and the segments that a header names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sam3d_io::nrrd;

fuzz_target!(|bytes: &[u8]| {
    let path = sam3d_fuzz::file("a.nrrd", bytes);
    sam3d_fuzz::check(nrrd::read(&path, sam3d_fuzz::LIMITS));
    // Nothing is asked of the segments but that they are read without a panic.
    drop(nrrd::segments(&path));
});
