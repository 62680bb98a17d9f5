//! What a correction may change, and what it must.
//!
//! Users correct one place at a time and expect that place to change and the rest to stay. A network's answer to all prompts so
//! far guarantees neither: it may change anywhere, and may not contain what was clicked. So, for weights that tell clicks inside
//! from clicks outside, two rules follow the network:
//!
//! 1. **The rest stays.** Near the new clicks the mask is the network's, far from them that of the step before:
//!    probabilities are mixed with the weight `exp(-d² / 2 s²)` of the new one, d being the distance to a click.
//! 2. **A click holds.** Where the mask contradicts a click, the logits around it are shifted by `a exp(-d² / 2 s²)`, with a
//!    just large enough for the click's voxel and its 26 neighbours to end up on its side (so that it also lies in the mask on
//!    the file's grid, between these voxels); at a voxel that is nearer to a click that says the
//!    opposite nothing changes. The surer the network is of a voxel, the nearer to the click it must be to change.
//!
//! The reach s follows from where the click lies. A click in the middle of what is missing is as far from the mask as the missing
//! part is thick, so s is [`FACTOR`] times the distance to the nearest voxel that already is as the click says, and at least
//! [`LEAST_MM`]. Both numbers and [`SUREST`] were chosen on folds 1 and 3 of the sarcoma data set (docs/correction.md).

use std::array;

use sam3d_geom::{Point, PointLabel, Spacing};

use crate::Answer;

/// The reach in units of the distance to the nearest voxel that is as the click says. Voxels that the network is sure of change
/// within three quarters of the reach.
const FACTOR: f64 = 2.25;
/// The least reach, in mm.
const LEAST_MM: f64 = 12.0;
/// How far from a click voxels that are as it says are looked for, in mm. What lies farther away says nothing of how thick the
/// missing part is.
const FARTHEST_MM: f64 = 20.0;
/// The distance that is taken in place of one that is not known: for a click far from the mask, and for a first one, with which
/// nobody has corrected anything yet.
const UNKNOWN_MM: f64 = 10.0;
/// Most places that a step's distances are measured from.
const MOST_PLACES: usize = 64;
/// The largest logit, either way, that a voxel counts with.
const SUREST: f64 = 3.0;
/// The logit of a clicked voxel that was made to hold, towards its side.
const HELD: f64 = 1.0;

/// Clicks and strokes, voxel by voxel, on the resampled grid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// Of the steps before.
    pub(crate) earlier: &'a [Point],
    /// Of the step that is taken.
    pub(crate) new: &'a [Point],
}

impl Places<'_> {
    /// Applies both rules to the network's `answer`, the first one if there is a mask `before` that is to stay elsewhere.
    /// Returns for each new place whether the answer contradicted it.
    pub(crate) fn correct(self, answer: &mut Answer, before: Option<&Answer>, spacing: Spacing) -> Vec<bool> {
        if let Some(before) = before {
            keep_elsewhere(answer, before, self.new, spacing);
        }
        // In the order in which they were given: of two on one voxel that say the opposite the later one holds.
        let all = [self.earlier, self.new].concat();
        hold_clicks(answer, &all, before.is_some(), spacing).split_off(self.earlier.len())
    }
}

/// Puts back what `before` found far from the `new` clicks, where it has an answer.
fn keep_elsewhere(answer: &mut Answer, before: &Answer, new: &[Point], spacing: Spacing) {
    // A stroke's voxels lie close together: some stand for all.
    let new: Vec<&Point> = new.iter().step_by(new.len() / MOST_PLACES + 1).collect();
    if new.is_empty() || before.values().iter().all(|p| *p <= 0.5) {
        // A click where nothing was found begins something new.
        return;
    }
    let distance = |point: &&Point| distance_to_agreement(before, point, spacing).unwrap_or(FARTHEST_MM);
    let reaches: Vec<f64> = new.iter().map(|point| reach(distance(point))).collect();
    let start = answer.start();
    for ((d, h, w), value) in answer.values_mut().indexed_iter_mut() {
        let index = [start[0] + d, start[1] + h, start[2] + w];
        if !before.covers(index) {
            continue;
        }
        let exponents = new
            .iter()
            .zip(&reaches)
            .map(|(point, reach)| squared_mm(index, point.index, spacing) / (2.0 * reach * reach));
        let weight = (-exponents.fold(f64::INFINITY, f64::min)).exp();
        *value = (weight * f64::from(*value) + (1.0 - weight) * f64::from(before.at(index))) as f32;
    }
}

