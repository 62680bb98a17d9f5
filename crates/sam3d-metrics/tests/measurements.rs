//! Measurements against brute force over all pairs of points, on anisotropic, oblique and sheared grids.

#![expect(clippy::unwrap_used, reason = "a test without its input cannot go on")]

use ndarray::Array3;
use proptest::prelude::*;
use sam3d_geom::Affine;
use sam3d_metrics::{AxialDiameters, MaskMeasurements};

/// Centres of the faces between a voxel of the mask and one outside, `[D, H, W]`; in slices alone without those across D.
fn face_centres(mask: &Array3<u8>, axes: std::ops::Range<usize>) -> Vec<[f64; 3]> {
    let inside = |index: [i64; 3]| {
        let within = index.iter().zip(mask.shape()).all(|(i, n)| *i >= 0 && *i < *n as i64);
        within && mask[index.map(|i| i as usize)] != 0
    };
    let mut points = Vec::new();
    for ((d, h, w), _) in mask.indexed_iter().filter(|(_, value)| **value != 0) {
        for axis in axes.clone() {
            for step in [-1i64, 1] {
                let mut next = [d, h, w].map(|i| i as i64);
                next[axis] += step;
                if !inside(next) {
                    let mut point = [d, h, w].map(|i| i as f64);
                    point[axis] += step as f64 / 2.0;
                    points.push(point);
                }
            }
        }
    }
    points
}

