//! Peak memory of files that describe more than they hold. One test, because the measure is of the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fs, path::Path};

use common::{Pickle, archive, floats};
use peak_alloc::PeakAlloc;
use sam3d_pickle::{Limits, Value, read_bytes, read_file};
use sam3d_testkit::golden_path;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What `action` allocates above what was in use before it, in bytes.
fn peak<T>(action: impl FnOnce() -> T) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    drop(action());
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Asserts that `bytes` is refused within `allowed` bytes of memory.
fn check_refused(what: &str, bytes: Vec<u8>, limits: &Limits, allowed: usize) {
    let size = bytes.len();
    let used = peak(|| read_bytes(bytes, Path::new(what), limits).unwrap_err());
    assert!(used <= size + allowed, "{what}: {used} bytes for a file of {size}, allowed {allowed} more");
}

#[test]
fn memory_stays_within_the_limits() {
    const MIB: usize = 1 << 20;
    let limits = Limits { max_values: 10_000, max_pickle_bytes: MIB as u64, ..Limits::default() };

    let announced = Pickle::new().raw(b"\x8d\x00\x00\x00\xff\x00\x00\x00\x00").stop();
    check_refused(
        "a string of 4 GB",
        announced,
        &Limits { max_pickle_bytes: 1 << 40, ..limits.clone() },
        MIB,
    );

    for (what, opcode) in [("lists", b"]"), ("marks", b"("), ("dictionaries", b"}"), ("nones", b"N")] {
        check_refused(what, Pickle::new().raw(&opcode.repeat(900_000)).stop(), &limits, 4 * MIB);
    }
    let memo = (0..100_000u32)
        .fold(Pickle::new().raw(b"N"), |pickle, number| pickle.raw(b"r").raw(&number.to_le_bytes()));
    check_refused("memo", memo.stop(), &limits, 4 * MIB);

    // Small tuples taken from a stack that once was large.
    let nested = Pickle::new().raw(b"(").raw(&b"N".repeat(5000)).raw(b"t").raw(&b"\x85".repeat(4000));
    check_refused("a tuple in 4000 tuples", nested.stop(), &limits, 4 * MIB);
    let long = Pickle::new().raw(b"((").raw(&b"N".repeat(5000)).raw(b"tq\x00");
    let copied = (0..4000).fold(long, |pickle, _| pickle.global("builtins", "set").raw(b"h\x00\x85R"));
    check_refused("a list copied 4000 times", copied.stop(), &limits, 4 * MIB);
    let text = Pickle::new().raw(b"(").text(&"x".repeat(500_000)).raw(b"q\x00");
    let converted = (0..1000).fold(text, |pickle, _| {
        pickle.global("_codecs", "encode").raw(b"h\x00").text("latin1").raw(b"\x86R")
    });
    check_refused("a text converted 1000 times", converted.stop(), &limits, 4 * MIB);

    let zeros = floats(&vec![0.0; 16 * MIB]);
    let huge = Pickle::new().tensor("0", 1 << 24, 0, &[1 << 24], &[1]).stop();
    let bomb = archive(&[("a/data.pkl", &huge), ("a/data/0", &zeros)], true);
    assert!(bomb.len() < MIB / 8);
    drop(zeros);
    let value = read_bytes(bomb.clone(), Path::new("bomb"), &limits).unwrap();
    let used = peak(|| value.as_tensor().unwrap().to_f32_vec().unwrap());
    assert!(used <= 130 * MIB, "a deflated tensor of 64 MiB: {used}");
    check_refused("a bomb", bomb, &Limits { max_tensor_bytes: MIB as u64, ..limits.clone() }, MIB);
    let pickle_bomb = archive(&[("a/data.pkl", &vec![b'N'; 8 * MIB])], true);
    check_refused("a pickle bomb", pickle_bomb, &limits, MIB);

    // The end record of an archive may announce any number of entries.
    let mut announcing = archive(&[("a/data.pkl", &Pickle::new().raw(b"N").stop())], false);
    let end = announcing.len() - 22;
    announcing[end + 8..end + 12].copy_from_slice(&[0xfe, 0xff, 0xfe, 0xff]);
    check_refused("65534 entries", announcing, &limits, MIB);

    // A real checkpoint is never in memory as a whole.
    let path = golden_path("tiny_adapter.pth.tar");
    let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    let used = peak(|| {
        let value = read_file(&path, &Limits::default()).unwrap();
        for (_, tensor) in value.get("encoder_dict").and_then(Value::as_dict).unwrap().iter() {
            tensor.as_tensor().unwrap().to_f32_vec().unwrap();
        }
    });
    assert!(used < size / 2, "{used} bytes for a file of {size}");
}
