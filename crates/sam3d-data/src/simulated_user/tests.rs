use ndarray::Array3;

use super::*;
use crate::sampling::rng_for;

const SIDE: usize = 24;

fn ball(centre: [usize; 3], radius: f64) -> impl Fn([usize; 3]) -> bool {
    move |voxel| {
        let square = |axis: usize| (voxel[axis] as f64 - centre[axis] as f64).powi(2);
        square(0) + square(1) + square(2) <= radius * radius
    }
}

/// A large ball and a small one.
fn truth() -> Array3<u8> {
    let (large, small) = (ball([9, 10, 11], 6.0), ball([20, 20, 20], 2.0));
    mask(|voxel| large(voxel) || small(voxel))
}

fn mask(inside: impl Fn([usize; 3]) -> bool) -> Array3<u8> {
    Array3::from_shape_fn([SIDE; 3], |(d, h, w)| u8::from(inside([d, h, w])))
}

/// Shares of one kind alone.
fn only(change: impl Fn(&mut FirstPromptShares)) -> FirstPromptShares {
    let mut shares = FirstPromptShares {
        published_clicks: 0.0,
        click: 0.0,
        bounding_box: 0.0,
        lasso: 0.0,
        scribble: 0.0,
        mask: 0.0,
    };
    change(&mut shares);
    shares
}

fn first(shares: FirstPromptShares, draw: u64) -> UserPrompts {
    let mut rng = rng_for(3, draw, "case/round 1");
    UserPrompts::first(truth().view(), &[[9, 10, 11], [0, 0, 0]], Spacing::UNIT, shares, &mut rng).unwrap()
}

fn voxels(mask: &Array3<u8>) -> Vec<[usize; 3]> {
    mask.indexed_iter().filter(|(_, value)| **value != 0).map(|((d, h, w), _)| [d, h, w]).collect()
}

/// Number of slices that hold a voxel, by axis.
fn slices(mask: &Array3<u8>) -> [usize; 3] {
    std::array::from_fn(|axis| {
        let mut indices: Vec<usize> = voxels(mask).iter().map(|voxel| voxel[axis]).collect();
        indices.sort_unstable();
        indices.dedup();
        indices.len()
    })
}

#[test]
fn a_draw_depends_on_its_seed_alone_and_every_kind_occurs() {
    let mut kinds = [0; 6];
    for draw in 0..120 {
        let prompts = first(FirstPromptShares::default(), draw);
        assert_eq!(prompts, first(FirstPromptShares::default(), draw));
        let UserPrompts { clicks, previous_mask, region, scribble_inside, scribble_outside } = prompts;
        let given = [
            clicks.len() == 2,
            clicks.len() == 1,
            region.as_ref().is_some_and(|region| !slices(region).contains(&1)),
            region.as_ref().is_some_and(|region| slices(region).contains(&1)),
            scribble_inside.is_some(),
            previous_mask.is_some(),
        ];
        assert_eq!((given.iter().filter(|given| **given).count(), scribble_outside), (1, None), "{draw}");
        kinds.iter_mut().zip(given).for_each(|(count, given)| *count += usize::from(given));
    }
    assert!(kinds.iter().all(|count| *count >= 5), "{kinds:?}");
}

#[test]
fn a_click_lies_deep_in_the_target() {
    let truth = truth();
    let mut shallow = 0;
    for draw in 0..400 {
        let prompts = first(only(|shares| shares.click = 1.0), draw);
        let [click] = prompts.clicks[..] else { panic!("{prompts:?}") };
        assert_eq!((truth[click.index], click.label), (1, PointLabel::Positive));
        let from_centre: f64 =
            (0..3).map(|axis| (click.index[axis] as f64 - [9.0, 10.0, 11.0][axis]).powi(2)).sum();
        shallow += usize::from(from_centre.sqrt() > 4.0);
    }
    // More than two thirds of a ball of radius 6 lie beyond 4 from its centre.
    assert!(shallow < 20, "{shallow} of 400");
}

#[test]
fn boxes_hold_the_target_but_for_a_tenth_of_their_sides() {
    let truth = truth();
    let mut flat = 0;
    for draw in 0..100 {
        let region = first(only(|shares| shares.bounding_box = 1.0), draw).region.unwrap();
        let across: Vec<usize> = (0..3).filter(|axis| slices(&region)[*axis] == 1).collect();
        let index = voxels(&region)[0];
        let in_slice = |voxel: &[usize; 3]| across.iter().all(|axis| voxel[*axis] == index[*axis]);
        let target: Vec<[usize; 3]> = voxels(&truth).into_iter().filter(in_slice).collect();
        for axis in 0..3 {
            let ends = |voxels: &[[usize; 3]]| {
                let indices = || voxels.iter().map(|voxel| voxel[axis]);
                [indices().min().unwrap(), indices().max().unwrap()]
            };
            let ([low, high], found) = (ends(&target), ends(&voxels(&region)));
            let most = (high + 1 - low) / 10;
            assert!(found[0].abs_diff(low) <= most && found[1].abs_diff(high) <= most, "{draw}");
        }
        flat += usize::from(!across.is_empty());
    }
    assert!((30..70).contains(&flat), "{flat}");
}

#[test]
fn lassos_and_scribbles_lie_in_one_slice_of_the_target() {
    let truth = truth();
    let distance = distance_transform_mm(truth.view(), Spacing::UNIT).unwrap();
    for draw in 0..60 {
        let lasso = first(only(|shares| shares.lasso = 1.0), draw).region.unwrap();
        assert!(slices(&lasso).contains(&1));
        // A neighbourhood of three voxels to each side, and its diagonal.
        assert!(voxels(&lasso).iter().all(|voxel| distance[*voxel] < 4.5), "{draw}");
        let stroke = first(only(|shares| shares.scribble = 1.0), draw).scribble_inside.unwrap();
        assert!(slices(&stroke).contains(&1) && !voxels(&stroke).is_empty());
        assert!(voxels(&stroke).iter().all(|voxel| truth[*voxel] == 1), "{draw}");
    }
}

