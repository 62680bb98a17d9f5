//! Filling a stack of planes, row by row of the lattice.

use std::ops::Range;

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use super::{
    MaskOptions,
    gaps::InterpolatedGap,
    lattice::{Lattice, length},
    nesting::{Region, regions},
    planes::{Frame, Outline, Stack},
};

/// How far from its nominal ends a plane stops counting, in usual distances, so that rounding of heights decides nothing: a
/// voxel just between two planes goes to the upper one, and one at the very end of the stack, or of a gap, to none.
const TIE: f64 = 1e-4;
/// How far from a plane a slice may lie to be the plane's own, in slices, where the space between planes is interpolated.
const OWN_SLICE: f64 = 0.05;

/// Heights, and what the voxels between them take their values from.
struct Slab {
    low: f64,
    high: f64,
    content: Content,
    /// First and last index along m and t that may be inside; empty ranges if none is.
    m: Range<usize>,
    t: Range<usize>,
}

enum Content {
    /// A plane's regions, at its height.
    Plane {
        height: f64,
        regions: Vec<Region>,
    },
    InterpolatedGap(InterpolatedGap),
}

/// Sets the voxels of `mask` (`[D, H, W]`) inside the stack, and returns whether the stack meets the lattice.
pub(super) fn fill_stack(
    stack: &Stack,
    lattice: &Lattice,
    options: MaskOptions,
    mask: &mut Array3<u8>,
) -> bool {
    let Frame { m, s, t, .. } = stack.frame;
    let slabs = slabs(stack, lattice, options);
    let meets = slabs.iter().any(|slab| !slab.m.is_empty() && !slab.t.is_empty());
    let mut slices = mask.view_mut().permuted_axes([m, t, s]);
    slices.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(at_m, mut slice)| {
        let mut buffers = Buffers { row: vec![0; lattice.shape[s]], crossings: Vec::new() };
        for slab in slabs.iter().filter(|slab| slab.m.contains(&at_m)) {
            for at_t in slab.t.clone() {
                let mut start = [0.0; 3];
                (start[m], start[t]) = (at_m as f64, at_t as f64);
                let row = Row::new(&stack.frame, start);
                let range = row.range_within(slab.low, slab.high, lattice.shape[s]);
                if range.is_empty() {
                    continue;
                }
                let mut set = |index: usize| slice[[at_t, index]] = 1;
                match &slab.content {
                    Content::Plane { height, regions } => {
                        let line = row.line_at(*height);
                        for region in regions {
                            fill_region(region, &line, range.clone(), &mut buffers);
                            range.clone().filter(|index| buffers.row[*index] == 1).for_each(&mut set);
                        }
                    }
                    Content::InterpolatedGap(bridge) => {
                        range.filter(|index| bridge.holds(&row, *index as f64)).for_each(&mut set);
                    }
                }
            }
        }
    });
    meets
}

/// The slabs of a stack, from low to high.
fn slabs(stack: &Stack, lattice: &Lattice, options: MaskOptions) -> Vec<Slab> {
    let Stack { frame, planes, usual } = stack;
    let spacing_mm = [frame.s, frame.t].map(|axis| length(lattice.steps_mm[axis]));
    let bridged = |from: usize| {
        options.fill_gaps
            && planes[from + 1].position - planes[from].position
                >= super::planes::GAP * usual.min(frame.slice_step())
    };
    // The end of a plane's slab towards its neighbour at the distance `distance`.
    let reach = |from: usize| {
        let distance = planes[from + 1].position - planes[from].position;
        if bridged(from) {
            (OWN_SLICE * frame.slice_step()).min(0.25 * distance)
        } else if stack.is_gap(&planes[from], &planes[from + 1]) {
            0.5 * usual
        } else {
            0.5 * distance
        }
    };
    let mut slabs = Vec::new();
    for (at, plane) in planes.iter().enumerate() {
        let below = at.checked_sub(1).map_or(0.5 * usual, reach);
        let above = if at + 1 < planes.len() { reach(at) } else { 0.5 * usual };
        let begins = at == 0 || stack.is_gap(&planes[at - 1], plane);
        let low = plane.position - below + if begins { TIE * usual } else { -TIE * usual };
        let high = plane.position + above - TIE * usual;
        let regions = regions(plane, spacing_mm);
        let outlines = || regions.iter().flat_map(|region| &region.outer);
        let [m, t] = index_bounds(outlines(), frame, plane.position, [low, high], lattice);
        slabs.push(Slab { low, high, content: Content::Plane { height: plane.position, regions }, m, t });
        if at + 1 < planes.len() && bridged(at) {
            let next = &planes[at + 1];
            let next_low = next.position - reach(at)
                + if stack.is_gap(plane, next) { TIE * usual } else { -TIE * usual };
            let both = plane.united.iter().chain(&plane.exclusive).chain(&next.united).chain(&next.exclusive);
            let [m, t] = index_bounds(both, frame, plane.position, [high, next_low], lattice);
            let content =
                Content::InterpolatedGap(InterpolatedGap::new([plane, next], frame, lattice, spacing_mm));
            slabs.push(Slab { low: high, high: next_low, content, m, t });
        }
    }
    slabs
}

