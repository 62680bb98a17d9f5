//! What nnInteractive's client packs, and what is packed for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{RECORDED, recorded};
use proptest::prelude::*;
use sam3d_nnia::{ArrayError, ElementType, Head, known_start, pack, unpack};
use sha2::{Digest, Sha256};

/// SHA-256 of the unpacked bytes, from the client's own unpacker.
#[test]
fn recorded_bodies_are_unpacked_to_the_same_bytes() {
    use ElementType::{Float32, Int16, Uint8, Uint16};
    const IMAGE: &str = "c16e6841ad4bf20f73cd6bbb81680402ce0e3e2599508eaa46dae1a4b7287721";
    const SQUARES: &str = "3e866137aa59a80fee35f40fdd52863c69ff6ce92a7333d0faaca594e48e84aa";
    let expected: [(&str, ElementType, &[usize], &str); 8] = [
        (
            "chunks_uint16",
            Uint16,
            &[3, 8, 383],
            "ff4e49448103401d27d6b2d18bedf919e9df5a2404b77c2c4f93a0ea6d356c87",
        ),
        (
            "initial_seg_uint8",
            Uint8,
            &[64, 48, 40],
            "43cc814417fffb57532868a08a6f9d7eefb4856616f833d6ad493319c9c29eab",
        ),
        (
            "lasso_stored_uint8",
            Uint8,
            &[6, 1, 5],
            "242ae8aa1456724bf226f91b92529556601b83a0effb9558617afe6a290145af",
        ),
        ("lz4_int16", Int16, &[20, 1000], SQUARES),
        ("lz4_shuffle_int16", Int16, &[20, 1000], SQUARES),
        (
            "point_reply_uint8",
            Uint8,
            &[24, 24, 22],
            "79a965a5046efa51abb711fb40677cab431748990e6397e7ad4b981cfc9f9a76",
        ),
        (
            "scribble_uint8",
            Uint8,
            &[7, 9, 1],
            "738c23c46a90cfccb0111881fe8877f69497474a9534b04d0d25e621accfdc65",
        ),
        ("set_image_int16", Int16, &[1, 64, 48, 40], IMAGE),
    ];
    for (name, element, shape, sha256) in expected {
        let array = unpack(&recorded(name), 1 << 20).unwrap();
        assert_eq!((array.element(), array.shape()), (element, shape), "{name}");
        let hash: String = Sha256::digest(array.bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, sha256, "{name}");
    }
    let zeros = unpack(&recorded("set_image_zero_float32"), 512).unwrap();
    assert_eq!((zeros.element(), zeros.to_f32().unwrap()), (Float32, (vec![0.0; 512], 0)));
    let image = unpack(&recorded("set_image_int16"), 1 << 20).unwrap().to_f32().unwrap().0;
    let at = |x: usize, y: usize, z: usize| image[(x * 48 + y) * 40 + z];
    assert_eq!([at(0, 0, 0), at(1, 2, 3), at(63, 47, 39)], [-1000.0, -932.0, 465.0]);
    let scribble = unpack(&recorded("scribble_uint8"), 63).unwrap();
    let drawn: Vec<usize> =
        (0..63).zip(scribble.is_set()).filter(|(_, set)| *set).map(|(at, _)| at).collect();
    assert_eq!(drawn, [13, 22, 31, 40, 49]);
}

#[test]
fn the_head_bounds_the_body() {
    for name in RECORDED {
        let body = recorded(name);
        let head = Head::read(&body[..body.len().min(Head::LONGEST)]).unwrap();
        let bytes = head.check(1 << 20).unwrap();
        assert!(body.len() as u64 <= head.longest_body(bytes), "{name}");
        assert!(head.longest_body(bytes) < 2 * bytes as u64 + (1 << 17), "{name}");
        let elements = bytes / head.element().bytes();
        let refused = unpack(&body, elements - 1).unwrap_err();
        let limit = elements - 1;
        assert_eq!(refused, ArrayError::TooLarge { elements: elements as u128, limit }, "{name}");
    }
}

#[test]
fn masks_of_every_type_and_several_blocks_come_back() {
    for element in ElementType::ALL {
        // Blocks without any voxel, with some, with noise, and a short last one.
        let shape = [7, 100, 123];
        let is_set = |at: usize| {
            at > 30_000 && (at.is_multiple_of(7) || at > 60_000 && at.wrapping_mul(2_654_435_761) % 64 > 31)
        };
        let voxels = 7 * 100 * 123;
        let body = pack(element, shape, (0..voxels).map(is_set));
        assert!(body.starts_with(&known_start(element, shape)));
        let array = unpack(&body, voxels).unwrap();
        assert_eq!((array.element(), array.shape()), (element, &shape[..]));
        let numbers = array.to_f32().unwrap().0;
        for (at, (number, set)) in numbers.into_iter().zip(array.is_set()).enumerate() {
            assert_eq!((number, set), (f32::from(u8::from(is_set(at))), is_set(at)), "{element} {at}");
        }
        let zeros = pack(element, shape, []);
        assert_eq!(zeros.len(), 8 + element.name().len() + 3 * 8 + 4 + 16 + 32, "{element}");
        assert!(!unpack(&zeros, voxels).unwrap().is_set().any(|set| set));
    }
}

#[test]
fn numbers_beyond_single_precision_stay_finite() {
    let mut body = pack(ElementType::Float64, [4], [true; 4]);
    // Stored as they are: four elements are too few to compress.
    let elements = body.len() - 32;
    for (at, number) in [f64::NAN, f64::INFINITY, -1e300, -0.0].into_iter().enumerate() {
        body[elements + 8 * at..elements + 8 * at + 8].copy_from_slice(&number.to_le_bytes());
    }
    let array = unpack(&body, 4).unwrap();
    assert_eq!(array.to_f32().unwrap(), (vec![0.0, f32::MAX, f32::MIN, -0.0], 1));
    assert_eq!(array.is_set().collect::<Vec<_>>(), [true, true, true, false]);
}

proptest! {
    #[test]
    fn packing_and_unpacking_are_inverse(mask in prop::collection::vec(any::<bool>(), 1..5000)) {
        let body = pack(ElementType::Uint16, [mask.len(), 1], mask.iter().copied());
        let array = unpack(&body, mask.len()).unwrap();
        prop_assert_eq!(array.is_set().collect::<Vec<_>>(), mask);
    }
}
