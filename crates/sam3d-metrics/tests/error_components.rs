//! Error components, their depth and the corrective clicks against definitions that look at every voxel.

#![expect(clippy::unwrap_used, reason = "masks of one shape can be compared")]

use ndarray::{Array3, Zip};
use proptest::prelude::*;
use sam3d_geom::Spacing;
use sam3d_metrics::{
    ClickRule, Connectivity, components, corrective_click, distance_transform_mm, error_components,
    largest_component,
};

const SHAPE: [usize; 3] = [6, 5, 7];

prop_compose! {
    fn mask()(density in 0.0..1.0f64, draws in prop::collection::vec(0.0..1.0f64, 6 * 5 * 7)) -> Array3<u8> {
        Array3::from_shape_vec(SHAPE, draws.iter().map(|draw| u8::from(*draw < density)).collect()).unwrap()
    }
}

prop_compose! {
    fn spacing()(mm in prop::array::uniform3(0.2..6.0f64)) -> Spacing {
        Spacing::new(mm).unwrap()
    }
}

/// Distance from each voxel of `mask` to the nearest voxel outside, by the transform of the whole volume and its margin.
fn depths_mm(mask: &Array3<u8>, spacing: Spacing) -> Array3<f32> {
    let outside = Array3::from_shape_fn(SHAPE.map(|n| n + 2), |(d, h, w)| {
        let inside = [d, h, w].iter().zip(SHAPE).all(|(index, size)| (1..=size).contains(index));
        u8::from(!inside || mask[[d - 1, h - 1, w - 1]] == 0)
    });
    let padded = distance_transform_mm(outside.view(), spacing).unwrap();
    Array3::from_shape_fn(SHAPE, |(d, h, w)| padded[[d + 1, h + 1, w + 1]])
}

fn both(a: &Array3<u8>, b: &Array3<u8>, holds: impl Fn(u8, u8) -> bool) -> Array3<u8> {
    Zip::from(a).and(b).map_collect(|a, b| u8::from(holds(*a, *b)))
}

/// The voxels of a component as a mask of the volume.
fn as_mask(component: &sam3d_metrics::ErrorComponent) -> Array3<u8> {
    let mut mask = Array3::zeros(SHAPE);
    (0..component.voxels()).for_each(|n| mask[component.voxel(n).unwrap()] = 1);
    mask
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn error_components_are_the_components_of_the_difference(a in mask(), b in mask()) {
        let difference = both(&a, &b, |a, b| a != b);
        let found = error_components(a.view(), b.view()).unwrap();
        let expected = components(difference.view(), Connectivity::Corners);
        let boxes = |start, end, voxels| (start, end, voxels);
        prop_assert_eq!(
            found.iter().map(|one| boxes(one.start(), one.end(), one.voxels())).collect::<Vec<_>>(),
            expected.iter().map(|one| boxes(one.start, one.end, one.voxels)).collect::<Vec<_>>()
        );
        let all = found.iter().fold(Array3::<u8>::zeros(SHAPE), |sum, one| sum + as_mask(one));
        prop_assert_eq!(all, difference);
        for one in &found {
            prop_assert_eq!(one.voxel(one.voxels()), None);
        }
    }

    #[test]
    fn depth_is_the_distance_to_everything_else(a in mask(), b in mask(), spacing in spacing()) {
        for component in error_components(a.view(), b.view()).unwrap() {
            let expected = depths_mm(&as_mask(&component), spacing);
            let map = component.depth_map_mm(spacing).unwrap();
            let start = component.start();
            for ((d, h, w), depth) in map.indexed_iter() {
                let voxel = [start[0] + d, start[1] + h, start[2] + w];
                prop_assert_eq!(*depth, expected[voxel]);
                prop_assert_eq!(component.depth_mm(voxel, spacing) as f32, *depth);
            }
            let deepest = component.deepest(spacing).unwrap();
            let largest = map.iter().copied().fold(0.0, f32::max);
            prop_assert!(f64::from(largest) * (1.0 - 2e-6) <= deepest.depth_mm);
            prop_assert_eq!(expected[deepest.voxel], deepest.depth_mm as f32);
        }
    }

    #[test]
    fn the_largest_component_is_the_first_of_equal_ones(a in mask(), b in mask()) {
        let found = error_components(a.view(), b.view()).unwrap();
        let most = found.iter().map(|one| one.voxels()).max();
        prop_assert_eq!(largest_component(&found), found.iter().find(|one| Some(one.voxels()) == most));
    }

    #[test]
    fn the_deepest_rule_agrees_with_two_distance_maps(a in mask(), b in mask(), spacing in spacing()) {
        let missing = depths_mm(&both(&a, &b, |a, b| a > b), spacing);
        let excess = depths_mm(&both(&a, &b, |a, b| a < b), spacing);
        let largest = |map: &Array3<f32>| map.iter().copied().fold(0.0, f32::max);
        let (in_missing, in_excess) = (largest(&missing), largest(&excess));
        let click = corrective_click(a.view(), b.view(), spacing, ClickRule::Deepest, |_| 0).unwrap();
        let Some(click) = click else {
            prop_assert_eq!(in_missing.max(in_excess), 0.0);
            return Ok(());
        };
        let map = if in_excess > in_missing { &excess } else { &missing };
        let first = map.indexed_iter().find(|(_, depth)| **depth >= in_missing.max(in_excess) * (1.0 - 1e-6));
        let ((d, h, w), depth) = first.unwrap();
        prop_assert_eq!(click.point.index, [d, h, w]);
        prop_assert!((click.depth_mm as f32 - *depth).abs() <= 1e-6 * *depth);
    }
}
