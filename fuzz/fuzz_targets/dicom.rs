//! A DICOM slice in any transfer syntax, and what it says of a person.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    sam3d_fuzz::ignore_caught_panics();
    let path = sam3d_fuzz::file("a.dcm", bytes);
    sam3d_fuzz::check(sam3d_io::read(&path, sam3d_fuzz::LIMITS));
    // Nothing is asked of these fields but that they are read without a panic.
    drop(sam3d_io::dicom::personal_fields(&path));
});
