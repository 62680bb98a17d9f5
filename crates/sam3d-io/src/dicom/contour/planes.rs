//! Which contours lie in which plane, and which planes make a stack.

use super::lattice::{Lattice, dot, length};
use crate::dicom::{Contour, ContourType};

/// Contours whose distance along their normal is smaller lie in one plane, in mm.
const SAME_PLANE_MM: f64 = 0.05;
/// How far a contour's points may lie from the middle of a slice of the grid, in slices, to count as lying in it.
const IN_SLICE: f64 = 0.05;
/// How far a contour's points may lie from its plane: in mm, and as a part of its size.
const FLAT_MM: f64 = 0.1;
const FLAT: f64 = 0.005;
/// A distance of so many usual ones, or more, is a gap.
pub(super) const GAP: f64 = 1.5;

/// Parallel planes of contours, sorted along their normal.
pub(super) struct Stack {
    pub(super) frame: Frame,
    pub(super) planes: Vec<Plane>,
    /// The usual distance of neighbouring planes; of a single plane, that of the grid's slices.
    pub(super) usual: f64,
}

/// The contours of one plane.
pub(super) struct Plane {
    /// Where along the normal, in the frame's unit.
    pub(super) position: f64,
    /// Outlines of contours that are united, or nested.
    pub(super) united: Vec<Outline>,
    /// Outlines of contours that are combined by exclusive or.
    pub(super) exclusive: Vec<Outline>,
}

/// A closed outline in the frame's axes `[s, t]`, in voxels.
pub(super) type Outline = Vec<[f64; 2]>;

/// How a stack lies in the lattice.
///
/// Of a lattice's three axes, `m` is the one that leads most out of the planes; in a plane, a point is known by the other
/// two, `s` and `t`. The height of a point is its position along the planes' normal.
pub(super) struct Frame {
    pub(super) m: usize,
    pub(super) s: usize,
    pub(super) t: usize,
    /// Height of the index `[0, 0, 0]`.
    height_of_origin: f64,
    /// Height gained with a step along each axis.
    pub(super) gain: [f64; 3],
    /// Steps along each axis that follow the normal up by one unit of height.
    pub(super) normal: [f64; 3],
    /// Millimetres of one unit of height: 1, or the distance of slices where each plane lies in a slice.
    pub(super) unit_mm: f64,
    /// Whether every contour lies in a slice of the lattice.
    pub(super) in_slices: bool,
}

impl Frame {
    /// The height of an index `[D, H, W]`.
    pub(super) fn height(&self, index: [f64; 3]) -> f64 {
        self.height_of_origin + dot(self.gain, index)
    }

    /// The height gained from one slice of the lattice to the next.
    pub(super) fn slice_step(&self) -> f64 {
        self.gain[self.m].abs()
    }
}

/// A contour with its vector of area.
struct Flat<'a> {
    contour: &'a Contour,
    area: [f64; 3],
    size_mm: f64,
}

/// The contours that enclose an area, in stacks of parallel planes.
pub(super) fn stacks(contours: &[Contour], lattice: &Lattice) -> Vec<Stack> {
    let mut rest: Vec<Flat> = contours.iter().filter_map(Flat::new).collect();
    rest.sort_by(|a, b| length(b.area).total_cmp(&length(a.area)));
    let mut stacks = Vec::new();
    while let Some(largest) = rest.first() {
        let normal = unit(largest.area);
        let (mut members, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|flat| flat.lies_flat(normal));
        rest = others;
        if members.is_empty() {
            // The largest one is not flat even by its own normal: it is taken for the plane it is nearest to.
            members.push(rest.remove(0));
        }
        stacks.push(Stack::new(&members, lattice));
    }
    stacks
}

impl<'a> Flat<'a> {
    /// `None` if the contour encloses no area.
    fn new(contour: &'a Contour) -> Option<Self> {
        if !contour.kind.encloses_area() || contour.points_mm.len() < 3 {
            return None;
        }
        let area = area(&contour.points_mm);
        let [low, high] = bounds(&contour.points_mm);
        let size_mm = length(std::array::from_fn(|axis| high[axis] - low[axis]));
        (length(area).is_normal() && size_mm.is_finite()).then_some(Self { contour, area, size_mm })
    }

    fn lies_flat(&self, normal: [f64; 3]) -> bool {
        let heights = self.contour.points_mm.iter().map(|point| dot(*point, normal));
        let (low, high) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), height| {
            (low.min(height), high.max(height))
        });
        high - low <= FLAT_MM + FLAT * self.size_mm
    }
}

