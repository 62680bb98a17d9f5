use ndarray::Axis;
use sam3d_geom::Affine;

use super::*;
use crate::dicom::{Contour, ContourType};

/// Voxels of 1 mm whose index is their LPS position.
fn grid() -> Grid {
    let rows = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    Grid::from_affine([8, 7, 3], Affine::new(rows).unwrap()).unwrap()
}

fn contour(k: f64, points: &[[f64; 2]]) -> Contour {
    Contour { kind: ContourType::ClosedPlanar, points_mm: points.iter().map(|[x, y]| [*x, *y, k]).collect() }
}

fn square(k: f64, low: f64, high: f64) -> Contour {
    contour(k, &[[low, low], [high, low], [high, high], [low, high]])
}

fn mask(contours: Vec<Contour>) -> Array3<u8> {
    made(contours, MaskOptions::default()).mask
}

fn made(contours: Vec<Contour>, options: MaskOptions) -> RoiMask {
    Roi { number: 1, name: "a".into(), contours }.mask(&grid(), options).unwrap()
}

fn inside(mask: &Array3<u8>, k: usize) -> Vec<[usize; 2]> {
    let slice = mask.index_axis(Axis(0), k);
    slice.indexed_iter().filter(|(_, value)| **value == 1).map(|((j, i), _)| [i, j]).collect()
}

#[test]
fn centres_inside() {
    let mask = mask(vec![square(1.0, 1.5, 3.5)]);
    assert_eq!(inside(&mask, 1), [[2, 2], [3, 2], [2, 3], [3, 3]]);
    assert!(inside(&mask, 0).is_empty() && inside(&mask, 2).is_empty());
    // Beyond the image, and back.
    assert_eq!(super::tests::mask(vec![square(0.0, -3.0, 20.0)]).sum(), 56);
}

#[test]
fn holes_by_a_contour_inside_and_by_a_keyhole() {
    let by_contour = mask(vec![square(1.0, 0.5, 5.5), square(1.0, 1.5, 3.5)]);
    assert_eq!(inside(&by_contour, 1).len(), 25 - 4);
    let keyhole = contour(
        1.0,
        &[
            [0.5, 0.5],
            [5.5, 0.5],
            [5.5, 5.5],
            [0.5, 5.5],
            [0.5, 0.5],
            [1.5, 1.5],
            [1.5, 3.5],
            [3.5, 3.5],
            [3.5, 1.5],
            [1.5, 1.5],
        ],
    );
    assert_eq!(mask(vec![keyhole]), by_contour);
}

#[test]
fn a_slice_takes_the_nearest_plane() {
    let mask = mask(vec![square(0.9, 0.5, 5.5), square(1.3, 1.5, 3.5), square(2.4, 1.5, 3.5)]);
    assert_eq!([0, 1, 2].map(|k| inside(&mask, k).len()), [0, 25, 4]);
}

#[test]
fn nothing_to_fill() {
    let open = Contour { kind: ContourType::Other("OPEN_PLANAR".into()), ..square(1.0, 1.0, 3.0) };
    let roi = |contours| Roi { number: 4, name: "b".into(), contours };
    assert!(
        matches!(roi(vec![open]).mask(&grid(), MaskOptions::default()), Err(DicomError::RoiEmpty { name }) if name == "4 b")
    );
    assert!(matches!(
        roi(vec![square(7.0, 1.0, 3.0)]).mask(&grid(), MaskOptions::default()),
        Err(DicomError::RoiElsewhere { .. })
    ));
}