/// Makes every one of `clicks` that lies in the answer's box hold; `is_correction` if there was a mask that they correct. Returns
/// which of them the answer contradicted.
fn hold_clicks(answer: &mut Answer, clicks: &[Point], is_correction: bool, spacing: Spacing) -> Vec<bool> {
    clicks
        .iter()
        .map(|click| {
            let contradicted = answer.covers(click.index) && contradicts(answer, click);
            if contradicted {
                let distance = distance_to_agreement(answer, click, spacing).filter(|_| is_correction);
                hold(answer, click, reach(distance.unwrap_or(UNKNOWN_MM)), clicks, spacing);
            }
            contradicted
        })
        .collect()
}

/// Whether a voxel of the file's grid that lies in the click's voxel may not be as the click says. Between voxels the
/// probability is trilinear, so it is extreme in the middle of the voxel, of its faces, its edges and its corners.
fn contradicts(answer: &Answer, click: &Point) -> bool {
    let steps: [i64; 3] = [-1, 0, 1];
    let middles = steps.iter().flat_map(|d| steps.iter().flat_map(|h| steps.iter().map(|w| [*d, *h, *w])));
    middles.map(|step| between(answer, click.index, step)).any(|p| (p > 0.5) != is_inside(click))
}

/// The mean probability of the voxels around the place half a voxel from `index` along each axis of `step` that is not 0;
/// beyond the answer's box that of its border.
fn between(answer: &Answer, index: [usize; 3], step: [i64; 3]) -> f32 {
    let corners = (0..8).map(|bits| {
        let moved: [usize; 3] = array::from_fn(|axis| {
            let by = if bits >> axis & 1 == 1 { step[axis] } else { 0 };
            index[axis].saturating_add_signed(by as isize)
        });
        if answer.covers(moved) { answer.at(moved) } else { answer.at(index) }
    });
    corners.sum::<f32>() / 8.0
}

/// The probabilities of a voxel and of its neighbours in the answer's box.
fn neighbourhood(answer: &Answer, index: [usize; 3]) -> impl Iterator<Item = f32> {
    let near = move |number: usize| -> Option<[usize; 3]> {
        let [d, h, w] = [number / 9, number / 3 % 3, number % 3];
        Some([(index[0] + d).checked_sub(1)?, (index[1] + h).checked_sub(1)?, (index[2] + w).checked_sub(1)?])
    };
    (0..27).filter_map(near).filter(|index| answer.covers(*index)).map(|index| answer.at(index))
}

fn hold(answer: &mut Answer, click: &Point, reach: f64, clicks: &[Point], spacing: Spacing) {
    let side = if is_inside(click) { 1.0 } else { -1.0 };
    let wrong = neighbourhood(answer, click.index).map(|p| -side * logit(p)).fold(0.0, f64::max);
    let farthest_neighbour: f64 = spacing.mm().iter().map(|mm| mm * mm).sum();
    let shift = (wrong + HELD) * (farthest_neighbour / (2.0 * reach * reach)).exp();
    let opposite: Vec<&Point> = clicks.iter().filter(|other| other.label != click.label).collect();
    let start = answer.start();
    for ((d, h, w), value) in answer.values_mut().indexed_iter_mut() {
        let index = [start[0] + d, start[1] + h, start[2] + w];
        let squared = squared_mm(index, click.index, spacing);
        let before = logit(*value);
        let after = before + side * shift * (-squared / (2.0 * reach * reach)).exp();
        let changes = (before > 0.0) != (after > 0.0);
        if changes && opposite.iter().all(|other| squared_mm(index, other.index, spacing) >= squared) {
            *value = (1.0 / (1.0 + (-after).exp())) as f32;
        }
    }
}

