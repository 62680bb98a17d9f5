//! Where a prediction is wrong: the connected components of the voxels in which it differs from the truth, and their depth.
//!
//! These are the voxels that the next click of a user is about: see [`corrective_click`](crate::corrective_click).

use ndarray::{Array3, ArrayView3, Axis, Slice};
use rayon::prelude::*;
use sam3d_geom::Spacing;

use crate::{
    Connectivity, MetricsError,
    distance::distances_mm,
    error::check_same_shape,
    nearest::ScaledSpacing,
    runs::{Run, Runs, add_runs},
    survey::contiguous,
};

/// Depths whose ratio differs from 1 by less than this are equal: the difference is rounding.
pub(crate) const ROUNDING: f64 = 1e-6;

/// Voxels in which truth and prediction differ and that are connected by 26 neighbours. What is missing and what is too
/// much belong to one component where they touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorComponent {
    /// In C order of `[D, H, W]`; at least one.
    runs: Vec<Run>,
    voxels: u64,
    start: [usize; 3],
    end: [usize; 3],
}

/// The voxel of a component that is farthest from everything outside the component.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeepestVoxel {
    /// The voxel, `[D, H, W]` of the volume; of equally deep ones the first in C order.
    pub voxel: [usize; 3],
    /// Distance in mm from its centre to the nearest centre of a voxel that is not in the component.
    pub depth_mm: f64,
}

/// The components of the voxels in which two masks, `[D, H, W]`, differ (every value but 0 belongs to a mask), in the C order
/// of their first voxels.
///
/// To draw a component with a probability proportional to its size, draw among them with [`ErrorComponent::voxels`] as
/// weights.
///
/// # Errors
/// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape.
pub fn error_components(
    truth: ArrayView3<u8>,
    prediction: ArrayView3<u8>,
) -> Result<Vec<ErrorComponent>, MetricsError> {
    check_same_shape(truth, prediction)?;
    let runs = Runs::of_slices(truth.dim(), Connectivity::Corners, |d, runs| {
        let rows = truth.index_axis_move(Axis(0), d);
        let predicted_rows = prediction.index_axis_move(Axis(0), d);
        let mut differs = vec![0; rows.dim().1];
        for (h, (truth, prediction)) in rows.outer_iter().zip(predicted_rows.outer_iter()).enumerate() {
            let (truth, prediction) = (contiguous(truth), contiguous(prediction));
            for ((differs, truth), prediction) in differs.iter_mut().zip(&*truth).zip(&*prediction) {
                *differs = u8::from((*truth != 0) != (*prediction != 0));
            }
            add_runs(runs, [d, h], &differs);
        }
    });
    let mut components: Vec<ErrorComponent> = Vec::new();
    for (run, component) in runs.with_components() {
        match components.get_mut(component) {
            Some(component) => component.add(*run),
            None => components.push(ErrorComponent::of(*run)),
        }
    }
    Ok(components)
}

/// The component with the most voxels, of equal ones the first; `None` if there are none.
pub fn largest_component(components: &[ErrorComponent]) -> Option<&ErrorComponent> {
    // Of equal ones the last is taken, hence from the back.
    components.iter().rev().max_by_key(|component| component.voxels)
}

impl ErrorComponent {
    fn of(run: Run) -> Self {
        Self { voxels: run.voxels(), start: run.first(), end: run.end(), runs: vec![run] }
    }

    fn add(&mut self, run: Run) {
        self.voxels += run.voxels();
        self.start = std::array::from_fn(|axis| self.start[axis].min(run.first()[axis]));
        self.end = std::array::from_fn(|axis| self.end[axis].max(run.end()[axis]));
        self.runs.push(run);
    }

    /// Number of voxels.
    pub fn voxels(&self) -> u64 {
        self.voxels
    }

    /// First voxel of the box around the component, `[D, H, W]`.
    pub fn start(&self) -> [usize; 3] {
        self.start
    }

    /// One past the last voxel of the box around the component, `[D, H, W]`.
    pub fn end(&self) -> [usize; 3] {
        self.end
    }

    /// The component's voxel number `n` in C order, `[D, H, W]`; `None` beyond the last one.
    pub fn voxel(&self, n: u64) -> Option<[usize; 3]> {
        let mut left = n;
        for run in &self.runs {
            if left < run.voxels() {
                return Some([run.d, run.h, run.start + left as usize]);
            }
            left -= run.voxels();
        }
        None
    }

    /// Whether `voxel`, `[D, H, W]` of the volume, is in the component.
    pub fn contains(&self, voxel: [usize; 3]) -> bool {
        self.run_at(voxel).is_some()
    }

    /// The run that holds `[d, h, w]`.
    fn run_at(&self, [d, h, w]: [usize; 3]) -> Option<&Run> {
        let at = self.runs.partition_point(|run| (run.d, run.h, run.end) <= (d, h, w));
        self.runs.get(at).filter(|run| (run.d, run.h) == (d, h) && run.start <= w)
    }

