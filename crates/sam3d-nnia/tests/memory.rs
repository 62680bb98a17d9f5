//! Memory that bodies claim and do not get. One test, because the measure is of the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use peak_alloc::PeakAlloc;
use sam3d_nnia::{Head, unpack};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn recorded(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.bin"))).unwrap()
}

/// What refusing `body` allocates, in bytes.
fn refusing(body: &[u8], limit: usize) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    drop(unpack(body, limit).unwrap_err());
    ALLOCATOR.peak_usage().saturating_sub(before)
}

#[test]
fn no_memory_is_taken_for_what_is_merely_claimed() {
    const MIB: usize = 1 << 20;
    let mut body = recorded("initial_seg_uint8");
    // 2^40 elements, beyond the limit; then within it, of which the chunks hold little.
    body[13..21].copy_from_slice(&(1i64 << 40).to_le_bytes());
    assert!(refusing(&body, 1 << 30) < MIB);
    body[13..21].copy_from_slice(&(1i64 << 18).to_le_bytes());
    assert!(refusing(&body, 1 << 30) < MIB);
    // As many chunks as fit the number.
    body[37..41].copy_from_slice(&[0xff; 4]);
    assert!(refusing(&body, 1 << 30) < MIB);

    // A frame of zstd that wants a window of 2 GiB: the first one of the body, whose header is made to say so.
    let mut body = recorded("set_image_int16");
    let frame = body.windows(4).position(|bytes| bytes == [0x28, 0xb5, 0x2f, 0xfd]).unwrap();
    body[frame + 4..frame + 6].copy_from_slice(&[0x00, 0xa8]);
    let bytes = Head::read(&body).unwrap().check(1 << 20).unwrap();
    assert!(refusing(&body, 1 << 20) < bytes + 20 * MIB);
}