fn reach(distance_mm: f64) -> f64 {
    (FACTOR * distance_mm).max(LEAST_MM)
}

/// The distance in mm from a click to the nearest voxel that is in the mask, or not in it, as the click says; outside the
/// volume nothing is in it. `None` if there is none within [`FARTHEST_MM`].
fn distance_to_agreement(answer: &Answer, click: &Point, spacing: Spacing) -> Option<f64> {
    let mm = spacing.mm();
    let [d, h, w] = mm.map(|mm| (FARTHEST_MM / mm).floor() as i64);
    let mut nearest = FARTHEST_MM * FARTHEST_MM;
    let mut found = false;
    for i in -d..=d {
        for j in -h..=h {
            for k in -w..=w {
                let offset = [i, j, k];
                let squared: f64 = offset.iter().zip(mm).map(|(n, mm)| (*n as f64 * mm).powi(2)).sum();
                if squared > nearest || (found && squared == nearest) {
                    continue;
                }
                let index: [i64; 3] = array::from_fn(|axis| click.index[axis] as i64 + offset[axis]);
                let in_mask = index.iter().all(|n| *n >= 0) && is_in(answer, index.map(|n| n as usize));
                if in_mask == is_inside(click) {
                    (nearest, found) = (squared, true);
                }
            }
        }
    }
    found.then(|| nearest.sqrt())
}

fn is_in(answer: &Answer, index: [usize; 3]) -> bool {
    answer.at(index) > 0.5
}

fn is_inside(click: &Point) -> bool {
    click.label == PointLabel::Positive
}

fn squared_mm(a: [usize; 3], b: [usize; 3], spacing: Spacing) -> f64 {
    let mm = spacing.mm();
    (0..3).map(|axis| ((a[axis] as f64 - b[axis] as f64) * mm[axis]).powi(2)).sum()
}