#[test]
fn a_mask_to_begin_from_is_near_the_target() {
    let truth = truth();
    let count = voxels(&truth).len();
    let mut changed = 0;
    for draw in 0..60 {
        let mask = first(only(|shares| shares.mask = 1.0), draw).previous_mask.unwrap();
        let shared = voxels(&mask).iter().filter(|voxel| truth[**voxel] == 1).count();
        assert!(shared > 0 && voxels(&mask).len() < 5 * count, "{draw}");
        changed += usize::from(mask != truth);
    }
    assert!(changed > 50, "{changed}");
}

#[test]
fn without_a_target_there_are_the_published_clicks() {
    let empty = Array3::zeros([SIDE; 3]);
    for draw in 0..10 {
        let mut rng = rng_for(0, draw, "empty");
        let shares = FirstPromptShares::default();
        let prompts =
            UserPrompts::first(empty.view(), &[[1, 2, 3]], Spacing::UNIT, shares, &mut rng).unwrap();
        let outside = Point { index: [1, 2, 3], label: PointLabel::Negative };
        assert_eq!(prompts, UserPrompts { clicks: vec![outside], ..UserPrompts::default() });
    }
    let prompts = UserPrompts::first_deepest(empty.view(), &[[1, 2, 3]], Spacing::UNIT).unwrap();
    assert_eq!(prompts.clicks.len(), 1);
}

#[test]
fn corrections_lie_in_the_error_and_say_what_is_true_there() {
    let (truth, excess) = (truth(), ball([4, 18, 4], 3.0));
    // Half of the large ball is missing, all of the small one, and a third ball is too much.
    let prediction = mask(|[d, h, w]| (truth[[d, h, w]] == 1 && d < 9) || excess([d, h, w]));
    let (mut positive, mut negative, mut small) = (0, 0, 0);
    for draw in 0..200 {
        let mut rng = rng_for(1, draw, "case/round 2");
        let mut prompts = UserPrompts::default();
        let scribbles = if draw % 2 == 0 { 0.0 } else { 1.0 };
        prompts.correct(truth.view(), prediction.clone(), Spacing::UNIT, scribbles, &mut rng).unwrap();
        assert_eq!(prompts.previous_mask.as_ref(), Some(&prediction));
        if draw % 2 == 0 {
            let [click] = prompts.clicks[..] else { panic!("{prompts:?}") };
            assert_ne!(truth[click.index], prediction[click.index]);
            assert_eq!(click.label == PointLabel::Positive, truth[click.index] == 1);
            positive += usize::from(click.label == PointLabel::Positive);
            negative += usize::from(click.label == PointLabel::Negative);
            small += usize::from(click.index.iter().all(|index| *index >= 18));
        } else {
            let drawn = [(prompts.scribble_inside, 1), (prompts.scribble_outside, 0)];
            let drawn: Vec<_> = drawn.into_iter().filter_map(|(mask, value)| Some((mask?, value))).collect();
            let [(stroke, value)] = &drawn[..] else { panic!("{drawn:?}") };
            assert!(slices(stroke).contains(&1) && !voxels(stroke).is_empty());
            assert!(
                voxels(stroke).iter().all(|voxel| truth[*voxel] == *value && prediction[*voxel] != *value)
            );
        }
    }
    // In proportion to 500, 123 and 33 voxels or so.
    assert!(positive > 60 && negative > 5 && (1..20).contains(&small), "{positive} {negative} {small}");
}

#[test]
fn corrections_add_up_and_a_right_answer_gets_none() {
    let truth = truth();
    let nothing = Array3::zeros([SIDE; 3]);
    let mut rng = rng_for(0, 0, "case");
    let mut prompts = UserPrompts::first_deepest(truth.view(), &[], Spacing::UNIT).unwrap();
    assert_eq!(prompts.clicks, [Point::positive([9, 10, 11])]);
    prompts.correct(truth.view(), nothing.clone(), Spacing::UNIT, 0.0, &mut rng).unwrap();
    assert_eq!(prompts.clicks.len(), 2);
    let strokes = |prompts: &UserPrompts| voxels(prompts.scribble_inside.as_ref().unwrap());
    prompts.correct(truth.view(), nothing.clone(), Spacing::UNIT, 1.0, &mut rng).unwrap();
    let before = strokes(&prompts);
    prompts.correct(truth.view(), nothing, Spacing::UNIT, 1.0, &mut rng).unwrap();
    assert!(before.iter().all(|voxel| strokes(&prompts).contains(voxel)) && strokes(&prompts) != before);
    let given = prompts.clone();
    prompts.correct(truth.view(), truth.clone(), Spacing::UNIT, 0.5, &mut rng).unwrap();
    prompts.correct_deepest(truth.view(), truth.clone(), Spacing::UNIT).unwrap();
    assert_eq!(prompts, UserPrompts { previous_mask: Some(truth), ..given });
}

#[test]
fn shares_are_checked() {
    assert!(FirstPromptShares::default().are_valid());
    for invalid in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(!only(|shares| shares.click = invalid).are_valid(), "{invalid}");
    }
    let text = "click = 3.0\nlasso = 0.0";
    let shares: FirstPromptShares = toml::from_str(text).unwrap();
    assert_eq!((shares.click, shares.lasso, shares.mask), (3.0, 0.0, 1.0));
    assert!(toml::from_str::<FirstPromptShares>("clicks = 3.0").is_err());
}
