//! Connected components, and which of the truth's a prediction finds.
//!
//! A mask is taken apart into runs of neighbouring voxels along W; runs that touch are joined by a union-find. Memory and
//! time go with the number of runs, not of voxels.

use ndarray::{ArrayView3, Axis, parallel::prelude::*};
use serde::{Deserialize, Serialize};

use crate::{
    MetricsError,
    error::check_same_shape,
    survey::{BLOCK, contiguous},
};

/// Which voxels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connectivity {
    /// Six neighbours: voxels that share a face.
    Faces,
    /// Eighteen neighbours: voxels that share a face or an edge.
    Edges,
    /// Twenty-six neighbours: voxels that share a face, an edge or a corner.
    #[default]
    Corners,
}

impl Connectivity {
    /// How many of the other two axes two touching runs may differ in, and how far a run reaches beyond its ends to touch
    /// one that is off by one in `axes` of them.
    fn reach(self, axes: usize) -> Option<usize> {
        let steps = match self {
            Self::Faces => 1usize,
            Self::Edges => 2,
            Self::Corners => 3,
        };
        steps.checked_sub(axes).map(|left| left.min(1))
    }
}

/// One connected part of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// How many voxels it has.
    pub voxels: u64,
    /// First voxel of the box around it, `[D, H, W]`.
    pub start: [usize; 3],
    /// One past the last voxel of the box around it, `[D, H, W]`.
    pub end: [usize; 3],
    /// How many of its voxels the other mask has, too; 0 where there is no other.
    pub shared_voxels: u64,
}

/// The connected components of `mask`, `[D, H, W]`, every value but 0 being its own; in the order of their first voxels.
pub fn components(mask: ArrayView3<u8>, connectivity: Connectivity) -> Vec<Component> {
    Runs::of(mask, connectivity).components(|_| 0)
}

/// Which components of two masks meet: how many lesions are found, and how many findings are none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// The truth's components.
    pub truth: Vec<Component>,
    /// The prediction's components.
    pub prediction: Vec<Component>,
}

impl Detection {
    /// Takes two masks, `[D, H, W]`, apart; every value but 0 belongs to a mask.
    ///
    /// # Errors
    /// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape.
    pub fn between(
        truth: ArrayView3<u8>,
        prediction: ArrayView3<u8>,
        connectivity: Connectivity,
    ) -> Result<Self, MetricsError> {
        check_same_shape(truth, prediction)?;
        let (truth_runs, prediction_runs) =
            rayon::join(|| Runs::of(truth, connectivity), || Runs::of(prediction, connectivity));
        let truth = truth_runs.components(|run| prediction_runs.voxels_within(run));
        let prediction = prediction_runs.components(|run| truth_runs.voxels_within(run));
        Ok(Self { truth, prediction })
    }

    /// The truth's components of which the prediction has at least `share` of the voxels, and one.
    pub fn found(&self, share: f64) -> usize {
        count_met(&self.truth, share)
    }

    /// The prediction's components of which the truth has less than `share` of the voxels, or none.
    pub fn false_positives(&self, share: f64) -> usize {
        self.prediction.len() - count_met(&self.prediction, share)
    }

    /// The share of the truth's components that are [`found`](Self::found); `None` if there are none.
    pub fn sensitivity(&self, share: f64) -> Option<f64> {
        (!self.truth.is_empty()).then(|| self.found(share) as f64 / self.truth.len() as f64)
    }
}

fn count_met(components: &[Component], share: f64) -> usize {
    let met = |component: &&Component| {
        component.shared_voxels > 0 && component.shared_voxels as f64 >= share * component.voxels as f64
    };
    components.iter().filter(met).count()
}

/// Neighbouring voxels of one row.
#[derive(Debug, Clone, Copy)]
struct Run {
    d: usize,
    h: usize,
    start: usize,
    end: usize,
}

/// A mask as runs, ascending by place, and the trees that join them.
struct Runs {
    runs: Vec<Run>,
    /// Start of each row's runs, and the end of the last row's.
    row_starts: Vec<usize>,
    height: usize,
    /// By run a run of the same component that comes no later; its own index at a root.
    parents: Vec<usize>,
}