#[test]
fn contours_that_overlap_are_united_and_copies_change_nothing() {
    let one = square(1.0, 0.5, 3.5);
    let two = square(1.0, 2.5, 5.5);
    assert_eq!(inside(&mask(vec![one.clone(), two.clone()]), 1).len(), 9 + 9 - 1);
    // The same square from another corner, the other way round, and closed by its first point.
    let copy = contour(1.0, &[[3.5, 3.5], [3.5, 0.5], [0.5, 0.5], [0.5, 3.5], [3.5, 3.5]]);
    assert_eq!(mask(vec![one.clone(), copy.clone(), one.clone()]), mask(vec![one.clone()]));
    // A copy of a hole is still one hole.
    let hole = square(1.0, 1.5, 2.5);
    assert_eq!(inside(&mask(vec![hole.clone(), one.clone(), hole.clone(), copy]), 1).len(), 9 - 1);
    // An island in a hole.
    let nested = [[0.5, 6.5], [1.5, 5.5], [2.5, 4.5]].map(|[low, high]| square(1.0, low, high));
    assert_eq!(inside(&mask(nested.to_vec()), 1).len(), 36 - 16 + 4);
    // A hole in one contour is filled where another contour covers it, unless it is a hole in both.
    let (outer, hole) = (square(1.0, 0.5, 4.5), square(1.0, 1.5, 3.5));
    let cover = contour(1.0, &[[2.6, 1.2], [6.4, 1.2], [6.4, 2.8], [2.6, 2.8]]);
    assert_eq!(inside(&mask(vec![outer.clone(), hole.clone(), cover]), 1).len(), 16 - 4 + 1 + 2);
    let both = contour(1.0, &[[1.2, 1.2], [6.4, 1.2], [6.4, 3.8], [1.2, 3.8]]);
    assert_eq!(inside(&mask(vec![outer, hole, both]), 1).len(), 16 - 4 + 2 * 2);
}

#[test]
fn a_contour_across_the_opening_of_another_is_no_hole() {
    // A U whose arms are 2 wide, and a bar that rests on both: its corners are inside, its middle is not.
    let u = contour(
        1.0,
        &[[0.5, 0.5], [2.5, 0.5], [2.5, 4.5], [4.5, 4.5], [4.5, 0.5], [6.5, 0.5], [6.5, 6.4], [0.5, 6.4]],
    );
    let bar = contour(1.0, &[[1.5, 1.5], [5.5, 1.5], [5.5, 2.5], [1.5, 2.5]]);
    let alone = inside(&mask(vec![u.clone()]), 1).len();
    assert_eq!(inside(&mask(vec![u, bar]), 1).len(), alone + 2);
}

#[test]
fn exclusive_or_by_its_rule() {
    let xor = |k, low, high| Contour { kind: ContourType::ClosedPlanarXor, ..square(k, low, high) };
    let both = mask(vec![xor(1.0, 0.5, 3.5), xor(1.0, 2.5, 5.5)]);
    assert_eq!(inside(&both, 1).len(), 9 + 9 - 2);
    assert_eq!(mask(vec![xor(1.0, 0.5, 3.5), xor(1.0, 0.5, 3.5)]).sum(), 0);
}

#[test]
fn what_adds_nothing_is_named() {
    let other = |name: &str| Contour { kind: ContourType::Other(name.into()), ..square(1.0, 1.0, 3.0) };
    let contours = vec![
        square(1.0, 0.5, 3.5),
        other("POINT"),
        other("OPEN_PLANAR"),
        other("POINT"),
        Contour::default(),
        contour(1.0, &[[1.0, 1.0], [2.0, 2.0]]),
    ];
    let made = made(contours, MaskOptions::default());
    assert_eq!(made.mask.sum(), 9);
    let text: Vec<String> = made.warnings.iter().map(ContourWarning::to_string).collect();
    assert_eq!(
        text,
        [
            "contours that enclose no area are left out: 1 OPEN_PLANAR, 2 POINT",
            "contours without points, or with too few to enclose an area, are left out: 2",
        ]
    );
}

/// A grid of `count` slices of 1 mm whose index is the position in LPS.
fn tall(count: usize) -> Grid {
    let rows = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    Grid::from_affine([12, 12, count], Affine::new(rows).unwrap()).unwrap()
}