/// The indices along m and t that outlines at `height` can reach between the heights `[low, high]`.
fn index_bounds<'a>(
    outlines: impl Iterator<Item = &'a Outline>,
    frame: &Frame,
    height: f64,
    heights: [f64; 2],
    lattice: &Lattice,
) -> [Range<usize>; 2] {
    let mut bounds = [[f64::INFINITY, f64::NEG_INFINITY]; 2];
    let offsets = heights.map(|end| end - height);
    for [at_s, at_t] in outlines.flatten() {
        // The point's third coordinate follows from its height.
        let mut index = [0.0; 3];
        (index[frame.s], index[frame.t]) = (*at_s, *at_t);
        index[frame.m] = (height - frame.height(index)) / frame.gain[frame.m];
        for offset in offsets {
            for (bounds, axis) in bounds.iter_mut().zip([frame.m, frame.t]) {
                let moved = index[axis] + frame.normal[axis] * offset;
                *bounds = [bounds[0].min(moved), bounds[1].max(moved)];
            }
        }
    }
    let mut axes = [frame.m, frame.t].into_iter();
    bounds.map(|[low, high]| {
        let size = axes.next().map_or(0, |axis| lattice.shape[axis]) as f64;
        // Numbers beyond every index are clamped, and none at all gives an empty range.
        let [first, end] = [low.floor(), high.ceil() + 1.0].map(|end| end.clamp(0.0, size) as usize);
        if low <= high { first..end.max(first) } else { 0..0 }
    })
}

/// A row of voxels along s: how high they lie, and where their perpendiculars meet a plane.
pub(super) struct Row {
    start: [f64; 2],
    height: f64,
    gain: f64,
    normal: [f64; 2],
}

/// Where the perpendiculars of a row's voxels meet a plane: `[s, t] = start + index * (step, slope * step)`.
pub(super) struct Line {
    start: [f64; 2],
    step: f64,
    slope: f64,
}

impl Row {
    fn new(frame: &Frame, start: [f64; 3]) -> Self {
        let Frame { s, t, .. } = *frame;
        Self {
            start: [0.0, start[t]],
            height: frame.height(start),
            gain: frame.gain[s],
            normal: [frame.normal[s], frame.normal[t]],
        }
    }

    /// The height of a voxel.
    pub(super) fn height_of(&self, index: f64) -> f64 {
        self.height + self.gain * index
    }

    /// The voxels of a row of `size` that are at least as high as `low` and lower than `high`.
    fn range_within(&self, low: f64, high: f64, size: usize) -> Range<usize> {
        if self.gain == 0.0 {
            return if (low..high).contains(&self.height) { 0..size } else { 0..0 };
        }
        // The same formula at a boundary that two slabs share, so that each voxel is in one of them.
        let index =
            |height: f64| ((height - self.height) / self.gain).ceil().clamp(0.0, size as f64) as usize;
        let [a, b] = [low, high].map(index);
        if self.gain > 0.0 { a..b } else { b..a }
    }

    /// Where the perpendiculars meet the plane at `height`.
    pub(super) fn line_at(&self, height: f64) -> Line {
        let down = self.height - height;
        let start = std::array::from_fn(|axis| self.start[axis] - self.normal[axis] * down);
        let step = 1.0 - self.normal[0] * self.gain;
        Line { start, step, slope: -self.normal[1] * self.gain / step }
    }
}

impl Line {
    /// The line through whole numbers along s at `t`.
    pub(super) fn straight(t: f64) -> Self {
        Self { start: [0.0, t], step: 1.0, slope: 0.0 }
    }

    /// The place `[s, t]` of an index.
    pub(super) fn at(&self, index: f64) -> [f64; 2] {
        [self.start[0] + index * self.step, self.start[1] + index * self.step * self.slope]
    }

    /// Appends the indices at which the line crosses `outline`.
    ///
    /// An edge has its lower end and not its upper one, so that a corner on the line counts once or twice as it should.
    fn crossings(&self, outline: &Outline, to: &mut Vec<f64>) {
        let Self { start: [start, middle], step, slope } = *self;
        // Sheared so that the line runs along s.
        let sheared = |[i, j]: [f64; 2]| [i, j - slope * (i - start)];
        let Some(last) = outline.last() else { return };
        let mut previous = sheared(*last);
        for point in outline {
            let ([i0, j0], [i1, j1]) = (previous, sheared(*point));
            if (j0 > middle) != (j1 > middle) {
                to.push(((i0 - i1) * (middle - j1) / (j0 - j1) + i1 - start) / step);
            }
            previous = [i1, j1];
        }
    }
}

pub(super) struct Buffers {
    pub(super) row: Vec<u8>,
    pub(super) crossings: Vec<f64>,
}

/// Sets the buffer's row to 1 in `range` where the line is in `region`, and to 0 elsewhere in it.
pub(super) fn fill_region(region: &Region, line: &Line, range: Range<usize>, buffers: &mut Buffers) {
    let Buffers { row, crossings } = buffers;
    row[range.clone()].fill(0);
    crossings.clear();
    region.outer.iter().for_each(|outline| line.crossings(outline, crossings));
    if crossings.is_empty() {
        return;
    }
    between(crossings, range.clone(), |index| row[index] = 1);
    for hole in &region.holes {
        crossings.clear();
        line.crossings(hole, crossings);
        between(crossings, range.clone(), |index| row[index] = 0);
    }
}

/// Calls `set` for the whole numbers of `range` from each odd crossing on and before the next: a centre that lies on an
/// outline is inside on the side of small indices and outside on the other.
fn between(crossings: &mut [f64], range: Range<usize>, mut set: impl FnMut(usize)) {
    crossings.sort_by(f64::total_cmp);
    let (low, high) = (range.start as f64, range.end as f64);
    for pair in crossings.chunks_exact(2) {
        let [start, end] = [pair[0], pair[1]].map(|crossing| crossing.ceil().clamp(low, high) as usize);
        (start..end).for_each(&mut set);
    }
}
