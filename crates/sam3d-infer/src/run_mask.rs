//! A mask to begin from, on the grid of a file.

use std::ops::Range;

use sam3d_io::prepare::Frame;

use crate::{InferError, MaskRuns};

/// A mask as runs of the file's voxels, which is small however large the box around it is.
#[derive(Debug)]
pub(crate) struct RunMask {
    /// First voxel and one past the last of each run in C order of `[k, j, i]`, ascending.
    runs: Vec<Range<usize>>,
    /// The first and the last voxel of the box around it, `[D, H, W]`.
    pub(crate) low: [usize; 3],
    pub(crate) high: [usize; 3],
}

impl RunMask {
    /// The mask of `mask`'s runs.
    ///
    /// # Errors
    /// [`InferError::PromptRefused`] if they are not those of a mask on the file's grid.
    pub(crate) fn of(mask: &MaskRuns, frame: &Frame) -> Result<Self, InferError> {
        let refused = |reason| Err(InferError::PromptRefused(reason));
        let shape = frame.grid().shape_ijk();
        if mask.shape_ijk != shape {
            return refused("the mask is not of the image's shape");
        }
        let voxels: usize = shape.iter().product();
        let mut runs: Vec<Range<usize>> = Vec::new();
        for [start, length] in mask.runs.iter().filter(|[_, length]| *length > 0) {
            let Some(end) = start.checked_add(*length).filter(|end| *end <= voxels) else {
                return refused("a run of the mask lies outside the volume");
            };
            if runs.last().is_some_and(|last| *start < last.end) {
                return refused("the runs of the mask overlap or are not in ascending order");
            }
            runs.push(*start..end);
        }
        let boxes = runs.iter().map(|run| box_of(run, shape));
        let around = boxes.reduce(|[low, high], [start, end]| {
            let pick = |of: fn(usize, usize) -> usize, a: [usize; 3], b: [usize; 3]| {
                std::array::from_fn(|axis| of(a[axis], b[axis]))
            };
            [pick(usize::min, low, start), pick(usize::max, high, end)]
        });
        let Some(corners) = around else { return refused("the mask to begin from is empty") };
        let [a, b] = corners.map(|corner| frame.axis_map().dhw_from_ijk(corner));
        let low = std::array::from_fn(|axis| a[axis].min(b[axis]));
        let high = std::array::from_fn(|axis| a[axis].max(b[axis]));
        Ok(Self { runs, low, high })
    }

    /// Whether the voxel `[D, H, W]` of the file's grid belongs to the mask.
    pub(crate) fn contains(&self, index: [usize; 3], frame: &Frame) -> bool {
        let [columns, rows, _] = frame.grid().shape_ijk();
        let [i, j, k] = frame.axis_map().ijk_from_dhw(index);
        let at = (k * rows + j) * columns + i;
        let before = self.runs.partition_point(|run| run.start <= at);
        before.checked_sub(1).is_some_and(|last| self.runs[last].contains(&at))
    }
}

/// The first and the last voxel `[i, j, k]` of the box around a run, which is not empty.
fn box_of(run: &Range<usize>, [columns, rows, _]: [usize; 3]) -> [[usize; 3]; 2] {
    let [first, last] =
        [run.start, run.end - 1].map(|at| [at % columns, at / columns % rows, at / columns / rows]);
    let (mut low, mut high) = (first, last);
    // A run that goes on in the next row or slice reaches the last column or row before it does, and then begins at 0.
    if first[1..] != last[1..] {
        (low[0], high[0]) = (0, columns - 1);
    }
    if first[2] != last[2] {
        (low[1], high[1]) = (0, rows - 1);
    }
    [low, high]
}