    /// The part of the component that is in the truth (missing in the prediction) and the part that is not (too much).
    pub(crate) fn missing_and_excess(&self, truth: ArrayView3<u8>) -> [Option<Self>; 2] {
        let mut parts: [Option<Self>; 2] = [None, None];
        for run in &self.runs {
            let row = contiguous(truth.index_axis_move(Axis(0), run.d).index_axis_move(Axis(0), run.h));
            let mut start = run.start;
            for equal in row[run.start..run.end].chunk_by(|a, b| (*a != 0) == (*b != 0)) {
                let part = Run { start, end: start + equal.len(), ..*run };
                start = part.end;
                match &mut parts[usize::from(equal[0] == 0)] {
                    Some(component) => component.add(part),
                    none => *none = Some(Self::of(part)),
                }
            }
        }
        parts
    }

    /// No voxel is deeper than this, in mm: the component's box is not.
    pub(crate) fn depth_limit_mm(&self, spacing: Spacing) -> f64 {
        let half = |axis: usize| (self.end[axis] - self.start[axis]).div_ceil(2) as f64 * spacing.mm()[axis];
        half(0).min(half(1)).min(half(2))
    }

    /// By voxel of the component's box, `[D, H, W]`, the distance in mm to the nearest voxel that is not in the component;
    /// outside the volume no voxel is. 0 where the voxel is not in the component.
    ///
    /// Exact, rounded once to single precision. With [`Spacing::UNIT`] distances are in voxels.
    ///
    /// # Errors
    /// [`MetricsError::TooLarge`] if a side of the box has more than 65533 voxels.
    pub fn depth_map_mm(&self, spacing: Spacing) -> Result<Array3<f32>, MetricsError> {
        let mut map = self.padded_depth_map_mm(spacing)?;
        (0..3).for_each(|axis| map.slice_axis_inplace(Axis(axis), Slice::new(1, Some(-1), 1)));
        Ok(map)
    }

    /// The depth map of the box with one voxel around it.
    fn padded_depth_map_mm(&self, spacing: Spacing) -> Result<Array3<f32>, MetricsError> {
        let sizes = std::array::from_fn(|axis| self.end[axis] - self.start[axis] + 2);
        // The nearest voxel outside the component is never beyond the margin: its projection onto the margin is nearer.
        distances_mm(sizes, spacing, |d, h, found| {
            let place = (self.start[0] + d, self.start[1] + h);
            let first = self.runs.partition_point(|run| (run.d + 1, run.h + 1) < place);
            let row = self.runs[first..].iter().take_while(|run| (run.d + 1, run.h + 1) == place);
            let mut outside_from = 0;
            for run in row {
                (outside_from..run.start + 1 - self.start[2]).for_each(&mut *found);
                outside_from = run.end + 1 - self.start[2];
            }
            (outside_from..sizes[2]).for_each(found);
        })
    }

    /// The deepest voxel: the place a user would click. With [`Spacing::UNIT`] depth is in voxels.
    ///
    /// Depths that differ by less than one millionth count as equal.
    ///
    /// # Errors
    /// As [`depth_map_mm`](Self::depth_map_mm).
    pub fn deepest(&self, spacing: Spacing) -> Result<DeepestVoxel, MetricsError> {
        let map = self.padded_depth_map_mm(spacing)?;
        let depths = |run: &Run| {
            let [d, h, w] = std::array::from_fn(|axis| run.first()[axis] + 1 - self.start[axis]);
            let row = map.view().index_axis_move(Axis(0), d).index_axis_move(Axis(0), h);
            row.slice_axis_move(Axis(0), Slice::from(w..w + (run.end - run.start)))
        };
        let deepest = |run: &Run| depths(run).iter().copied().fold(0.0, f32::max);
        let largest = self.runs.par_iter().map(deepest).reduce(|| 0.0, f32::max);
        let enough = (f64::from(largest) * (1.0 - ROUNDING)) as f32;
        let first = self.runs.iter().find_map(|run| {
            let along_w = depths(run).iter().position(|depth| *depth >= enough)?;
            Some([run.d, run.h, run.start + along_w])
        });
        let voxel = first.unwrap_or(self.runs[0].first());
        Ok(DeepestVoxel { voxel, depth_mm: self.depth_mm(voxel, spacing) })
    }

    /// Distance in mm from `voxel`, `[D, H, W]` of the volume, to the nearest voxel that is not in the component; 0 if it is
    /// not in the component itself. With [`Spacing::UNIT`] in voxels.
    pub fn depth_mm(&self, voxel: [usize; 3], spacing: Spacing) -> f64 {
        let ScaledSpacing { units, unit_mm } = ScaledSpacing::new(spacing);
        let square = |axis: usize, voxels: usize| (voxels as f64 * units[axis]).powi(2);
        let [d, h, w] = voxel;
        let mut nearest = f64::INFINITY;
        // One row of each further slice and row, towards both sides, until they are too far away themselves.
        for slices in 0.. {
            if square(0, slices) >= nearest {
                break;
            }
            for rows in 0.. {
                let across = square(0, slices) + square(1, rows);
                if across >= nearest {
                    break;
                }
                for (d, h) in [d.checked_sub(slices), Some(d + slices)]
                    .into_iter()
                    .flat_map(|d| [(d, h.checked_sub(rows)), (d, Some(h + rows))])
                {
                    let run = d.zip(h).and_then(|(d, h)| self.run_at([d, h, w]));
                    let along_w = run.map_or(0, |run| (w + 1 - run.start).min(run.end - w));
                    nearest = nearest.min(across + square(2, along_w));
                }
            }
        }
        nearest.sqrt() * unit_mm
    }
}
