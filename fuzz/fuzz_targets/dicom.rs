//! A DICOM slice or an enhanced CT in any transfer syntax, by itself and as a directory, and what it says of a person.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sam3d_io::dicom;

fuzz_target!(|bytes: &[u8]| {
    sam3d_fuzz::ignore_caught_panics();
    let path = sam3d_fuzz::file("a.dcm", bytes);
    sam3d_fuzz::check(sam3d_io::read(&path, sam3d_fuzz::LIMITS));
    let directory = path.parent().expect("the directory of the input");
    sam3d_fuzz::check(dicom::read(directory, None, sam3d_fuzz::LIMITS));
    // Nothing is asked of these but that they are read without a panic.
    drop(dicom::survey(directory));
    drop(dicom::personal_fields(&path));
});
