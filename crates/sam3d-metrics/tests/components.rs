//! Components against a flood fill, for any mask and each kind of neighbourhood.

#![expect(clippy::unwrap_used, reason = "masks of one shape can be compared")]

use ndarray::Array3;
use proptest::prelude::*;
use sam3d_metrics::{Component, Connectivity, components};

const SHAPE: [usize; 3] = [4, 5, 70];

prop_compose! {
    fn mask()(density in 0.0..1.0f64, draws in prop::collection::vec(0.0..1.0f64, 4 * 5 * 70)) -> Array3<u8> {
        Array3::from_shape_vec(SHAPE, draws.iter().map(|draw| u8::from(*draw < density)).collect()).unwrap()
    }
}

/// The voxels up to one step away along each of at most `axes` axes.
fn neighbours([d, h, w]: [usize; 3], axes: u32) -> impl Iterator<Item = [usize; 3]> {
    (0..27).filter_map(move |i: isize| {
        let steps = [i / 9 - 1, i / 3 % 3 - 1, i % 3 - 1];
        let moved = steps.iter().filter(|step| **step != 0).count() as u32;
        let place = [
            d.checked_add_signed(steps[0])?,
            h.checked_add_signed(steps[1])?,
            w.checked_add_signed(steps[2])?,
        ];
        let inside = place.iter().zip(SHAPE).all(|(index, size)| *index < size);
        (inside && (1..=axes).contains(&moved)).then_some(place)
    })
}

fn flood_fill(mask: &Array3<u8>, axes: u32) -> Vec<Component> {
    let mut left = mask.clone();
    let mut found = Vec::new();
    for (d, h, w) in ndarray::indices(SHAPE) {
        if left[[d, h, w]] == 0 {
            continue;
        }
        let mut component = Component { voxels: 0, start: [d, h, w], end: [0; 3] };
        let mut open = vec![[d, h, w]];
        left[[d, h, w]] = 0;
        while let Some(voxel) = open.pop() {
            component.voxels += 1;
            component.start = std::array::from_fn(|axis| component.start[axis].min(voxel[axis]));
            component.end = std::array::from_fn(|axis| component.end[axis].max(voxel[axis] + 1));
            for next in neighbours(voxel, axes) {
                if std::mem::take(&mut left[next]) != 0 {
                    open.push(next);
                }
            }
        }
        found.push(component);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn components_agree_with_a_flood_fill(mask in mask()) {
        let kinds = [(Connectivity::Faces, 1), (Connectivity::Edges, 2), (Connectivity::Corners, 3)];
        for (connectivity, axes) in kinds {
            prop_assert_eq!(components(mask.view(), connectivity), flood_fill(&mask, axes));
        }
    }
}
