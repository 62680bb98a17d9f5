//! No input panics: random bytes, random instructions, and valid files with bytes changed, cut out or repeated.

mod common;

use std::{fs, path::Path};

use common::{Pickle, archive, floats};
use proptest::{collection::vec, prelude::*, sample::Index};
use sam3d_pickle::{Limits, Value, read_bytes};
use sam3d_testkit::golden_path;

/// Limits under which every tensor may be read out in a test.
fn small() -> Limits {
    Limits { max_tensor_bytes: 1 << 22, max_values: 1 << 16, ..Limits::default() }
}

/// Reads `bytes` and every tensor in it. The result is not checked, only that there is one.
fn exercise(bytes: Vec<u8>) {
    if let Ok(value) = read_bytes(bytes, Path::new("mutant"), &small()) {
        read_tensors(&value);
    }
}

fn read_tensors(value: &Value) {
    match value {
        Value::Dict(dict) => dict.iter().for_each(|(_, value)| read_tensors(value)),
        Value::List(items) | Value::Tuple(items) => items.iter().for_each(read_tensors),
        Value::Tensor(tensor) => {
            if let Ok(values) = tensor.to_f32_vec() {
                assert_eq!(values.len(), tensor.len());
            }
        }
        _ => {}
    }
}

/// A state dictionary of two views of one storage and a numpy number.
fn checkpoint() -> Vec<u8> {
    Pickle::new()
        .raw(b"}(")
        .text("w")
        .tensor("0", 6, 0, &[3, 2], &[1, 3])
        .text("b")
        .tensor("0", 6, 4, &[2], &[1])
        .text("best")
        .global("numpy.core.multiarray", "scalar")
        .global("numpy", "dtype")
        .text("f4")
        .raw(b"\x89\x88\x87R(K\x03")
        .text("<")
        .raw(b"NNNK\x00K\x00K\x00tbC\x04abcd\x86Ru")
        .stop()
}

/// An archive of `pickle` and the storage of [`checkpoint`].
fn archived(pickle: &[u8], deflated: bool) -> Vec<u8> {
    let data = floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    archive(&[("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &data)], deflated)
}

/// A valid file of each kind.
fn seeds() -> Vec<Vec<u8>> {
    let mut legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    legacy.extend(Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").stop());
    legacy.extend(Pickle::new().tensor("0", 6, 0, &[6], &[1]).stop());
    legacy.extend(Pickle::new().raw(b"]").text("0").raw(b"a").stop());
    legacy.extend(6u64.to_le_bytes());
    legacy.extend(floats(&[0.0; 6]));
    let names = b"\x80\x05\x95+\x00\x00\x00\x00\x00\x00\x00}\x94(K\x00]\x94(\x8c\x06case_1\x94\x8c\x06case_2\x94e\x8c\x05sizes\x94\x8f\x94(K\x03\x90u.";
    vec![archived(&checkpoint(), false), archived(&checkpoint(), true), legacy, names.to_vec()]
}

#[test]
fn the_seeds_are_valid() {
    for seed in seeds() {
        read_bytes(seed, Path::new("seed"), &small()).unwrap();
    }
}

/// Bytes to change, and pieces to cut out and to repeat.
#[derive(Debug, Clone)]
struct Changes {
    bytes: Vec<(Index, u8)>,
    cut: Option<(Index, usize)>,
    repeated: Option<(Index, usize)>,
}

impl Changes {
    fn any() -> impl Strategy<Value = Self> {
        let piece = || prop::option::weighted(0.3, (any::<Index>(), 0..64usize));
        (vec((any::<Index>(), any::<u8>()), 0..4), piece(), piece()).prop_map(|(bytes, cut, repeated)| Self {
            bytes,
            cut,
            repeated,
        })
    }

    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (at, value) in &self.bytes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some((at, count)) = &self.cut {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        if let (Some((at, count)), false) = (&self.repeated, bytes.is_empty()) {
            let at = at.index(bytes.len());
            let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        bytes
    }
}

/// Instructions and pieces from which random pickles are put together, so that they get further than random bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let calls: Vec<Vec<u8>> = [
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch", "FloatStorage"),
        ("torch", "Size"),
        ("torch", "float32"),
        ("builtins", "set"),
        ("_codecs", "encode"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.multiarray", "_reconstruct"),
    ]
    .iter()
    .map(|(module, name)| format!("c{module}\n{name}\n").into_bytes())
    .collect();
    prop_oneof![
        3 => prop::sample::select(b"(N\x88\x89)]}\x85\x86\x87taesuRbQ\x8f\x90\x91\x93\x94".as_slice())
            .prop_map(|opcode| vec![opcode]),
        1 => prop::sample::select(calls),
        1 => (prop::sample::select(b"Khq".as_slice()), 0..4u8).prop_map(|(opcode, number)| vec![opcode, number]),
        1 => prop::sample::select(vec!["storage", "0", "cpu", "f4", "<", "latin1"])
            .prop_map(|text| [&[0x8c, text.len() as u8], text.as_bytes()].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(mut bytes in vec(any::<u8>(), 0..200), start in 0..4usize) {
        let starts: [&[u8]; 4] = [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."];
        bytes.splice(0..0, starts[start].iter().copied());
        exercise(bytes);
    }

    #[test]
    fn random_instructions(pieces in vec(piece(), 0..60)) {
        let pickle = Pickle::new().raw(&pieces.concat()).stop();
        exercise(archive(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 64])], false));
        exercise(pickle);
    }

    #[test]
    fn valid_files_with_changes(seed in 0..4usize, changes in Changes::any()) {
        exercise(changes.apply(seeds().swap_remove(seed)));
    }

    /// Changed before it is packed, so that no checksum stands before the pickle.
    #[test]
    fn a_valid_pickle_with_changes(changes in Changes::any()) {
        exercise(archived(&changes.apply(checkpoint()), false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_pickle_of_a_real_checkpoint_with_changes(changes in Changes::any()) {
        let bytes = fs::read(golden_path("tiny_adapter.pth.tar")).unwrap();
        let start = bytes.windows(2).position(|window| window == [0x80, 2]).unwrap();
        let pickle = bytes[start..start + 93_330].to_vec();
        exercise(archive(&[("a/data.pkl", &changes.apply(pickle))], false));
    }
}
