//! MetaImage with its voxels in one file, plain or zlib.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    sam3d_fuzz::check(sam3d_io::meta_image::read(&sam3d_fuzz::file("a.mha", bytes), sam3d_fuzz::LIMITS));
});