fn distance_mm(affine: &Affine, a: [f64; 3], b: [f64; 3]) -> f64 {
    let [a, b] = [a, b].map(|point| affine.world_from_voxel(point));
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

fn longest_mm(affine: &Affine, points: &[[f64; 3]]) -> f64 {
    let pairs = points.iter().flat_map(|a| points.iter().map(move |b| (*a, *b)));
    pairs.map(|(a, b)| distance_mm(affine, a, b)).fold(0.0, f64::max)
}

/// The longest chord of the convex hull of `points` perpendicular to the line between `ends`: at each point's place along the
/// line, the farthest reach to both sides of any segment between two points.
fn perpendicular_mm(affine: &Affine, points: &[[f64; 3]], ends: [[f64; 3]; 2]) -> f64 {
    let world = |point: [f64; 3]| affine.world_from_voxel(point);
    let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let minus = |a: [f64; 3], b: [f64; 3]| -> [f64; 3] { std::array::from_fn(|i| a[i] - b[i]) };
    let unit = |a: [f64; 3]| a.map(|value| value / dot(a, a).sqrt());
    let along = unit(minus(world(ends[1]), world(ends[0])));
    let rows = affine.rows();
    let column = |c: usize| -> [f64; 3] { std::array::from_fn(|r| rows[r][c]) };
    // What is left of the two steps in the slice without their part along the line.
    let steps = [column(1), column(2)];
    let across = steps.map(|step| minus(step, along.map(|value| value * dot(step, along))));
    let across =
        unit(if dot(across[0], across[0]) > dot(across[1], across[1]) { across[0] } else { across[1] });
    let placed: Vec<[f64; 2]> =
        points.iter().map(|point| [dot(world(*point), along), dot(world(*point), across)]).collect();
    let mut longest = 0.0f64;
    for [at, _] in &placed {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for a in &placed {
            for b in placed.iter().filter(|b| a[0] <= *at + 1e-9 && b[0] >= *at - 1e-9) {
                let share =
                    if b[0] - a[0] < 1e-9 { 0.0 } else { ((at - a[0]) / (b[0] - a[0])).clamp(0.0, 1.0) };
                let t = a[1] + share * (b[1] - a[1]);
                (low, high) = (low.min(t), high.max(t));
            }
        }
        longest = longest.max(high - low);
    }
    longest
}

fn masks() -> impl Strategy<Value = Array3<u8>> {
    (1usize..4, 1usize..7, 1usize..7, 1u32..5).prop_flat_map(|(d, h, w, rarity)| {
        let voxel = (0..rarity).prop_map(|draw| u8::from(draw == 0));
        proptest::collection::vec(voxel, d * h * w)
            .prop_map(move |values| Array3::from_shape_vec([d, h, w], values).unwrap())
    })
}

/// Grids of any spacing, turned and sheared.
fn affines() -> impl Strategy<Value = Affine> {
    proptest::array::uniform9(-3.0..3.0f64).prop_filter_map("singular", |linear| {
        let rows = std::array::from_fn(|r| [linear[3 * r], linear[3 * r + 1], linear[3 * r + 2], 7.0]);
        Affine::new(rows).ok().filter(|affine| affine.shear() < 0.95)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn diameters_equal_those_of_brute_force(mask in masks(), affine in affines()) {
        let found = MaskMeasurements::of(mask.view(), &affine);
        let voxels = mask.iter().filter(|value| **value != 0).count();
        prop_assert_eq!(found.is_none(), voxels == 0);
        let Some(found) = found else { return Ok(()) };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9 * (1.0 + b);

        let in_space = longest_mm(&affine, &face_centres(&mask, 0..3));
        prop_assert!(close(found.longest.length_mm, in_space), "{} {in_space}", found.longest.length_mm);
        let [a, b] = found.longest.ends;
        prop_assert!(close(distance_mm(&affine, a, b), in_space));

        let points = face_centres(&mask, 1..3);
        let in_slice = |slice: usize| -> Vec<[f64; 3]> {
            points.iter().copied().filter(|point| point[0] == slice as f64).collect()
        };
        let longest = (0..mask.dim().0).map(|slice| longest_mm(&affine, &in_slice(slice))).fold(0.0, f64::max);
        let axial = found.axial;
        prop_assert!(close(axial.longest.length_mm, longest), "{} {longest}", axial.longest.length_mm);
        prop_assert!(close(distance_mm(&affine, axial.longest.ends[0], axial.longest.ends[1]), longest));
        prop_assert!(axial.longest.ends.iter().all(|end| points.contains(end)));
        let [a, b] = axial.perpendicular.ends;
        prop_assert!(close(distance_mm(&affine, a, b), axial.perpendicular.length_mm));
        let perpendicular = perpendicular_mm(&affine, &in_slice(axial.slice), axial.longest.ends);
        prop_assert!(
            (axial.perpendicular.length_mm - perpendicular).abs() < 1e-6,
            "{} {perpendicular}", axial.perpendicular.length_mm
        );
        prop_assert_eq!(found.voxels as usize, voxels);
        prop_assert_eq!(AxialDiameters::of(mask.view(), &affine), Some(axial));
    }
}

fn spaced(spacing_mm: [f64; 3]) -> Affine {
    Affine::new(std::array::from_fn(|row| {
        let mut cells = [0.0; 4];
        cells[row] = spacing_mm[row];
        cells
    }))
    .unwrap()
}

/// The digital phantom of the Image Biomarker Standardisation Initiative: 5 x 4 x 4 voxels of 2 mm, reference value 13.1 mm.
#[test]
fn the_maximum_3d_diameter_is_that_of_ibsi() {
    let found = MaskMeasurements::of(Array3::ones([4, 4, 5]).view(), &spaced([2.0; 3])).unwrap();
    assert_eq!((found.longest.length_mm * 10.0).round() / 10.0, 13.1);
}

#[test]
fn a_rectangle_in_one_slice() {
    let mut mask = Array3::zeros([3, 10, 10]);
    mask.slice_mut(ndarray::s![1, 2..4, 1..9]).fill(1);
    mask[[2, 9, 9]] = 3;
    let found = MaskMeasurements::of(mask.view(), &spaced([4.0, 1.0, 0.5])).unwrap();
    assert_eq!((found.voxels, found.volume_mm3, found.components), (17, 34.0, 2));
    assert_eq!(found.largest_component_voxels, 16);
    assert_eq!((found.bounding_box.start(), found.bounding_box.end()), ([1, 2, 1], [3, 10, 10]));
    assert_eq!(found.bounding_box_mm, [8.0, 8.0, 4.5]);
    assert_eq!(found.axial.slice, 1);
    // From the left edge of one row to the right edge of the other: 8 columns of 0.5 mm, one row of 1 mm.
    assert!((found.axial.longest.length_mm - 17f64.sqrt()).abs() < 1e-12);
    assert!(found.axial.perpendicular.length_mm < 2.1);
}

#[test]
fn one_voxel_is_as_long_as_its_longer_side() {
    let mut mask = Array3::zeros([2, 2, 2]);
    mask[[1, 0, 1]] = 1;
    let found = MaskMeasurements::of(mask.view(), &spaced([5.0, 0.5, 0.75])).unwrap();
    assert_eq!((found.axial.longest.length_mm, found.axial.perpendicular.length_mm), (0.75, 0.5));
    assert_eq!(found.longest.length_mm, 5.0);
    assert_eq!(MaskMeasurements::of(Array3::zeros([2, 2, 2]).view(), &spaced([1.0; 3])), None);
}
