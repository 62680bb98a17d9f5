//! A mask as runs of neighbouring voxels along W; runs that touch are joined by a union-find.

use ndarray::{ArrayView3, Axis};
use rayon::prelude::*;

use crate::{
    Connectivity,
    survey::{BLOCK, contiguous},
};

/// Neighbouring voxels of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) d: usize,
    pub(crate) h: usize,
    /// First voxel along W.
    pub(crate) start: usize,
    /// One past the last voxel along W.
    pub(crate) end: usize,
}

impl Run {
    pub(crate) fn voxels(&self) -> u64 {
        (self.end - self.start) as u64
    }

    /// The first voxel, `[D, H, W]`.
    pub(crate) fn first(&self) -> [usize; 3] {
        [self.d, self.h, self.start]
    }

    /// One past the last voxel along each axis, `[D, H, W]`.
    pub(crate) fn end(&self) -> [usize; 3] {
        [self.d + 1, self.h + 1, self.end]
    }
}

/// A mask as runs, ascending by place, and the trees that join them.
pub(crate) struct Runs {
    runs: Vec<Run>,
    /// Start of each row's runs, and the end of the last row's.
    row_starts: Vec<usize>,
    height: usize,
    /// By run a run of the same component that comes no later; its own index at a root.
    parents: Vec<usize>,
}

impl Runs {
    /// Of the voxels of `mask`, `[D, H, W]`, that are not 0.
    pub(crate) fn of_mask(mask: ArrayView3<u8>, connectivity: Connectivity) -> Self {
        Self::of_slices(mask.dim(), connectivity, |d, runs| {
            for (h, row) in mask.index_axis(Axis(0), d).outer_iter().enumerate() {
                add_runs(runs, [d, h], &contiguous(row));
            }
        })
    }

    /// Of a grid of `[D, H, W]` voxels, `add_slice(d, runs)` adding the runs of slice `d` in ascending order.
    pub(crate) fn of_slices(
        (depth, height, _): (usize, usize, usize),
        connectivity: Connectivity,
        add_slice: impl Fn(usize, &mut Vec<Run>) + Sync,
    ) -> Self {
        let of_slice = |d| {
            let mut runs = Vec::new();
            add_slice(d, &mut runs);
            runs
        };
        let slices: Vec<Vec<Run>> = (0..depth).into_par_iter().map(of_slice).collect();
        let runs = slices.concat();
        let mut row_starts = vec![0; depth * height + 1];
        runs.iter().for_each(|run| row_starts[run.d * height + run.h + 1] += 1);
        for row in 0..depth * height {
            row_starts[row + 1] += row_starts[row];
        }
        let parents = (0..runs.len()).collect();
        let mut all = Self { runs, row_starts, height, parents };
        for (d, h) in (0..depth).flat_map(|d| (0..height).map(move |h| (d, h))) {
            all.join_row(d, h, connectivity);
        }
        all
    }

    fn row(&self, d: usize, h: usize) -> std::ops::Range<usize> {
        let row = d * self.height + h;
        self.row_starts[row]..self.row_starts[row + 1]
    }

    /// Joins a row's runs with those of the rows before it.
    fn join_row(&mut self, d: usize, h: usize, connectivity: Connectivity) {
        if self.row(d, h).is_empty() {
            return;
        }
        // The neighbours before a row: in its own slice, then the three in the slice before.
        let before = [(0, -1), (-1, -1), (-1, 0), (-1, 1)];
        for (along_d, along_h) in before {
            let place = (d.checked_add_signed(along_d), h.checked_add_signed(along_h));
            let (Some(other_d), Some(other_h)) = place else { continue };
            let axes = along_d.unsigned_abs() + along_h.unsigned_abs();
            if let (true, Some(reach)) = (other_h < self.height, connectivity.reach(axes)) {
                self.join_rows(self.row(d, h), self.row(other_d, other_h), reach);
            }
        }
    }

    fn join_rows(&mut self, row: std::ops::Range<usize>, other: std::ops::Range<usize>, reach: usize) {
        let (mut a, mut b) = (row.start, other.start);
        while a < row.end && b < other.end {
            let (run, near) = (self.runs[a], self.runs[b]);
            if run.start < near.end + reach && near.start < run.end + reach {
                self.join(a, b);
            }
            if run.end < near.end { a += 1 } else { b += 1 }
        }
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    fn root(&mut self, mut run: usize) -> usize {
        while self.parents[run] != run {
            self.parents[run] = self.parents[self.parents[run]];
            run = self.parents[run];
        }
        run
    }

    /// Every run with the number of its component; components are numbered in the order of their first voxels.
    pub(crate) fn with_components(&self) -> impl Iterator<Item = (&Run, usize)> {
        let mut components = 0;
        // A parent comes before its children, so its component is known when theirs is asked for.
        let mut component_of_run: Vec<usize> = Vec::with_capacity(self.runs.len());
        self.runs.iter().enumerate().map(move |(i, run)| {
            let component = if self.parents[i] == i {
                components += 1;
                components - 1
            } else {
                component_of_run[self.parents[i]]
            };
            component_of_run.push(component);
            (run, component)
        })
    }
}

/// Adds the runs of the values of `row`, which lies at `[d, h]`, that are not 0.
pub(crate) fn add_runs(runs: &mut Vec<Run>, [d, h]: [usize; 2], row: &[u8]) {
    let mut at = 0;
    while at < row.len() {
        // Background by the block, without an early exit, so that the compiler can look at many voxels at once.
        let block = &row[at..(at + BLOCK).min(row.len())];
        if block.iter().fold(0, |any, value| any | value) == 0 {
            at += block.len();
            continue;
        }
        let start = at + block.iter().position(|value| *value != 0).unwrap_or(0);
        let end = row[start..].iter().position(|value| *value == 0).map_or(row.len(), |n| start + n);
        runs.push(Run { d, h, start, end });
        at = end;
    }
}
