//! Bodies that are damaged, on purpose or not: an error with a message, never a panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{RECORDED, recorded};
use proptest::prelude::*;
use sam3d_nnia::{ArrayError, Head, unpack};

const LIMIT: usize = 1 << 18;

fn check(body: &[u8]) {
    match unpack(body, LIMIT) {
        Ok(array) => {
            let elements: usize = array.shape().iter().product();
            assert!(elements <= LIMIT);
            assert_eq!(array.bytes().len(), elements * array.element().bytes());
            assert!(array.to_f32().unwrap().0.iter().all(|number| number.is_finite()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

#[test]
fn every_truncation_is_refused() {
    for name in RECORDED {
        let body = recorded(name);
        for length in 0..body.len() {
            assert!(unpack(&body[..length], LIMIT).is_err(), "{name}: {length}");
        }
        let longer = [&body[..], &[0]].concat();
        assert!(unpack(&longer, LIMIT).unwrap_err().to_string().contains("follow the last chunk"), "{name}");
    }
}

#[test]
fn every_changed_byte_is_survived() {
    for name in RECORDED {
        let body = recorded(name);
        // All of the heads, and a part of the compressed bytes: the fuzz target sees the rest.
        let step = if body.len() > 2000 { 7 } else { 1 };
        for at in (0..body.len()).filter(|at| *at < 200 || at % step == 0) {
            for change in [1, 0x80, 0xff] {
                let mut changed = body.clone();
                changed[at] ^= change;
                check(&changed);
            }
        }
    }
}

#[test]
fn refusals_name_what_was_found() {
    let body = recorded("set_image_int16");
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = body.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        unpack(&changed, LIMIT).unwrap_err().to_string()
    };
    // The head has 8 + 5 + 32 + 4 bytes, then two lengths, then the chunk.
    let chunk = 8 + 5 + 4 * 8 + 4 + 16;
    for (at, bytes, words) in [
        (0, &b"PK\x03\x04"[..], "begins with NNIA, found \"PK"),
        (4, &[2], "version 2 is not supported"),
        (5, &[3], "codec 3 is not supported"),
        (6, &[9], "number of axes 9"),
        (8, b"int99", "element type int99"),
        (13, &[0xff; 8], "a size is negative"),
        (13, &(i64::MAX).to_le_bytes(), "at most 262144"),
        (45, &[0], "the chunks hold less"),
        (chunk + 4, &[1], "the lengths inside and outside a chunk differ"),
        (49, &[1], "a chunk does not fit the shape"),
        (50, &[0xbf], "the chunks hold less"),
        (chunk, &[6], "version of a chunk 6"),
        (chunk + 2, &[0], "kind of a chunk 0"),
        (chunk + 2, &[0x45], "codec of a chunk 2"),
        (chunk + 3, &[0], "elements of no bytes"),
        (chunk + 8, &[0, 0, 0, 0], "blocks of no bytes"),
        (chunk + 16, &[2], "filter 2"),
        (chunk + 16, &[1, 1], "filter 1"),
        (chunk + 31, &[1], "dictionary"),
        (chunk + 31, &[0x20], "NaN in elements"),
        (chunk + 31, &[0x40], "kind of a chunk 4"),
        (chunk + 32, &[0xff; 4], "a block lies outside"),
        (chunk + 52, &[0], "zstd stream"),
    ] {
        let told = changed(at, bytes);
        assert!(told.contains(words), "{at}: {told}");
    }
    let lz4 = recorded("lz4_int16");
    let mut changed = lz4.clone();
    // The first token after 33 bytes of the head, 16 of lengths, 32 of the chunk's header, and two numbers.
    changed[89..99].fill(0xff);
    assert!(unpack(&changed, LIMIT).unwrap_err().to_string().contains("LZ4 stream"));
    assert!(matches!(Head::read(&lz4[..20]), Err(ArrayError::Truncated { .. })));
}

proptest! {
    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
        let mut body = recorded("scribble_uint8");
        body.truncate(40);
        body.extend(bytes);
        check(&body);
    }
}
