//! A packed array of nnInteractive's protocol.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sam3d_nnia::unpack;

fuzz_target!(|bytes: &[u8]| {
    // Panics of the zstd decoder are caught, and become errors.
    sam3d_fuzz::ignore_caught_panics();
    match unpack(bytes, sam3d_fuzz::LIMITS.max_voxels) {
        Ok(array) => {
            let elements: usize = array.shape().iter().product();
            assert!(elements <= sam3d_fuzz::LIMITS.max_voxels);
            assert_eq!(array.bytes().len(), elements * array.element().bytes());
            assert_eq!(array.is_set().count(), elements);
            let (numbers, _) = array.to_f32().expect("memory for few numbers");
            assert!(numbers.len() == elements && numbers.iter().all(|number| number.is_finite()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
