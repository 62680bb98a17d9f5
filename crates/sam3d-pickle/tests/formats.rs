//! Each kind of file and value that is read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;

use common::{Pickle, archive, floats};
use sam3d_pickle::{DType, Key, Limits, PickleError, Value, read_bytes};

fn read(bytes: Vec<u8>) -> Result<Value, PickleError> {
    read_bytes(bytes, Path::new("test.pth"), &Limits::default())
}

/// The value as text, with tensors by type and shape: what a test compares.
fn shown(bytes: Vec<u8>) -> String {
    format!("{:?}", read(bytes).unwrap())
}

fn six() -> Vec<u8> {
    floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
}

#[test]
fn a_transposed_tensor_in_a_deflated_archive() {
    let pickle = Pickle::new().raw(b"}").text("w").tensor("0", 6, 0, &[3, 2], &[1, 3]).raw(b"s").stop();
    for (prefix, deflated) in [("archive/", true), ("", true), ("a.b/", false)] {
        let name = |entry: &str| format!("{prefix}{entry}");
        let bytes = archive(
            &[
                (&name("data.pkl"), &pickle),
                (&name("byteorder"), b"little"),
                (&name("data/0"), &six()),
                (&name("version"), b"3\n"),
            ],
            deflated,
        );
        let value = read(bytes).unwrap();
        let tensor = value.get("w").unwrap().as_tensor().unwrap();
        assert_eq!((tensor.shape(), tensor.dtype(), tensor.len()), ([3, 2].as_slice(), DType::F32, 6));
        assert_eq!(tensor.to_f32_vec().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }
}

#[test]
fn tensors_that_share_a_storage() {
    let pickle =
        Pickle::new().tensor("0", 6, 0, &[2], &[1]).tensor("0", 6, 4, &[2], &[1]).raw(b"\x86").stop();
    let value = read(archive(&[("a/data.pkl", &pickle), ("a/data/0", &six())], false)).unwrap();
    let parts: Vec<_> =
        value.as_items().unwrap().iter().map(|part| part.as_tensor().unwrap().clone()).collect();
    drop(value);
    assert_eq!(parts[0].to_f32_vec().unwrap(), [0.0, 1.0]);
    assert_eq!(parts[1].to_f32_vec().unwrap(), [4.0, 5.0]);
}

#[test]
fn values_may_go_to_another_thread() {
    fn check<T: Send + Sync>() {}
    check::<Value>();
    check::<PickleError>();
}

#[test]
fn an_untyped_storage_with_a_type_of_its_own() {
    let pickle = Pickle::new()
        .global("torch._utils", "_rebuild_tensor_v3")
        .raw(b"((")
        .text("storage")
        .global("torch.storage", "UntypedStorage")
        .text("0")
        .text("cpu")
        .int(4)
        .raw(b"tQ")
        .int(0)
        .ints(&[2])
        .ints(&[1])
        .raw(b"\x89}")
        .global("torch", "uint16")
        .raw(b"tR")
        .stop();
    let value = read(archive(&[("a/data.pkl", &pickle), ("a/data/0", &[1, 0, 0, 1])], false)).unwrap();
    assert_eq!(value.as_tensor().unwrap().to_f32_vec().unwrap(), [1.0, 256.0]);
}

#[test]
fn a_parameter_is_its_tensor() {
    let pickle = Pickle::new()
        .global("torch._utils", "_rebuild_parameter")
        .raw(b"(")
        .tensor("0", 6, 0, &[6], &[1])
        .raw(b"\x88}tR")
        .stop();
    let value = read(archive(&[("a/data.pkl", &pickle), ("a/data/0", &six())], false)).unwrap();
    assert_eq!(value.as_tensor().unwrap().shape(), [6]);
}

#[test]
fn a_file_from_before_the_archives() {
    let mut bytes =
        vec![0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
    bytes.extend(Pickle::new().raw(b"M\xe9\x03").stop());
    bytes.extend(Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").stop());
    bytes.extend(
        Pickle::new().tensor("b", 6, 2, &[2, 2], &[2, 1]).tensor("a", 1, 0, &[], &[]).raw(b"\x86").stop(),
    );
    bytes.extend(Pickle::new().raw(b"](").text("a").text("b").raw(b"e").stop());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(floats(&[9.0]));
    bytes.extend(6u64.to_le_bytes());
    bytes.extend(six());

    let value = read(bytes.clone()).unwrap();
    let values: Vec<_> = value
        .as_items()
        .unwrap()
        .iter()
        .map(|part| part.as_tensor().unwrap().to_f32_vec().unwrap())
        .collect();
    assert_eq!(values, [vec![2.0, 3.0, 4.0, 5.0], vec![9.0]]);

    bytes.pop();
    let error = read(bytes).unwrap_err().to_string();
    assert!(error.contains("storage b as described: expected 24 bytes, found 23"), "{error}");
}

#[test]
fn a_list_of_names_in_every_protocol() {
    // pickle.dumps({0: ["case_1", "case_2"], "sizes": {3}}, protocol) of Python 3.
    let sources: [&[u8]; 3] = [
        b"\x80\x02}q\x00(K\x00]q\x01(X\x06\x00\x00\x00case_1q\x02X\x06\x00\x00\x00case_2q\x03eX\x05\x00\x00\x00sizesq\x04c__builtin__\nset\nq\x05]q\x06K\x03a\x85q\x07Rq\x08u.",
        b"\x80\x04\x95+\x00\x00\x00\x00\x00\x00\x00}\x94(K\x00]\x94(\x8c\x06case_1\x94\x8c\x06case_2\x94e\x8c\x05sizes\x94\x8f\x94(K\x03\x90u.",
        b"\x80\x05\x95+\x00\x00\x00\x00\x00\x00\x00}\x94(K\x00]\x94(\x8c\x06case_1\x94\x8c\x06case_2\x94e\x8c\x05sizes\x94\x8f\x94(K\x03\x90u.",
    ];
    for source in sources {
        let value = read(source.to_vec()).unwrap();
        let (key, names) = value.as_dict().unwrap().iter().next().unwrap();
        assert_eq!(key, &Key::Int(0));
        let names: Vec<_> = names.as_items().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(names, ["case_1", "case_2"]);
        assert_eq!(value.get("sizes").unwrap().as_items().unwrap()[0].as_i64(), Some(3));
    }
}

#[test]
fn plain_values() {
    let check = |instructions: &[u8], expected: &str| {
        assert_eq!(shown(Pickle::new().raw(instructions).stop()), expected, "{instructions:?}");
    };
    check(b"N", "None");
    check(b"\x88", "Bool(true)");
    check(b"\x8a\x00", "Int(0)");
    check(b"\x8a\x01\xff", "Int(-1)");
    check(b"\x8b\x03\x00\x00\x00\x00\x00\x01", "Int(65536)");
    check(b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "Int(9223372036854775807)");
    check(b"J\xfe\xff\xff\xff", "Int(-2)");
    check(b"G\x3f\xf8\x00\x00\x00\x00\x00\x00", "Float(1.5)");
    check(b"U\x02ab", "Str(\"ab\")");
    check(b"U\x02a\xff", "Bytes([97, 255])");
    check(b"C\x02a\xff", "Bytes([97, 255])");
    check(b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a", "Bytes([97])");
    check(b"(K\x01K\x02\x91", "List([Int(1), Int(2)])");
}

#[test]
fn ordered_dictionaries_sizes_and_types() {
    let pairs =
        Pickle::new().global("collections", "OrderedDict").raw(b"]").text("a").int(1).raw(b"\x86a\x85R");
    assert_eq!(shown(pairs.stop()), "Dict(Dict { entries: [(Str(\"a\"), Int(1))] })");

    let size = Pickle::new().global("torch", "Size").ints(&[2, 3]).raw(b"\x85R").stop();
    assert_eq!(shown(size), "Tuple([Int(2), Int(3)])");
    assert_eq!(shown(Pickle::new().global("torch", "bfloat16").stop()), "Str(\"torch.bfloat16\")");
    assert_eq!(shown(encoded(Pickle::new(), "ab\u{ff}").stop()), "Bytes([97, 98, 255])");
}

/// Bytes as protocol 2 writes them: text in which every character is one byte.
fn encoded(pickle: Pickle, text: &str) -> Pickle {
    pickle.global("_codecs", "encode").text(text).text("latin1").raw(b"\x86R")
}

/// `numpy.dtype(name)` with the byte order `order`.
fn numpy_type(pickle: Pickle, name: &str, order: &str) -> Pickle {
    pickle
        .global("numpy", "dtype")
        .text(name)
        .raw(b"\x89\x88\x87R(K\x03")
        .text(order)
        .raw(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
}

#[test]
fn numpy_scalars_and_arrays() {
    let scalar = |name: &str, bytes: &str| {
        let pickle = Pickle::new().global("numpy.core.multiarray", "scalar");
        shown(encoded(numpy_type(pickle, name, "<"), bytes).raw(b"\x86R").stop())
    };
    assert_eq!(scalar("f8", "\0\0\0\0\0\0\u{f8}?"), "Float(1.5)");
    assert_eq!(scalar("i8", "\u{fe}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}"), "Int(-2)");
    assert_eq!(scalar("b1", "\u{1}"), "Bool(true)");

    let array = |order: &[u8]| {
        let pickle = Pickle::new()
            .global("numpy._core.multiarray", "_reconstruct")
            .global("numpy", "ndarray")
            .ints(&[0])
            .raw(b"C\x01b\x87R(K\x01")
            .ints(&[2, 2]);
        let pickle = numpy_type(pickle, "u1", "|").raw(order).raw(b"C\x04\x01\x02\x03\x04tb");
        read(pickle.stop()).unwrap().as_tensor().unwrap().to_f32_vec().unwrap()
    };
    assert_eq!(array(b"\x89"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(array(b"\x88"), [1.0, 3.0, 2.0, 4.0]);

    let big = numpy_type(Pickle::new(), "f8", ">").stop();
    assert!(read(big).unwrap_err().to_string().contains("big-endian"));
}
