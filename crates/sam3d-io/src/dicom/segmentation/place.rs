//! Frames on a grid.

use sam3d_geom::Affine;

use super::{Segmentation, StoredAs, StoredFrame, USUAL_THRESHOLD};
use crate::{AffineSource, Grid, dicom::DicomError};

/// How far a pixel may lie from the voxel it is taken for, in voxels, as between the grids of two files.
const TOLERANCE_VOXELS: f64 = 0.1;
/// Difference of direction cosines, or relative one of spacings, that rounding explains.
const ROUNDING: f64 = 1e-3;

/// Where the pixels of a frame lie in a grid: first pixel, and steps from one column, and one row, to the next.
struct Placement {
    first: [i64; 3],
    column_step: [i64; 3],
    row_step: [i64; 3],
}

impl Segmentation {
    /// The smallest grid of evenly spaced slices that holds every frame.
    ///
    /// # Errors
    /// [`DicomError::FramesUneven`] if the frames do not lie on one such grid.
    pub fn grid(&self) -> Result<Grid, DicomError> {
        let first = self.frames.first().ok_or(DicomError::AttributeMissing { name: "NumberOfFrames" })?;
        let [a, b, c, d, e, f] = first.orientation;
        let (x, y) = ([a, b, c], [d, e, f]);
        let normal = [b * f - c * e, c * d - a * f, a * e - b * d];
        let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let close = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= ROUNDING * f64::max(1.0, a.abs()))
        };
        let uneven = |reason| DicomError::FramesUneven { reason };
        let alike = |frame: &StoredFrame| {
            close(&frame.orientation, &first.orientation) && close(&frame.spacing, &first.spacing)
        };
        if !self.frames.iter().all(alike) {
            return Err(uneven("they have several orientations or pixel spacings"));
        }
        let height = |frame: &StoredFrame| dot(frame.position, normal);
        let lowest = self.frames.iter().fold(
            first,
            |low, frame| {
                if height(frame) < height(low) { frame } else { low }
            },
        );
        let heights: Vec<f64> = self.frames.iter().map(|frame| height(frame) - height(lowest)).collect();
        let highest = heights.iter().copied().fold(0.0, f64::max);
        let step = between_slices(&heights, first)
            .ok_or_else(|| uneven("their distances are not multiples of one distance"))?;
        for (frame, height) in self.frames.iter().zip(&heights) {
            let offset: [f64; 3] = std::array::from_fn(|axis| frame.position[axis] - lowest.position[axis]);
            let sideways = dot(offset, offset) - height * height;
            if sideways.max(0.0).sqrt() > TOLERANCE_VOXELS * first.spacing[0].min(first.spacing[1]) {
                return Err(uneven("they are shifted against each other"));
            }
        }
        let [between_rows, between_columns] = first.spacing;
        let rows = std::array::from_fn(|row| {
            let sign = if row < 2 { -1.0 } else { 1.0 };
            let cells =
                [x[row] * between_columns, y[row] * between_rows, normal[row] * step, lowest.position[row]];
            cells.map(|value| value * sign + 0.0)
        });
        let slices = (highest / step).round();
        let [columns, rows_count] = self.size;
        let grid = Affine::new(rows).and_then(|affine| {
            let shape = [columns, rows_count, (slices as usize).saturating_add(1)];
            Grid::from_rounded_affine(shape, affine, AffineSource::ImagePositions)
        });
        grid.map_err(|_| uneven("they have an invalid orientation"))
    }

    /// Calls `found` with the voxel, `[k, j, i]`, and the segment of every pixel that belongs to one.
    pub(super) fn for_voxels(
        &self,
        grid: &Grid,
        threshold: Option<f32>,
        mut found: impl FnMut([usize; 3], u16) -> Result<(), DicomError>,
    ) -> Result<(), DicomError> {
        let least = match self.stored_as {
            StoredAs::Fractional { maximum } => threshold.unwrap_or(USUAL_THRESHOLD) * f32::from(maximum),
            StoredAs::Binary | StoredAs::LabelMap => 0.0,
        };
        let shape = grid.shape_ijk().map(|size| size as i64);
        let columns = self.size[0];
        for (number, frame) in self.frames.iter().enumerate() {
            let mut placement = None;
            self.pixels.for_nonzero(number, |at, value| {
                if f32::from(value) <= least {
                    return Ok(());
                }
                // The place of an empty frame does not matter.
                if placement.is_none() {
                    placement = Some(place(frame, self.size, grid).ok_or_else(|| off_grid(number))?);
                }
                let Some(placement) = &placement else { return Ok(()) };
                let (column, row) = ((at % columns) as i64, (at / columns) as i64);
                let voxel: [i64; 3] = std::array::from_fn(|axis| {
                    placement.first[axis]
                        + column * placement.column_step[axis]
                        + row * placement.row_step[axis]
                });
                if voxel.iter().zip(shape).any(|(index, size)| *index < 0 || *index >= size) {
                    return Err(off_grid(number));
                }
                let [i, j, k] = voxel.map(|index| index as usize);
                found([k, j, i], frame.segment.unwrap_or(value))
            })?;
        }
        Ok(())
    }
}