#[test]
fn gaps_are_told_and_filled_if_asked_for() {
    // Slices 1, 2, 3 and 8, 9, 10; the square grows by 4 voxels in between.
    let contours: Vec<Contour> = [1.0, 2.0, 3.0]
        .map(|k| square(k, 3.5, 7.5))
        .into_iter()
        .chain([8.0, 9.0, 10.0].map(|k| square(k, 1.5, 9.5)))
        .collect();
    let roi = Roi { number: 1, name: "a".into(), contours };
    let counts = |fill_gaps| {
        let made = roi.mask(&tall(12), MaskOptions { fill_gaps }).unwrap();
        let counts: Vec<usize> = (0..12).map(|k| inside(&made.mask, k).len()).collect();
        (counts, made.warnings)
    };
    let (counts_left, warnings) = counts(false);
    assert_eq!(counts_left, [0, 16, 16, 16, 0, 0, 0, 0, 64, 64, 64, 0]);
    let gap = |filled| ContourWarning::Gap {
        slices: Some(('k', 4, 7)),
        between_mm: [3.0, 8.0],
        usual_mm: 1.0,
        filled,
    };
    assert_eq!(warnings, [gap(false)]);
    assert!(warnings[0].to_string().contains("no contour on the slices k = 4 to 7 between 3.00 and 8.00 mm"));
    let (filled, warnings) = counts(true);
    assert_eq!(warnings, [gap(true)]);
    assert_eq!((&filled[..4], &filled[8..]), (&counts_left[..4], &counts_left[8..]));
    assert!(filled[3..9].windows(2).all(|pair| pair[0] <= pair[1]), "{filled:?}");
    assert!(filled[5] > 16 && filled[6] < 64, "{filled:?}");
}

#[test]
fn two_distant_contours_are_two_slices_and_not_one_block() {
    let roi =
        Roi { number: 1, name: "a".into(), contours: vec![square(2.0, 1.5, 4.5), square(9.0, 1.5, 4.5)] };
    let made = roi.mask(&tall(12), MaskOptions::default()).unwrap();
    assert_eq!(made.mask.sum(), 18);
    assert!(matches!(made.warnings[..], [ContourWarning::Gap { slices: Some(('k', 3, 8)), .. }]));
}

#[test]
fn evenly_spaced_contours_stand_for_the_slices_between_them() {
    let contours =
        vec![square(1.0, 1.5, 4.5), square(3.0, 1.5, 4.5), square(5.0, 1.5, 4.5), square(7.0, 1.5, 4.5)];
    let roi = Roi { number: 1, name: "a".into(), contours };
    let made = roi.mask(&tall(12), MaskOptions::default()).unwrap();
    let counts: Vec<usize> = (0..12).map(|k| inside(&made.mask, k).len()).collect();
    // Slices 0 and 8 are as far from the contours as the next contours would be.
    assert_eq!(counts, [0, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0]);
    assert!(matches!(made.warnings[..], [ContourWarning::CoarserThanImage { filled: false, .. }]));
}

/// Contours in sagittal planes, and in planes of two directions at once.
#[test]
fn planes_of_any_direction() {
    let sagittal = |x: f64| Contour {
        kind: ContourType::ClosedPlanar,
        points_mm: [[2.5, 0.6], [5.5, 0.6], [5.5, 2.6], [2.5, 2.6]]
            .iter()
            .map(|[y, z]| [x, *y, *z])
            .collect(),
    };
    let contours: Vec<Contour> = [1.0, 2.0, 3.0].map(sagittal).to_vec();
    let mask_of = |contours: Vec<Contour>| mask(contours);
    let found = mask_of(contours.clone());
    let expected = Array3::from_shape_fn([3, 7, 8], |(k, j, i)| {
        u8::from((1..=2).contains(&k) && (3..=5).contains(&j) && (1..=3).contains(&i))
    });
    assert_eq!(found, expected);
    let mut both = contours;
    both.push(square(0.0, 0.5, 2.5));
    assert_eq!(mask_of(both).sum(), expected.sum() + 4);
}