impl Stack {
    fn new(members: &[Flat<'_>], lattice: &Lattice) -> Self {
        let outlines: Vec<Vec<[f64; 3]>> = members
            .iter()
            .map(|flat| flat.contour.points_mm.iter().map(|point| lattice.index_of(*point)).collect())
            .collect();
        let frame = Frame::new(members, &outlines, lattice);
        let mut placed: Vec<(f64, ContourType, Outline)> = members
            .iter()
            .zip(&outlines)
            .map(|(flat, points)| {
                let sum: f64 = if frame.in_slices {
                    points.iter().map(|point| point[frame.m]).sum()
                } else {
                    points.iter().map(|point| frame.height(*point)).sum()
                };
                let outline = points.iter().map(|point| [point[frame.s], point[frame.t]]).collect();
                (sum / points.len() as f64, flat.contour.kind.clone(), outline)
            })
            .collect();
        // A stable sort: contours of one plane keep an order that does not depend on the file's.
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut planes: Vec<Plane> = Vec::new();
        let same = SAME_PLANE_MM / frame.unit_mm;
        for (position, kind, outline) in placed {
            if planes.last().is_none_or(|plane| position - plane.position > same) {
                planes.push(Plane { position, united: Vec::new(), exclusive: Vec::new() });
            }
            if let Some(plane) = planes.last_mut() {
                let outlines = if kind == ContourType::ClosedPlanarXor {
                    &mut plane.exclusive
                } else {
                    &mut plane.united
                };
                outlines.push(outline);
            }
        }
        let usual = usual_distance(&planes).unwrap_or(frame.slice_step());
        Self { frame, planes, usual }
    }

    /// Whether there is a gap between a plane and the next one.
    pub(super) fn is_gap(&self, from: &Plane, to: &Plane) -> bool {
        to.position - from.position >= GAP * self.usual
    }
}

/// The lower median of the distances of neighbouring planes, if several agree with it: two planes alone may be as far
/// from each other as two structures are, and say nothing of what is usual.
fn usual_distance(planes: &[Plane]) -> Option<f64> {
    let mut distances: Vec<f64> = planes.windows(2).map(|pair| pair[1].position - pair[0].position).collect();
    distances.sort_by(f64::total_cmp);
    let usual = *distances.get(distances.len().checked_sub(1)? / 2)?;
    let agreeing = distances.iter().filter(|distance| (**distance - usual).abs() <= 0.1 * usual).count();
    (agreeing >= 2 && 2 * agreeing >= distances.len()).then_some(usual)
}

impl Frame {
    fn new(members: &[Flat<'_>], outlines: &[Vec<[f64; 3]>], lattice: &Lattice) -> Self {
        let first = members.first().map_or([0.0, 0.0, 1.0], |flat| flat.area);
        let sum = members.iter().fold([0.0; 3], |sum: [f64; 3], flat| {
            let sign = if dot(flat.area, first) < 0.0 { -1.0 } else { 1.0 };
            std::array::from_fn(|axis| sum[axis] + sign * flat.area[axis])
        });
        let mut normal_mm = unit(if length(sum).is_normal() { sum } else { first });
        let cosines = lattice.steps_mm.map(|step| dot(step, normal_mm) / length(step));
        let m =
            (0..3).fold(0, |best, axis| if cosines[axis].abs() > cosines[best].abs() { axis } else { best });
        if cosines[m] < 0.0 {
            normal_mm = normal_mm.map(|value| -value);
        }
        // Along W if that lies nearly as well in the planes as the other axis, so that ties are broken alike everywhere.
        let [near, far] = match m {
            0 => [2, 1],
            1 => [2, 0],
            _ => [1, 0],
        };
        let [s, t] = if cosines[near].abs() <= cosines[far].abs() + 0.1 { [near, far] } else { [far, near] };
        let in_slices = outlines.iter().all(|points| {
            let mean = points.iter().map(|point| point[m]).sum::<f64>() / points.len() as f64;
            points.iter().all(|point| (point[m] - mean).abs() <= IN_SLICE)
        });
        let mut along_m = [0.0; 3];
        along_m[m] = 1.0;
        if in_slices {
            let unit_mm = dot(lattice.steps_mm[m], normal_mm).abs();
            return Self {
                m,
                s,
                t,
                height_of_origin: 0.0,
                gain: along_m,
                normal: along_m,
                unit_mm,
                in_slices,
            };
        }
        let gain = lattice.steps_mm.map(|step| dot(step, normal_mm));
        let normal = lattice.index_step_of(normal_mm);
        let mut frame = Self { m, s, t, height_of_origin: 0.0, gain, normal, unit_mm: 1.0, in_slices };
        // Heights are positions along the normal in the patient, from its origin.
        frame.height_of_origin = -frame.height(lattice.index_of([0.0; 3]));
        frame
    }
}

/// Newell's vector of area: perpendicular to the contour, and as long as its area is large.
fn area(points: &[[f64; 3]]) -> [f64; 3] {
    let mut sum = [0.0; 3];
    let origin = points.first().copied().unwrap_or_default();
    let relative = |point: [f64; 3]| -> [f64; 3] { std::array::from_fn(|axis| point[axis] - origin[axis]) };
    for (at, point) in points.iter().enumerate() {
        let [a, b] = [*point, points[(at + 1) % points.len()]].map(relative);
        for (axis, sum) in sum.iter_mut().enumerate() {
            let [u, v] = [(axis + 1) % 3, (axis + 2) % 3];
            *sum += 0.5 * (a[u] * b[v] - a[v] * b[u]);
        }
    }
    sum
}

fn bounds(points: &[[f64; 3]]) -> [[f64; 3]; 2] {
    points.iter().fold([[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]], |[low, high], point| {
        [
            std::array::from_fn(|axis| low[axis].min(point[axis])),
            std::array::from_fn(|axis| high[axis].max(point[axis])),
        ]
    })
}

fn unit(vector: [f64; 3]) -> [f64; 3] {
    let length = length(vector);
    vector.map(|value| value / length)
}