impl Runs {
    fn of(mask: ArrayView3<u8>, connectivity: Connectivity) -> Self {
        let (depth, height, _) = mask.dim();
        let slices: Vec<Vec<Run>> = mask
            .axis_iter(Axis(0))
            .into_par_iter()
            .enumerate()
            .map(|(d, slice)| {
                let mut runs = Vec::new();
                for (h, row) in slice.outer_iter().enumerate() {
                    add_runs(&mut runs, [d, h], &contiguous(row));
                }
                runs
            })
            .collect();
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

    /// The components, in the order of their first runs.
    fn components(&self, shared_voxels: impl Fn(&Run) -> u64) -> Vec<Component> {
        let mut components: Vec<Component> = Vec::new();
        // A parent comes before its children, so its component is known when theirs is asked for.
        let mut component_of_run: Vec<usize> = Vec::with_capacity(self.runs.len());
        for (i, run) in self.runs.iter().enumerate() {
            let of_run = Component {
                voxels: (run.end - run.start) as u64,
                start: [run.d, run.h, run.start],
                end: [run.d + 1, run.h + 1, run.end],
                shared_voxels: shared_voxels(run),
            };
            if self.parents[i] == i {
                component_of_run.push(components.len());
                components.push(of_run);
            } else {
                let component = component_of_run[self.parents[i]];
                component_of_run.push(component);
                components[component].add(of_run);
            }
        }
        components
    }

    /// How many voxels of another mask's run belong to this one.
    fn voxels_within(&self, other: &Run) -> u64 {
        let row = &self.runs[self.row(other.d, other.h)];
        let first = row.partition_point(|run| run.end <= other.start);
        let meeting = row[first..].iter().take_while(|run| run.start < other.end);
        meeting.map(|run| (run.end.min(other.end) - run.start.max(other.start)) as u64).sum()
    }
}

impl Component {
    fn add(&mut self, other: Self) {
        self.voxels += other.voxels;
        self.shared_voxels += other.shared_voxels;
        self.start = std::array::from_fn(|axis| self.start[axis].min(other.start[axis]));
        self.end = std::array::from_fn(|axis| self.end[axis].max(other.end[axis]));
    }
}

fn add_runs(runs: &mut Vec<Run>, [d, h]: [usize; 2], row: &[u8]) {
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

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn mask(voxels: &[[usize; 3]]) -> Array3<u8> {
        let mut mask = Array3::zeros([4, 4, 5]);
        voxels.iter().for_each(|voxel| mask[*voxel] = 1);
        mask
    }

    #[test]
    fn voxels_that_share_a_face_an_edge_or_a_corner() {
        let pairs =
            [([1, 1, 1], [1, 1, 2]), ([1, 1, 1], [1, 2, 1]), ([1, 1, 1], [2, 2, 1]), ([1, 2, 2], [2, 1, 3])];
        let counts = pairs.map(|(a, b)| {
            [Connectivity::Faces, Connectivity::Edges, Connectivity::Corners]
                .map(|connectivity| components(mask(&[a, b]).view(), connectivity).len())
        });
        assert_eq!(counts, [[1, 1, 1], [1, 1, 1], [2, 1, 1], [2, 2, 1]]);
    }

    #[test]
    fn arms_that_meet_late_are_one_component() {
        // A U whose arms are joined by its last row alone.
        let u = mask(&[
            [0, 0, 0],
            [0, 0, 4],
            [0, 1, 0],
            [0, 1, 4],
            [0, 2, 0],
            [0, 2, 1],
            [0, 2, 2],
            [0, 2, 3],
            [0, 2, 4],
        ]);
        let found = components(u.view(), Connectivity::Faces);
        assert_eq!(found, [Component { voxels: 9, start: [0; 3], end: [1, 3, 5], shared_voxels: 0 }]);
    }

    #[test]
    fn lesions_found_and_findings_that_are_none() {
        let truth = mask(&[[0, 0, 0], [0, 0, 1], [0, 0, 2], [3, 3, 3]]);
        let prediction = mask(&[[0, 0, 2], [0, 0, 3], [2, 0, 0]]);
        let detection = Detection::between(truth.view(), prediction.view(), Connectivity::Corners).unwrap();
        assert_eq!(
            detection.truth.iter().map(|c| (c.voxels, c.shared_voxels)).collect::<Vec<_>>(),
            [(3, 1), (1, 0)]
        );
        assert_eq!((detection.found(0.0), detection.found(0.5)), (1, 0));
        assert_eq!((detection.false_positives(0.0), detection.false_positives(0.6)), (1, 2));
        assert_eq!(detection.sensitivity(0.0), Some(0.5));
        let nothing = Detection::between(mask(&[]).view(), prediction.view(), Connectivity::Corners).unwrap();
        assert_eq!((nothing.sensitivity(0.0), nothing.false_positives(0.0)), (None, 2));
    }
}
