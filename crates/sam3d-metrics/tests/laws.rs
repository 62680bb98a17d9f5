//! Laws that hold for any pair of masks.

#![expect(clippy::unwrap_used, reason = "masks of one shape always have metrics")]

use ndarray::{Array3, s};
use proptest::prelude::*;
use sam3d_geom::Spacing;
use sam3d_metrics::{
    Overlap, Percentile, SurfaceDistances, Tolerance, compare_labels, distance_transform_mm,
};

const SHAPE: [usize; 3] = [5, 4, 6];

prop_compose! {
    /// From empty through sparse to nearly full.
    fn mask()(density in 0.0..1.0f64, draws in prop::collection::vec(0.0..1.0f64, 5 * 4 * 6)) -> Array3<u8> {
        Array3::from_shape_vec(SHAPE, draws.iter().map(|draw| u8::from(*draw < density * density)).collect()).unwrap()
    }
}

prop_compose! {
    fn spacing()(mm in prop::array::uniform3(0.2..6.0f64)) -> Spacing {
        Spacing::new(mm).unwrap()
    }
}

fn distances(truth: &Array3<u8>, prediction: &Array3<u8>, spacing: Spacing) -> SurfaceDistances {
    SurfaceDistances::between(truth.view(), prediction.view(), spacing).unwrap()
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        (a, b) => a == b,
    }
}

/// Places of the cubes between a mask's voxels that its surface crosses; the cube before voxel 0 is 0.
fn surface(mask: &Array3<u8>) -> Vec<[usize; 3]> {
    let mut padded = Array3::zeros(SHAPE.map(|n| n + 2));
    padded.slice_mut(s![1..=SHAPE[0], 1..=SHAPE[1], 1..=SHAPE[2]]).assign(mask);
    let windows = padded.windows([2, 2, 2]);
    let places = ndarray::indices(SHAPE.map(|n| n + 1)).into_iter();
    places
        .zip(windows)
        .filter(|(_, window)| (1..8).contains(&window.sum()))
        .map(|((d, h, w), _)| [d, h, w])
        .collect()
}

/// From each place of one surface to the nearest of the other, by looking at all of them; ascending.
fn all_distances_mm(from: &[[usize; 3]], to: &[[usize; 3]], spacing: Spacing) -> Vec<f64> {
    let mm = spacing.mm();
    let distance = |a: &[usize; 3], b: &[usize; 3]| {
        (0..3).map(|axis| (a[axis].abs_diff(b[axis]) as f64 * mm[axis]).powi(2)).sum::<f64>().sqrt()
    };
    let mut distances: Vec<f64> =
        from.iter().map(|a| to.iter().map(|b| distance(a, b)).fold(f64::INFINITY, f64::min)).collect();
    distances.sort_by(f64::total_cmp);
    distances
}

/// Distance to the nearest voxel of the mask by looking at all of them.
fn brute_force_mm(mask: &Array3<u8>, spacing: Spacing) -> Array3<f64> {
    let mm = spacing.mm();
    let seeds: Vec<_> =
        mask.indexed_iter().filter(|(_, value)| **value != 0).map(|(index, _)| index).collect();
    Array3::from_shape_fn(mask.dim(), |(d, h, w)| {
        let squared = seeds.iter().map(|seed| {
            let offset = [d as f64 - seed.0 as f64, h as f64 - seed.1 as f64, w as f64 - seed.2 as f64];
            offset.iter().zip(mm).map(|(voxels, mm)| (voxels * mm).powi(2)).sum::<f64>()
        });
        squared.fold(f64::INFINITY, f64::min).sqrt()
    })
}

