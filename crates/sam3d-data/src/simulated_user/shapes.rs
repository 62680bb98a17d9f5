//! Boxes, outlines and strokes of the simulated user, as masks on the crop's grid.

use ndarray::{Array3, ArrayView3};
use rand::{Rng, RngExt};

use super::BOX_JITTER;

/// The largest radius, in voxels, over which a lasso's outline is smoothed.
const LARGEST_SMOOTHING: usize = 3;
/// Between these fractions of target in a voxel's neighbourhood a lasso's outline lies: it is drawn around the target, so below
/// one half.
const OUTLINE_LEVELS: [f64; 2] = [0.05, 0.5];

/// One slice of a crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    axis: usize,
    index: usize,
}

impl Slice {
    /// A slice through `voxel` across any axis.
    pub(super) fn through(voxel: [usize; 3], rng: &mut impl Rng) -> Self {
        let axis = rng.random_range(0..3);
        Self { axis, index: voxel[axis] }
    }

    pub(super) fn contains(self, voxel: [usize; 3]) -> bool {
        voxel[self.axis] == self.index
    }

    /// The two axes that span the slice.
    fn axes(self) -> [usize; 2] {
        [usize::from(self.axis == 0), 2 - usize::from(self.axis == 2)]
    }
}

/// First and last voxel of the box around the `wanted` voxels; `None` if there are none.
pub(super) fn bounds_of(sizes: [usize; 3], wanted: impl Fn([usize; 3]) -> bool) -> Option<[[usize; 3]; 2]> {
    let mut bounds: Option<[[usize; 3]; 2]> = None;
    for voxel in voxels(sizes).filter(|voxel| wanted(*voxel)) {
        let [first, last] = bounds.get_or_insert([voxel; 2]);
        *first = std::array::from_fn(|axis| first[axis].min(voxel[axis]));
        *last = std::array::from_fn(|axis| last[axis].max(voxel[axis]));
    }
    bounds
}

fn voxels([depth, height, width]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..depth).flat_map(move |d| (0..height).flat_map(move |h| (0..width).map(move |w| [d, h, w])))
}

/// The box from `first` to `last` with its sides moved by up to a tenth of their length, but not across `slice`.
pub(super) fn jittered_box(
    [first, last]: [[usize; 3]; 2],
    slice: Option<Slice>,
    sizes: [usize; 3],
    rng: &mut impl Rng,
) -> Array3<u8> {
    let sides: [[usize; 2]; 3] = std::array::from_fn(|axis| {
        let [low, high] = [first[axis], last[axis]];
        if slice.is_some_and(|slice| slice.axis == axis) {
            return [low, high];
        }
        let most = ((high + 1 - low) as f64 * BOX_JITTER) as i64;
        let mut moved = |side: usize| {
            (side as i64 + rng.random_range(-most..=most)).clamp(0, sizes[axis] as i64 - 1) as usize
        };
        let [low, high] = [moved(low), moved(high)];
        [low.min(high), low.max(high)]
    });
    let inside =
        |voxel: [usize; 3]| (0..3).all(|axis| (sides[axis][0]..=sides[axis][1]).contains(&voxel[axis]));
    Array3::from_shape_fn(sizes, |(d, h, w)| u8::from(inside([d, h, w])))
}