fn logit(probability: f32) -> f64 {
    let p = f64::from(probability);
    (p / (1.0 - p)).ln().clamp(-SUREST, SUREST)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    const SIDE: usize = 40;

    fn spacing() -> Spacing {
        Spacing::new([2.0; 3]).unwrap()
    }

    fn negative(index: [usize; 3]) -> Point {
        Point { label: PointLabel::Negative, ..Point::positive(index) }
    }

    /// A ball of `radius` voxels around `centre`, the network being sure of every voxel.
    fn ball(centre: [usize; 3], radius: f64) -> Answer {
        let inside = |(d, h, w)| squared_mm([d, h, w], centre, Spacing::UNIT) <= radius * radius;
        Answer::new([0; 3], Array3::from_shape_fn([SIDE; 3], |i| if inside(i) { 0.999 } else { 0.001 }))
    }

    fn voxels(answer: &Answer) -> usize {
        answer.values().iter().filter(|p| **p > 0.5).count()
    }

    #[test]
    fn a_click_that_the_mask_obeys_changes_nothing() {
        let mut answer = ball([20; 3], 8.0);
        let clicks = [Point::positive([20, 20, 24]), negative([20, 20, 35])];
        assert_eq!(hold_clicks(&mut answer, &clicks, true, spacing()), [false, false]);
        assert_eq!(answer, ball([20; 3], 8.0));
    }

    #[test]
    fn what_is_missed_comes_in_as_far_as_the_mask_is_away() {
        let before = ball([20, 20, 10], 6.0);
        let click = Point::positive([20, 20, 24]);
        let mut answer = before.clone();
        assert_eq!(hold_clicks(&mut answer, &[click], true, spacing()), [true]);
        // At the farthest neighbour the logit is 1, at the click a little more.
        let [own, corner] = [click.index, [21, 21, 25]].map(|index| f64::from(answer.at(index)));
        assert!((corner - 0.731).abs() < 1e-3 && own > corner && own < 0.74, "{own} {corner}");
        // The mask is 8 voxels away, 16 mm: reach 36 mm, and 0.76 of it changes where the network is sure.
        assert!(is_in(&answer, [20, 20, 24 + 13]) && !is_in(&answer, [20, 20, 24 + 15]));
        assert!(voxels(&answer) > voxels(&before));
        assert!(before.values().iter().zip(answer.values()).all(|(old, new)| *old < 0.5 || new == old));
    }

    #[test]
    fn what_is_too_much_goes_out() {
        let mut answer = ball([20; 3], 12.0);
        let clicks = [Point::positive([20, 20, 12]), negative([20, 20, 28])];
        assert_eq!(hold_clicks(&mut answer, &clicks, true, spacing()), [false, true]);
        assert!(!is_in(&answer, clicks[1].index));
        // Up to the middle between the two, and no further.
        assert!(
            !is_in(&answer, [20, 20, 21]) && is_in(&answer, [20, 20, 19]) && is_in(&answer, [20, 20, 12])
        );
    }

    #[test]
    fn neighbouring_clicks_of_both_kinds_hold() {
        let mut answer = ball([0; 3], 0.0);
        let clicks = [Point::positive([20, 20, 20]), negative([20, 20, 21]), Point::positive([20, 21, 21])];
        hold_clicks(&mut answer, &clicks, true, spacing());
        for click in &clicks {
            assert_eq!(is_in(&answer, click.index), is_inside(click), "{click:?}");
        }
    }

    #[test]
    fn a_click_far_from_the_mask_or_before_any_changes_little() {
        let click = Point::positive([20, 20, 20]);
        let radius = |answer: &Answer| (0..20).take_while(|n| is_in(answer, [20, 20, 20 + n])).count();
        // Reach 22.5 mm, of which three quarters change: 17 mm, 8 voxels and the click's own.
        for (mut answer, is_correction) in [(ball([0; 3], 2.0), true), (ball([20, 29, 20], 0.0), false)] {
            assert_eq!(hold_clicks(&mut answer, &[click], is_correction, spacing()), [true]);
            assert_eq!(radius(&answer), 9);
        }
    }

    #[test]
    fn clicks_outside_the_answer_are_left_alone() {
        let mut answer = Answer::new([10; 3], Array3::zeros([4; 3]));
        assert_eq!(hold_clicks(&mut answer, &[Point::positive([9, 11, 11])], true, spacing()), [false]);
        assert_eq!(voxels(&answer), 0);
    }

    #[test]
    fn far_from_the_click_the_mask_stays() {
        let before = ball([20, 20, 10], 6.0);
        // The network now wants something else altogether.
        let wanted = ball([20, 20, 26], 8.0);
        let click = Point::positive([20, 20, 20]);
        let mut answer = wanted.clone();
        keep_elsewhere(&mut answer, &before, &[click], spacing());
        // The mask is 4 voxels away, 8 mm: reach 18 mm, half weight at 21 mm.
        assert!(is_in(&answer, [20, 20, 24]) && !is_in(&answer, [20, 20, 32]));
        assert!(!is_in(&answer, [20, 20, 15]) && is_in(&answer, [20, 20, 6]));
    }

    #[test]
    fn a_first_click_and_what_was_not_seen_before_are_the_network_s() {
        let wanted = ball([20; 3], 8.0);
        let mut answer = wanted.clone();
        let nothing = Answer::new([0; 3], Array3::zeros([SIDE; 3]));
        keep_elsewhere(&mut answer, &nothing, &[Point::positive([20; 3])], spacing());
        assert_eq!(answer, wanted, "nothing was there");
        let seen = Answer::new([0; 3], Array3::from_elem([SIDE, SIDE, 10], 0.999));
        keep_elsewhere(&mut answer, &seen, &[Point::positive([20, 20, 16])], spacing());
        assert!(is_in(&answer, [0, 0, 0]) && is_in(&answer, [20, 20, 20]) && !is_in(&answer, [20, 20, 30]));
    }
}
