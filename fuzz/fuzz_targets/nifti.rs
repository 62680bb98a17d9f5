//! NIfTI-1 and NIfTI-2 in one file, gzipped or not.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    sam3d_fuzz::check(sam3d_io::nifti::read(&sam3d_fuzz::file("a.nii", bytes), sam3d_fuzz::LIMITS));
});
