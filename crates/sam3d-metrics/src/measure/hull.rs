//! The outline of a mask in one slice, and the convex hull of its points, exact in half voxels.

use ndarray::ArrayView2;

use crate::survey::contiguous;

/// A point of a slice in half voxels, `[H, W]`: the centre of voxel `[h, w]` is `[2 h, 2 w]`.
pub(super) type HalfPoint = [i64; 2];

/// First and last voxel of each row of one slice.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) slice: usize,
    pub(super) voxels: u64,
    /// Row, first and last voxel along W; ascending by row, at least one.
    rows: Vec<[usize; 3]>,
}

impl Outline {
    /// Of the values of slice `slice` that are not 0; `None` if there are none.
    pub(super) fn of(slice: usize, values: ArrayView2<u8>) -> Option<Self> {
        let (mut voxels, mut rows) = (0, Vec::new());
        for (h, row) in values.outer_iter().enumerate() {
            let row = contiguous(row);
            let count = row.iter().map(|value| u64::from(*value != 0)).sum::<u64>();
            if count == 0 {
                continue;
            }
            let first = row.iter().position(|value| *value != 0).unwrap_or(0);
            let last = row.iter().rposition(|value| *value != 0).unwrap_or(first);
            voxels += count;
            rows.push([h, first, last]);
        }
        (!rows.is_empty()).then_some(Self { slice, voxels, rows })
    }

    /// Voxels, `[D, H, W]`, whose box is that of the slice's voxels.
    pub(super) fn extremes(&self) -> impl Iterator<Item = [usize; 3]> {
        self.rows.iter().flat_map(|[h, first, last]| [[self.slice, *h, *first], [self.slice, *h, *last]])
    }

    /// The hull of the middles of the voxels' edges.
    pub(super) fn edge_hull(&self) -> Vec<HalfPoint> {
        let of_row = |[h, first, last]: &[usize; 3]| {
            let [h, first, last] = [*h, *first, *last].map(|index| 2 * index as i64);
            [[h - 1, first], [h - 1, last], [h, first - 1], [h, last + 1], [h + 1, first], [h + 1, last]]
        };
        convex_hull(self.rows.iter().flat_map(of_row).collect())
    }

    /// The hull of the voxels' centres.
    pub(super) fn centre_hull(&self) -> Vec<HalfPoint> {
        let of_row = |[h, first, last]: &[usize; 3]| {
            let [h, first, last] = [*h, *first, *last].map(|index| 2 * index as i64);
            [[h, first], [h, last]]
        };
        convex_hull(self.rows.iter().flat_map(of_row).collect())
    }
}

/// The corners of the convex hull in order around it, without points on its edges (Andrew's monotone chain).
fn convex_hull(mut points: Vec<HalfPoint>) -> Vec<HalfPoint> {
    points.sort_unstable();
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let mut hull = half_hull(points.iter());
    hull.pop();
    hull.extend(half_hull(points.iter().rev()));
    hull.pop();
    hull
}

fn half_hull<'a>(points: impl Iterator<Item = &'a HalfPoint>) -> Vec<HalfPoint> {
    let mut hull: Vec<HalfPoint> = Vec::new();
    for point in points {
        while let [.., a, b] = hull.as_slice() {
            let turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
            if turn > 0 {
                break;
            }
            hull.pop();
        }
        hull.push(*point);
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_inside_and_on_edges_are_left_out() {
        let square: Vec<HalfPoint> = (0..5).flat_map(|h| (0..5).map(move |w| [h, w])).collect();
        let mut hull = convex_hull(square);
        hull.sort_unstable();
        assert_eq!(hull, [[0, 0], [0, 4], [4, 0], [4, 4]]);
        assert_eq!(convex_hull(vec![[1, 1], [1, 1]]), [[1, 1]]);
        assert_eq!(convex_hull(vec![[0, 0], [2, 2], [1, 1]]), [[0, 0], [2, 2]]);
    }
}