/// A filled outline around the target in `slice`: where the fraction of target in the neighbourhood exceeds a level that is
/// drawn with the neighbourhood's size. Where that leaves nothing, the target.
pub(super) fn outline_around(truth: ArrayView3<'_, u8>, slice: Slice, rng: &mut impl Rng) -> Array3<u8> {
    let radius = rng.random_range(1..=LARGEST_SMOOTHING);
    let level = rng.random_range(OUTLINE_LEVELS[0]..OUTLINE_LEVELS[1]);
    let sizes: [usize; 3] = truth.dim().into();
    let axes = slice.axes();
    let fraction = |voxel: [usize; 3]| {
        let [rows, columns] =
            axes.map(|axis| voxel[axis].saturating_sub(radius)..(voxel[axis] + radius + 1).min(sizes[axis]));
        let (mut target, mut all) = (0, 0);
        for row in rows {
            for column in columns.clone() {
                let mut neighbour = voxel;
                (neighbour[axes[0]], neighbour[axes[1]]) = (row, column);
                target += usize::from(truth[neighbour] != 0);
                all += 1;
            }
        }
        target as f64 / f64::from(all.max(1))
    };
    let mut outline = Array3::zeros(sizes);
    for voxel in voxels(sizes).filter(|voxel| slice.contains(*voxel)) {
        outline[voxel] = u8::from(fraction(voxel) > level);
    }
    if outline.iter().all(|value| *value == 0) {
        for voxel in voxels(sizes).filter(|voxel| slice.contains(*voxel)) {
            outline[voxel] = u8::from(truth[voxel] != 0);
        }
    }
    outline
}

/// A stroke three voxels wide in one slice, from `start` to any other `allowed` voxel of that slice, as far as it is `allowed`.
pub(super) fn stroke(
    sizes: [usize; 3],
    start: [usize; 3],
    allowed: impl Fn([usize; 3]) -> bool,
    rng: &mut impl Rng,
) -> Array3<u8> {
    let slice = Slice::through(start, rng);
    let candidates: Vec<[usize; 3]> =
        voxels(sizes).filter(|voxel| slice.contains(*voxel) && allowed(*voxel)).collect();
    let end = if candidates.is_empty() { start } else { candidates[rng.random_range(0..candidates.len())] };
    let mut stroke = Array3::zeros(sizes);
    let steps = (0..3).map(|axis| start[axis].abs_diff(end[axis])).max().unwrap_or_default();
    let axes = slice.axes();
    for step in 0..=steps {
        let along = step as f64 / steps.max(1) as f64;
        let on_line: [usize; 3] = std::array::from_fn(|axis| {
            (start[axis] as f64 + along * (end[axis] as f64 - start[axis] as f64)).round() as usize
        });
        for across in 0..9 {
            let mut voxel = on_line;
            let [row, column] = [across / 3, across % 3];
            (voxel[axes[0]], voxel[axes[1]]) = (voxel[axes[0]] + row, voxel[axes[1]] + column);
            let inside = axes.iter().all(|axis| (1..=sizes[*axis]).contains(&voxel[*axis]));
            if inside {
                axes.iter().for_each(|axis| voxel[*axis] -= 1);
                stroke[voxel] |= u8::from(allowed(voxel));
            }
        }
    }
    stroke
}

/// `truth` moved by `offset - centre` voxels; what leaves the crop is lost.
pub(super) fn shifted(truth: ArrayView3<'_, u8>, offset: [usize; 3], centre: usize) -> Array3<u8> {
    Array3::from_shape_fn(truth.dim(), |(d, h, w)| {
        let from = |index: usize, offset: usize| (index + centre).checked_sub(offset);
        let source = from(d, offset[0]).zip(from(h, offset[1])).zip(from(w, offset[2]));
        let value = source.and_then(|((d, h), w)| truth.get([d, h, w]));
        u8::from(value.is_some_and(|value| *value != 0))
    })
}

/// `truth` on one side of a slice through its box.
pub(super) fn cut(truth: ArrayView3<'_, u8>, rng: &mut impl Rng) -> Array3<u8> {
    let bounds = bounds_of(truth.dim().into(), |voxel| truth[voxel] != 0);
    let [first, last] = bounds.unwrap_or_default();
    let axis = rng.random_range(0..3);
    let at = rng.random_range(first[axis]..=last[axis]);
    let keeps_lower = rng.random_bool(0.5);
    let kept = |index: usize| if keeps_lower { index <= at } else { index >= at };
    Array3::from_shape_fn(truth.dim(), |(d, h, w)| u8::from(truth[[d, h, w]] != 0 && kept([d, h, w][axis])))
}
