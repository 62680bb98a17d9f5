//! Which outlines of a plane are holes in others.

use super::planes::{Outline, Plane};

/// Outlines that are nowhere farther apart are copies of each other, in mm.
const SAME_MM: f64 = 0.05;
/// Points along an outline that are looked at to find whether it lies in another one.
const MOST_SAMPLES: usize = 512;

/// An area: what is inside an odd number of `outer`, and in none of `holes`.
pub(super) struct Region {
    pub(super) outer: Vec<Outline>,
    pub(super) holes: Vec<Outline>,
}

impl Region {
    /// The region moved by `offset` voxels along s and t.
    pub(super) fn moved_by(&self, offset: [f64; 2]) -> Self {
        let moved = |outlines: &[Outline]| {
            let point = |point: &[f64; 2]| [point[0] + offset[0], point[1] + offset[1]];
            outlines.iter().map(|outline| outline.iter().map(point).collect()).collect()
        };
        Self { outer: moved(&self.outer), holes: moved(&self.holes) }
    }
}

/// The regions of a plane, whose union is what its contours enclose. `spacing_mm` is the distance of voxels along s and t.
pub(super) fn regions(plane: &Plane, spacing_mm: [f64; 2]) -> Vec<Region> {
    let mut shapes = distinct(&plane.united, spacing_mm);
    shapes.sort_by(|a, b| b.area.total_cmp(&a.area));
    // The shapes, before it in the list, that each one lies in, and how many of them lie in each other.
    let mut containers: Vec<Vec<usize>> = Vec::new();
    let mut depths: Vec<usize> = Vec::new();
    for (inner, shape) in shapes.iter().enumerate() {
        let around: Vec<usize> = (0..inner).filter(|outer| shape.lies_in(&shapes[*outer])).collect();
        depths.push(around.iter().map(|outer| depths[*outer] + 1).max().unwrap_or(0));
        containers.push(around);
    }
    let mut regions: Vec<Region> = (0..shapes.len())
        .filter(|outer| depths[*outer].is_multiple_of(2))
        .map(|outer| {
            let is_hole =
                |hole: &usize| depths[*hole] == depths[outer] + 1 && containers[*hole].contains(&outer);
            let holes = (outer + 1..shapes.len()).filter(is_hole);
            let holes = holes.map(|hole| shapes[hole].outline.clone()).collect();
            Region { outer: vec![shapes[outer].outline.clone()], holes }
        })
        .collect();
    if !plane.exclusive.is_empty() {
        regions.push(Region { outer: plane.exclusive.clone(), holes: Vec::new() });
    }
    regions
}

/// An outline with what comparing it needs, in mm.
struct Shape<'a> {
    outline: &'a Outline,
    points_mm: Vec<[f64; 2]>,
    low: [f64; 2],
    high: [f64; 2],
    area: f64,
}

/// The outlines without copies, whose first point and direction may differ.
fn distinct<'a>(outlines: &'a [Outline], spacing_mm: [f64; 2]) -> Vec<Shape<'a>> {
    let mut kept: Vec<Shape<'a>> = Vec::new();
    for outline in outlines {
        let shape = Shape::new(outline, spacing_mm);
        if !kept.iter().any(|other| shape.is_copy_of(other)) {
            kept.push(shape);
        }
    }
    kept
}

impl<'a> Shape<'a> {
    fn new(outline: &'a Outline, spacing_mm: [f64; 2]) -> Self {
        let points_mm: Vec<[f64; 2]> =
            outline.iter().map(|point| std::array::from_fn(|axis| point[axis] * spacing_mm[axis])).collect();
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for axis in 0..2 {
            low[axis] = points_mm.iter().map(|point| point[axis]).fold(low[axis], f64::min);
            high[axis] = points_mm.iter().map(|point| point[axis]).fold(high[axis], f64::max);
        }
        let area = edges(&points_mm).map(|([x0, y0], [x1, y1])| 0.5 * (x0 * y1 - x1 * y0)).sum::<f64>().abs();
        Self { outline, points_mm, low, high, area }
    }

    fn is_copy_of(&self, other: &Self) -> bool {
        let near = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME_MM);
        near(self.low, other.low)
            && near(self.high, other.high)
            && self.samples().all(|point| other.distance_mm(point) <= SAME_MM)
            && other.samples().all(|point| self.distance_mm(point) <= SAME_MM)
    }

    /// Whether this outline lies inside `other`, which it may touch.
    fn lies_in(&self, other: &Self) -> bool {
        let within = (0..2).all(|axis| {
            self.low[axis] >= other.low[axis] - SAME_MM && self.high[axis] <= other.high[axis] + SAME_MM
        });
        within
            && self.area < other.area
            && self.samples().all(|point| other.holds(point) || other.distance_mm(point) <= SAME_MM)
    }

    /// Points along the outline: its corners and between them, or evenly spaced ones of an outline of many points.
    fn samples(&self) -> impl Iterator<Item = [f64; 2]> {
        let count = self.points_mm.len().max(1);
        let stride = count.div_ceil(MOST_SAMPLES / 2);
        let pieces = (MOST_SAMPLES / 2 / count).clamp(1, 8) + 1;
        edges(&self.points_mm).step_by(stride).flat_map(move |(a, b)| {
            (0..pieces).map(move |piece| {
                let part = piece as f64 / pieces as f64;
                std::array::from_fn(|axis| a[axis] + part * (b[axis] - a[axis]))
            })
        })
    }

    fn holds(&self, [x, y]: [f64; 2]) -> bool {
        let crossed = edges(&self.points_mm).filter(|([x0, y0], [x1, y1])| {
            (*y0 > y) != (*y1 > y) && x < (x0 - x1) * (y - y1) / (y0 - y1) + x1
        });
        crossed.count() % 2 == 1
    }

    fn distance_mm(&self, point: [f64; 2]) -> f64 {
        edges(&self.points_mm).map(|(a, b)| distance_to_edge(point, a, b)).fold(f64::INFINITY, f64::min)
    }
}

/// The edges of a closed outline.
fn edges(points: &[[f64; 2]]) -> impl Iterator<Item = ([f64; 2], [f64; 2])> {
    let next = points.iter().cycle().skip(1);
    points.iter().copied().zip(next.copied())
}

fn distance_to_edge(point: [f64; 2], a: [f64; 2], b: [f64; 2]) -> f64 {
    let along = [b[0] - a[0], b[1] - a[1]];
    let from = [point[0] - a[0], point[1] - a[1]];
    let square = along[0] * along[0] + along[1] * along[1];
    let part =
        if square > 0.0 { ((from[0] * along[0] + from[1] * along[1]) / square).clamp(0.0, 1.0) } else { 0.0 };
    libm::hypot(from[0] - part * along[0], from[1] - part * along[1])
}
