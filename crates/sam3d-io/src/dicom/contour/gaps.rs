//! The space between two planes of contours, by the signed distances to both outlines.

use ndarray::Array2;

use super::{
    fill::{Buffers, Line, Row, fill_region},
    lattice::Lattice,
    nesting::regions,
    planes::{Frame, Outline, Plane},
};

/// Voxels around the outlines in which distances are known, which the interpolated outline never leaves.
const MARGIN: f64 = 2.0;

/// Between two planes: the signed distances to their outlines are interpolated, and what is positive is inside.
pub(super) struct InterpolatedGap {
    heights: [f64; 2],
    distances: [SignedDistance; 2],
}

impl InterpolatedGap {
    pub(super) fn new(planes: [&Plane; 2], frame: &Frame, lattice: &Lattice, spacing_mm: [f64; 2]) -> Self {
        let outlines = planes.iter().flat_map(|plane| plane.united.iter().chain(&plane.exclusive));
        let area = Area::around(outlines, [lattice.shape[frame.s], lattice.shape[frame.t]]);
        let distances = planes.map(|plane| SignedDistance::new(plane, &area, spacing_mm));
        Self { heights: planes.map(|plane| plane.position), distances }
    }

    /// Whether the voxel `index` of a row is inside.
    pub(super) fn holds(&self, row: &Row, index: f64) -> bool {
        let [low, high] = self.heights;
        let part = (row.height_of(index) - low) / (high - low);
        let [below, above] =
            [0, 1].map(|plane| self.distances[plane].at(row.line_at(self.heights[plane]).at(index)));
        (1.0 - part) * below + part * above > 0.0
    }
}

/// Whole indices `[s, t]` from `start` on.
struct Area {
    start: [i64; 2],
    size: [usize; 2],
}

impl Area {
    /// The indices around `outlines` that a lattice of `shape` or its surroundings have.
    fn around<'a>(outlines: impl Iterator<Item = &'a Outline>, shape: [usize; 2]) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for point in outlines.flatten() {
            for axis in 0..2 {
                (low[axis], high[axis]) = (low[axis].min(point[axis]), high[axis].max(point[axis]));
            }
        }
        let clamp = |value: f64, axis: usize| value.clamp(-16.0, shape[axis] as f64 + 16.0) as i64;
        let start = std::array::from_fn(|axis| clamp((low[axis] - MARGIN).floor(), axis));
        let end: [i64; 2] = std::array::from_fn(|axis| clamp((high[axis] + MARGIN).ceil(), axis));
        let size =
            std::array::from_fn(|axis| usize::try_from(end[axis] - start[axis] + 1).unwrap_or(1).max(1));
        Self { start, size }
    }
}

/// Distance in mm from each index of an area to the outlines: positive inside, negative outside.
struct SignedDistance {
    start: [i64; 2],
    /// Indexed `[t, s]`.
    values: Array2<f64>,
}

impl SignedDistance {
    fn new(plane: &Plane, area: &Area, spacing_mm: [f64; 2]) -> Self {
        let [width, height] = area.size;
        let shift = area.start.map(|start| start as f64);
        let mut inside = Array2::from_elem([height, width], false);
        let mut buffers = Buffers { row: vec![0; width], crossings: Vec::new() };
        for region in regions(plane, spacing_mm) {
            let moved = region.moved_by([-shift[0], -shift[1]]);
            for (t, mut row) in inside.rows_mut().into_iter().enumerate() {
                fill_region(&moved, &Line::straight(t as f64), 0..width, &mut buffers);
                row.iter_mut().zip(&buffers.row).for_each(|(inside, set)| *inside |= *set == 1);
            }
        }
        let [to_outside, to_inside] =
            [false, true].map(|wanted| distances(inside.map(|inside| *inside == wanted), spacing_mm));
        let values = ndarray::Zip::from(&inside)
            .and(&to_outside)
            .and(&to_inside)
            .map_collect(|inside, to_outside, to_inside| if *inside { *to_outside } else { -*to_inside });
        Self { start: area.start, values }
    }

    /// The distance at the index nearest to a place; outside of the area, what is nearest in it.
    fn at(&self, place: [f64; 2]) -> f64 {
        let (height, width) = self.values.dim();
        let index = |axis: usize, size: usize| {
            (place[axis] - self.start[axis] as f64).round().clamp(0.0, (size - 1) as f64) as usize
        };
        self.values[[index(1, height), index(0, width)]]
    }
}

/// The distance from each index to the nearest one that is set; large if none is.
fn distances(set: Array2<bool>, [along_s, along_t]: [f64; 2]) -> Array2<f64> {
    let (height, width) = set.dim();
    let far = libm::hypot(width as f64 * along_s, height as f64 * along_t) + 1.0;
    // Along s: forwards, then backwards.
    let mut along = Array2::from_elem([height, width], far);
    for (set, mut row) in set.rows().into_iter().zip(along.rows_mut()) {
        let mut sweep = |indices: &mut dyn Iterator<Item = usize>| {
            let mut distance = far;
            for index in indices {
                distance = if set[index] { 0.0 } else { (distance + along_s).min(far) };
                row[index] = row[index].min(distance);
            }
        };
        sweep(&mut (0..width));
        sweep(&mut (0..width).rev());
    }
    // Then the nearest over all rows.
    Array2::from_shape_fn([height, width], |(t, s)| {
        let mut nearest = far;
        for offset in 0..height {
            let across = offset as f64 * along_t;
            if across >= nearest {
                break;
            }
            for row in
                [t.checked_sub(offset), Some(t + offset).filter(|row| *row < height)].into_iter().flatten()
            {
                nearest = nearest.min(libm::hypot(across, along[[row, s]]));
            }
        }
        nearest
    })
}
