//! Laws that hold for any pair of masks.

#![expect(clippy::unwrap_used, reason = "masks of one shape always have metrics")]

use ndarray::{Array3, s};
use proptest::prelude::*;
use sam3d_geom::Spacing;
use sam3d_metrics::{Overlap, Percentile, SurfaceDistances, Tolerance, distance_transform_mm};

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
        let fast = distance_transform_mm(mask.view(), spacing);
        let slow = brute_force_mm(&mask, spacing);
        for (fast, slow) in fast.iter().zip(&slow) {
            prop_assert!(fast == slow || (fast - slow).abs() <= 1e-12 * slow, "{fast} {slow}");
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
            prop_assert_eq!(found.hausdorff_mm(Percentile::MAX), 0.0);
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
        prop_assert_eq!(2.0 * small.hausdorff_mm(Percentile::P95), large.hausdorff_mm(Percentile::P95));
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
        prop_assert!(close(Some(straight.hausdorff_mm(Percentile::MAX)), Some(other.hausdorff_mm(Percentile::MAX))));
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