fn off_grid(frame: usize) -> DicomError {
    DicomError::FrameOffGrid { frame: frame + 1 }
}

/// The distance of slices of which all heights are multiples: the one the file names, or the smallest one there is.
fn between_slices(heights_mm: &[f64], frame: &StoredFrame) -> Option<f64> {
    let mut sorted = heights_mm.to_vec();
    sorted.sort_by(f64::total_cmp);
    let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]);
    let smallest = gaps.filter(|gap| *gap > ROUNDING).fold(f64::INFINITY, f64::min);
    let fits = |step: &f64| {
        sorted.iter().all(|height| {
            let slices = height / step;
            (slices - slices.round()).abs() <= TOLERANCE_VOXELS
        })
    };
    if smallest.is_infinite() {
        return frame.between_slices.or(frame.thickness).or(Some(1.0));
    }
    frame.between_slices.into_iter().chain([smallest]).find(fits)
}

/// Where the pixels of `frame` lie in `grid`; `None` if they are not its voxels.
fn place(frame: &StoredFrame, size: [usize; 2], grid: &Grid) -> Option<Placement> {
    let [a, b, c, d, e, f] = frame.orientation;
    let [between_rows, between_columns] = frame.spacing;
    let index_of = |column: f64, row: f64| {
        let lps: [f64; 3] = std::array::from_fn(|axis| {
            let (x, y) = ([a, b, c][axis], [d, e, f][axis]);
            frame.position[axis] + column * between_columns * x + row * between_rows * y
        });
        grid.world_from_ijk().voxel_from_world([-lps[0], -lps[1], lps[2]])
    };
    let first = index_of(0.0, 0.0);
    let step = |to: [f64; 3]| -> [f64; 3] { std::array::from_fn(|axis| to[axis] - first[axis]) };
    let (column, row) = (step(index_of(1.0, 0.0)), step(index_of(0.0, 1.0)));
    let whole = |vector: [f64; 3]| vector.map(|value| value.round() as i64);
    let is_unit = |vector: [i64; 3]| vector.iter().map(|value| value.abs()).sum::<i64>() == 1;
    let (column_step, row_step) = (whole(column), whole(row));
    let crosses = column_step.iter().zip(row_step).all(|(a, b)| a * b == 0);
    // The farthest pixel from the first: what a step is off adds up.
    let farthest = |axis: usize| {
        let rest = |value: f64| (value - value.round()).abs();
        rest(first[axis]) + rest(column[axis]) * size[0] as f64 + rest(row[axis]) * size[1] as f64
    };
    let is_on_grid = (0..3).all(|axis| farthest(axis) <= TOLERANCE_VOXELS);
    let is_sound = is_unit(column_step) && is_unit(row_step) && crosses && is_on_grid;
    is_sound.then(|| Placement { first: whole(first), column_step, row_step })
}
