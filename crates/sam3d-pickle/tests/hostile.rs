//! Files that lie, contradict themselves or ask for too much: each refused with a text that says why.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{error::Error, path::Path};

use common::{Pickle, archive, floats};
use sam3d_pickle::{Limits, PickleError, Value, read_bytes};

fn read(bytes: Vec<u8>) -> Result<Value, PickleError> {
    read_bytes(bytes, Path::new("test.pth"), &Limits::default())
}

fn check(bytes: Vec<u8>, expected: &str) {
    let error = read(bytes).unwrap_err().to_string();
    assert!(
        error.starts_with("test.pth: ") && error.contains(expected),
        "expected {expected}, found: {error}"
    );
}

/// One tensor in an archive whose storage has the content `data`.
fn with_tensor(pickle: Pickle, data: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", &pickle.stop()), ("a/data/0", data)], false)
}

#[test]
fn every_way_to_name_code() {
    let refused = "refers to os.system, ";
    check(Pickle::new().global("os", "system").stop(), refused);
    check(Pickle::new().text("os").text("system").raw(b"\x93").stop(), refused);
    check(Pickle::new().global("os", "system").text("id").raw(b"\x85R").stop(), refused);
    check(Pickle::new().raw(b"\x8c\x02os\x8c\x06system\x93)\x81").stop(), refused);
    check(Pickle::new().raw(b"(ios\nsystem\n").stop(), "instruction 0x69 at byte 3");
    check(Pickle::new().raw(b"\x82\x01").stop(), "instruction 0x82 at byte 2");
    check(Pickle::new().global("torch", "Size").raw(b")\x81").stop(), "instruction 0x81");
    check(Pickle::new().global("__builtin__", "bytes").int(1).raw(b"\x85R").stop(), "does not take");
    check(
        Pickle::new().global("_codecs", "encode").text("a").text("zlib").raw(b"\x86R").stop(),
        "encoding zlib",
    );
    check(Pickle::new().global("\u{1b}[2J", "x").stop(), "refers to \\u{1b}[2J.x");
}

#[test]
fn contradictions() {
    check(Vec::new(), "is empty");
    check(b"<!DOCTYPE html>".to_vec(), "it starts with \"<!DOCTYPE html>\"");
    check(
        Pickle::new().raw(b"]\x94\x94").stop().split_last().unwrap().1.to_vec(),
        "ends early, after 5 bytes",
    );
    check(Pickle::new().raw(b"X\xff\xff\xff\x00abc").stop(), "ends early");
    check(Pickle::new().stop(), "empty stack");
    check(Pickle::new().raw(b"N(a").stop(), "empty stack");
    check(Pickle::new().raw(b"t").stop(), "not opened");
    check(Pickle::new().raw(b"h\x05").stop(), "never stored");
    check(Pickle::new().raw(b"}N(NNNu").stop(), "not a dictionary");
    check(Pickle::new().raw(b"}(NNNu").stop(), "half an entry");
    check(Pickle::new().raw(b"X\x01\x00\x00\x00\xff").stop(), "not UTF-8");
    check(Pickle::new().raw(b"]q\x00h\x00a").stop(), "contains itself");
    check(
        Pickle::new().raw(b"}").text("k").int(1).raw(b"s").text("k").int(2).raw(b"s").stop(),
        "names k twice",
    );
    check(Pickle::new().raw(b"})Ns").stop(), "neither a string nor an integer");
    check(Pickle::new().raw(b"\x8a\x09123456789").stop(), "an integer of 9 bytes");
    check(Pickle::new().global("collections", "OrderedDict").stop(), "itself");
    check([Pickle::new().raw(b"N").stop(), b"N".to_vec()].concat(), "1 bytes after the end");
    check(b"\x80\x06N.".to_vec(), "neither a PyTorch checkpoint");
    check(Pickle::new().tensor("0", 1, 0, &[1], &[1]).stop(), "outside the pickle");
}

