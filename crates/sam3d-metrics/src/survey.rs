//! One pass over two label volumes: the voxel counts of each label, and the box around its voxels.

use std::borrow::Cow;

use ndarray::{ArrayView1, ArrayView3, Axis, parallel::prelude::*};

use crate::Overlap;

/// Voxel counts and bounding box of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) label: u32,
    pub(crate) overlap: Overlap,
    /// Around the label's voxels in either volume.
    pub(crate) bounds: VoxelBox,
}

/// A box of voxels, `[D, H, W]`, half open, inside a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoxelBox {
    pub(crate) start: [usize; 3],
    pub(crate) end: [usize; 3],
}

impl VoxelBox {
    pub(crate) fn sizes(self) -> [usize; 3] {
        std::array::from_fn(|axis| self.end[axis] - self.start[axis])
    }

    fn around(self, other: Self) -> Self {
        Self {
            start: std::array::from_fn(|axis| self.start[axis].min(other.start[axis])),
            end: std::array::from_fn(|axis| self.end[axis].max(other.end[axis])),
        }
    }
}

/// Surveys every label but 0 of two volumes of one shape, `[D, H, W]`; ascending by label. `label_of` says which label a
/// voxel's value stands for.
pub(crate) fn survey<T: Copy + PartialEq + Sync + Send>(
    truth: ArrayView3<T>,
    prediction: ArrayView3<T>,
    label_of: impl Fn(T) -> u32 + Sync,
) -> Vec<Survey> {
    let slices = truth.axis_iter(Axis(0)).into_par_iter().zip(prediction.axis_iter(Axis(0)));
    let mut surveys = slices
        .enumerate()
        .fold(Vec::new, |mut surveys, (d, (truth, prediction))| {
            for (h, (truth, prediction)) in truth.outer_iter().zip(prediction.outer_iter()).enumerate() {
                add_row(&mut surveys, [d, h], &contiguous(truth), &contiguous(prediction), &label_of);
            }
            surveys
        })
        .reduce(Vec::new, |mut surveys, others| {
            others.iter().for_each(|other| add(&mut surveys, other));
            surveys
        });
    surveys.sort_unstable_by_key(|survey| survey.label);
    surveys
}

/// The row's values side by side, copied only if they are not.
pub(crate) fn contiguous<T: Copy>(row: ArrayView1<'_, T>) -> Cow<'_, [T]> {
    row.to_slice().map_or_else(|| Cow::Owned(row.to_vec()), Cow::Borrowed)
}

fn add(surveys: &mut Vec<Survey>, other: &Survey) {
    match surveys.iter_mut().find(|survey| survey.label == other.label) {
        Some(survey) => {
            survey.overlap = survey.overlap.sum(other.overlap);
            survey.bounds = survey.bounds.around(other.bounds);
        }
        None => surveys.push(*other),
    }
}

/// Voxels looked at together: most of a volume is background, and the rest mostly long runs of one label.
pub(crate) const BLOCK: usize = 64;

/// Adds the runs of equal labels of one row.
fn add_row<T: Copy + PartialEq>(
    surveys: &mut Vec<Survey>,
    [d, h]: [usize; 2],
    truth: &[T],
    prediction: &[T],
    label_of: &impl Fn(T) -> u32,
) {
    let (Some(first_truth), Some(first_prediction)) = (truth.first(), prediction.first()) else { return };
    let mut run = Run { truth: *first_truth, prediction: *first_prediction, start: 0 };
    let mut end_run = |run: Run<T>, end: usize| {
        let at = VoxelBox { start: [d, h, run.start], end: [d + 1, h + 1, end] };
        add_run(surveys, [label_of(run.truth), label_of(run.prediction)], at);
    };
    for (block, (truths, predictions)) in truth.chunks(BLOCK).zip(prediction.chunks(BLOCK)).enumerate() {
        // No early exit, so that the compiler can compare many voxels at once.
        let differs =
            |values: &[T], value: T| values.iter().fold(false, |any, other| any | (*other != value));
        if !(differs(truths, run.truth) | differs(predictions, run.prediction)) {
            continue;
        }
        for (i, (truth, prediction)) in truths.iter().zip(predictions).enumerate() {
            if *truth != run.truth || *prediction != run.prediction {
                let start = block * BLOCK + i;
                end_run(run, start);
                run = Run { truth: *truth, prediction: *prediction, start };
            }
        }
    }
    end_run(run, truth.len());
}

/// Neighbouring voxels of a row with one value in the truth and one in the prediction.
#[derive(Clone, Copy)]
struct Run<T> {
    truth: T,
    prediction: T,
    start: usize,
}

fn add_run(surveys: &mut Vec<Survey>, [truth, prediction]: [u32; 2], at: VoxelBox) {
    let voxels = (at.end[2] - at.start[2]) as u64;
    let mut add_label = |label: u32| {
        let in_truth = if label == truth { voxels } else { 0 };
        let in_prediction = if label == prediction { voxels } else { 0 };
        let overlap = Overlap {
            truth_voxels: in_truth,
            prediction_voxels: in_prediction,
            shared_voxels: in_truth.min(in_prediction),
        };
        add(surveys, &Survey { label, overlap, bounds: at });
    };
    if truth != 0 {
        add_label(truth);
    }
    if prediction != 0 && prediction != truth {
        add_label(prediction);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn two_labels_and_rows_longer_than_a_block() {
        let volume = |label_of: fn([usize; 3]) -> u8| {
            Array3::from_shape_fn([4, 5, 150], |(d, h, w)| label_of([d, h, w]))
        };
        let truth = volume(|index| match index {
            [1, 4, 60..140] => 2,
            [3, 0, 0] => 9,
            _ => 0,
        });
        let prediction = volume(|index| match index {
            [1, 4, 149] => 9,
            [1 | 2, 4, 63..150] => 2,
            _ => 0,
        });
        let found = survey(truth.view(), prediction.view(), u32::from);
        let overlap = |truth_voxels, prediction_voxels, shared_voxels| Overlap {
            truth_voxels,
            prediction_voxels,
            shared_voxels,
        };
        let bounds = |start, end| VoxelBox { start, end };
        assert_eq!(
            found,
            [
                Survey { label: 2, overlap: overlap(80, 173, 77), bounds: bounds([1, 4, 60], [3, 5, 150]) },
                Survey { label: 9, overlap: overlap(1, 1, 0), bounds: bounds([1, 0, 0], [4, 5, 150]) },
            ]
        );
        let turned = |volume: &Array3<u8>| volume.t().as_standard_layout().into_owned();
        let (truth, prediction) = (turned(&truth), turned(&prediction));
        assert_eq!(survey(truth.t(), prediction.t(), u32::from), found, "rows that are not contiguous");
    }
}