proptest! {
    #[test]
    fn distance_transform_agrees_with_brute_force(mask in mask(), spacing in spacing()) {
        let fast = distance_transform_mm(mask.view(), spacing).unwrap();
        let slow = brute_force_mm(&mask, spacing);
        for (fast, slow) in fast.iter().zip(&slow) {
            let fast = f64::from(*fast);
            // Half a unit in the last place of single precision.
            prop_assert!(fast == *slow || (fast - slow).abs() <= 6e-8 * slow, "{fast} {slow}");
        }
    }

    #[test]
    fn distance_transform_agrees_with_brute_force_on_stretched_grids(
        mask in mask(), exponents in prop::array::uniform3(-15..15i32),
    ) {
        let spacing = Spacing::new(exponents.map(|exponent| 10f64.powi(exponent))).unwrap();
        let fast = distance_transform_mm(mask.view(), spacing).unwrap();
        for (fast, slow) in fast.iter().zip(&brute_force_mm(&mask, spacing)) {
            let fast = f64::from(*fast);
            prop_assert!(fast == *slow || (fast - slow).abs() <= 6e-8 * slow, "{fast} {slow}");
        }
    }

    #[test]
    fn no_spacing_is_too_small_or_too_large(a in mask(), b in mask(), spacing in spacing(), up in any::<bool>()) {
        // Squares of these distances are 0 or infinite in double precision; a power of two changes no other bit.
        let factor = 2f64.powi(if up { 600 } else { -600 });
        let scaled = Spacing::new(spacing.mm().map(|mm| factor * mm)).unwrap();
        let (plain, scaled) = (distances(&a, &b, spacing), distances(&a, &b, scaled));
        let same = |plain: Option<f64>, scaled: Option<f64>| plain.map(|mm| factor * mm) == scaled;
        prop_assert!(same(plain.hausdorff_mm(Percentile::P95), scaled.hausdorff_mm(Percentile::P95)));
        prop_assert!(same(plain.average_symmetric_mm(), scaled.average_symmetric_mm()));
        if !up {
            let everywhere = scaled.nsd(Tolerance::PUBLISHED);
            let both = !plain.truth_to_prediction().is_empty() && !plain.prediction_to_truth().is_empty();
            prop_assert!(!both || everywhere == Some(1.0), "{everywhere:?}");
        }
    }

    #[test]
    fn surface_distances_agree_with_brute_force(a in mask(), b in mask(), spacing in spacing()) {
        let found = distances(&a, &b, spacing);
        let (of_a, of_b) = (surface(&a), surface(&b));
        for (found, slow) in [
            (found.truth_to_prediction(), all_distances_mm(&of_a, &of_b, spacing)),
            (found.prediction_to_truth(), all_distances_mm(&of_b, &of_a, spacing)),
        ] {
            prop_assert_eq!(found.is_empty(), slow.is_empty());
            prop_assert!(close(found.percentile_mm(Percentile::MAX), slow.last().copied()));
            prop_assert!(close(found.percentile_mm(Percentile::new(0.0).unwrap()), slow.first().copied()));
            // Each distance occurs, and none in between.
            for pair in slow.windows(2).filter(|pair| pair[1].is_finite() && pair[1] - pair[0] > 1e-9 * pair[1]) {
                let within = |mm: f64| found.overlap(Tolerance::new(mm).unwrap()).unwrap();
                let (low, high) = (0.9 * pair[0] + 0.1 * pair[1], 0.1 * pair[0] + 0.9 * pair[1]);
                prop_assert_eq!(within(low), within(high));
                prop_assert!(within(high) < within(pair[1] * (1.0 + 1e-12)));
            }
        }
    }

    #[test]
    fn a_label_is_compared_like_its_mask(a in mask(), b in mask(), c in mask(), spacing in spacing()) {
        // Where `a` and `c` overlap the sum is a third label.
        let truth = &a + &(2 * &c);
        let found = compare_labels(truth.view(), b.view(), spacing, Some(&[1, 2, 3])).unwrap();
        for (one, label) in found.iter().zip([1u8, 2, 3]) {
            let of = |volume: &Array3<u8>| volume.mapv(|value| u8::from(value == label));
            prop_assert_eq!(one.label, label);
            prop_assert_eq!(&one.comparison.distances, &distances(&of(&truth), &of(&b), spacing));
            let overlap = Overlap::between(of(&truth).view(), of(&b).view()).unwrap();
            prop_assert_eq!(one.comparison.overlap, overlap);
        }
    }

    #[test]
    fn a_mask_agrees_with_itself(mask in mask(), spacing in spacing()) {
        let found = distances(&mask, &mask, spacing);
        let overlap = Overlap::between(mask.view(), mask.view()).unwrap();
        if mask.iter().all(|value| *value == 0) {
            prop_assert_eq!((overlap.dice(), found.nsd(Tolerance::PUBLISHED)), (None, None));
        } else {
            prop_assert_eq!((overlap.dice(), overlap.iou()), (Some(1.0), Some(1.0)));
            prop_assert_eq!(found.nsd(Tolerance::new(0.0).unwrap()), Some(1.0));
            prop_assert_eq!(found.hausdorff_mm(Percentile::MAX), Some(0.0));
            prop_assert_eq!(found.average_symmetric_mm(), Some(0.0));
        }
    }

    #[test]
    fn exchanging_the_masks_changes_nothing(
        a in mask(), b in mask(), spacing in spacing(), mm in 0.0..8.0f64,
    ) {
        let tolerance = Tolerance::new(mm).unwrap();
        let (there, back) = (distances(&a, &b, spacing), distances(&b, &a, spacing));
        prop_assert!(close(there.nsd(tolerance), back.nsd(tolerance)));
        prop_assert_eq!(there.hausdorff_mm(Percentile::P95), back.hausdorff_mm(Percentile::P95));
        prop_assert!(close(there.average_symmetric_mm(), back.average_symmetric_mm()));
        prop_assert_eq!(there.truth_to_prediction(), back.prediction_to_truth());
        let (there, back) = (Overlap::between(a.view(), b.view()).unwrap(), Overlap::between(b.view(), a.view()).unwrap());
        prop_assert_eq!((there.dice(), there.iou()), (back.dice(), back.iou()));
    }

    #[test]
    fn twice_the_spacing_is_twice_the_distance(
        a in mask(), b in mask(), spacing in spacing(), mm in 0.0..8.0f64,
    ) {
        // A power of two: no rounding, so an element on the edge of the tolerance stays there.
        let doubled = Spacing::new(spacing.mm().map(|mm| 2.0 * mm)).unwrap();
        let (small, large) = (distances(&a, &b, spacing), distances(&a, &b, doubled));
        let (at, at_twice) = (Tolerance::new(mm).unwrap(), Tolerance::new(2.0 * mm).unwrap());
        prop_assert!(close(small.nsd(at), large.nsd(at_twice)));
        prop_assert_eq!(small.hausdorff_mm(Percentile::P95).map(|mm| 2.0 * mm), large.hausdorff_mm(Percentile::P95));
        prop_assert!(close(small.average_symmetric_mm().map(|mm| 2.0 * mm), large.average_symmetric_mm()));
        prop_assert!(close(Some(4.0 * small.truth_to_prediction().area_mm2()), Some(large.truth_to_prediction().area_mm2())));
    }

    #[test]
    fn the_place_in_the_volume_does_not_matter(
        a in mask(), b in mask(), spacing in spacing(), offset in prop::array::uniform3(0..4usize),
    ) {
        let moved = |mask: &Array3<u8>| {
            let mut volume = Array3::zeros([9, 8, 10]);
            let [d, h, w] = offset;
            volume.slice_mut(s![d..d + SHAPE[0], h..h + SHAPE[1], w..w + SHAPE[2]]).assign(mask);
            volume
        };
        prop_assert_eq!(distances(&a, &b, spacing), distances(&moved(&a), &moved(&b), spacing));
    }

    #[test]
    fn exchanging_axes_with_their_spacing_changes_nothing(a in mask(), b in mask(), spacing in spacing()) {
        let turned = |mask: &Array3<u8>| mask.view().permuted_axes([2, 0, 1]).to_owned();
        let [d, h, w] = spacing.mm();
        let (straight, other) = (
            distances(&a, &b, spacing),
            distances(&turned(&a), &turned(&b), Spacing::new([w, d, h]).unwrap()),
        );
        prop_assert!(close(straight.average_symmetric_mm(), other.average_symmetric_mm()));
        prop_assert!(close(straight.hausdorff_mm(Percentile::MAX), other.hausdorff_mm(Percentile::MAX)));
    }

    #[test]
    fn more_tolerance_never_means_less_agreement(a in mask(), b in mask(), spacing in spacing()) {
        let found = distances(&a, &b, spacing);
        let mut last = 0.0;
        for mm in [0.0, 0.5, 1.0, 2.0, 5.0, 50.0] {
            let nsd = found.nsd(Tolerance::new(mm).unwrap()).unwrap_or(1.0);
            prop_assert!((last..=1.0 + 1e-12).contains(&nsd));
            last = nsd;
        }
    }
}