#[test]
fn tensors_that_leave_their_storage() {
    let data = floats(&[0.0, 1.0, 2.0, 3.0]);
    let tensor = |offset, shape: &[i32], strides: &[i32]| {
        with_tensor(Pickle::new().tensor("0", 4, offset, shape, strides), &data)
    };
    assert!(read(tensor(0, &[4], &[1])).is_ok());
    check(tensor(1, &[4], &[1]), "reaches element 5 of a storage of 4");
    check(tensor(-1, &[4], &[1]), "negative");
    check(tensor(0, &[-4], &[1]), "negative");
    check(tensor(0, &[2], &[-1]), "negative");
    check(tensor(0, &[1_000_000, 1_000_000], &[0, 0]), "repeats the 4 elements");
    check(tensor(0, &[4], &[1, 1]), "1 sizes and 2 strides");
    check(tensor(0, &[1; 65], &[1; 65]), "65 axes");

    let two_ways = Pickle::new().tensor("0", 4, 0, &[4], &[1]).tensor("0", 3, 0, &[3], &[1]).raw(b"\x86");
    check(with_tensor(two_ways, &data), "storage 0 is described in two ways");
    check(with_tensor(Pickle::new().tensor("0", 5, 0, &[4], &[1]), &data), "expected 20 bytes, found 16");
    check(with_tensor(Pickle::new().tensor("1", 4, 0, &[4], &[1]), &data), "storage 1 as described");
    check(with_tensor(Pickle::new().storage("FloatStorage", "0", 4), &data), "not part of a tensor");
    check(
        with_tensor(Pickle::new().storage("ComplexFloatStorage", "0", 2), &data),
        "torch.ComplexFloatStorage",
    );
    check(with_tensor(Pickle::new().tensor("0", 4, 0, &[1], &[1]).raw(b"Nb"), &data), "has none");
}

#[test]
fn archives_that_are_not_checkpoints() {
    let pickle = Pickle::new().raw(b"N").stop();
    check(archive(&[("a/readme", b"")], false), "has no data.pkl");
    check(archive(&[("a/olddata.pkl", &pickle)], false), "has no data.pkl");
    check(archive(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)], false), "more than one data.pkl");
    check(archive(&[("a/data.pkl", &pickle), ("a/data.pkl", &pickle)], false), "stands twice");
    check(archive(&[("a/data.pkl", &pickle), ("a/byteorder", b"big")], false), "big-endian");
    check(archive(&[("a/data.pkl", &pickle), ("a/byteorder", b"middle")], false), "byteorder is middle");
    check(archive(&[("a/data.pkl", &pickle), (&"n".repeat(2000), b"")], false), "name has 2000 bytes");
    check(b"PK\x03\x04 and then nothing".to_vec(), "probably cut short");
}

#[test]
fn a_changed_byte_of_a_tensor_is_noticed_when_it_is_read() {
    for deflated in [false, true] {
        let pickle = Pickle::new().tensor("0", 4, 0, &[4], &[1]).stop();
        let data = floats(&[0.5, 1.0, 2.0, 3.0]);
        let mut bytes = archive(&[("a/data.pkl", &pickle), ("a/data/0", &data)], deflated);
        let name = bytes.windows(8).position(|window| window == b"a/data/0").unwrap();
        bytes[name + 8 + 3] ^= 1;
        let error = read(bytes).unwrap().as_tensor().unwrap().to_f32_vec().unwrap_err();
        assert!(error.to_string().contains("entry a/data/0 cannot be unpacked"), "{error}");
        assert!(error.source().is_some());
    }
}

#[test]
fn structure_that_grows_faster_than_the_file() {
    // Each pair holds the one before it twice: 60 of them describe 2^60 values.
    let doubling = (0..60).fold(Pickle::new().raw(b"]q\x00"), |pickle, _| pickle.raw(b"h\x00\x86q\x00"));
    check(doubling.stop(), "raise Limits::max_values");

    let deep = (0..65).fold(Pickle::new().raw(b"N"), |pickle, _| pickle.raw(b"\x85"));
    check(deep.stop(), "asks for 65 containers inside each other, more than the allowed 64");
}
