//! Diameters within one slice.

use sam3d_geom::Affine;

use super::{Diameter, columns, dot, hull::HalfPoint};

/// How differences of [`HalfPoint`]s become lengths: the inner products of half the steps along H and W.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaneMetric {
    /// `h · h`, `h · w` and `w · w` in mm².
    products: [f64; 3],
}

/// The two points of a hull that are farthest apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct FarthestPair {
    pub(super) squared_mm: f64,
    ends: [HalfPoint; 2],
}

impl PlaneMetric {
    pub(super) fn new(world_from_voxel: &Affine) -> Self {
        let [_, h, w] = columns(world_from_voxel);
        Self { products: [dot(h, h), dot(h, w), dot(w, w)].map(|product| product / 4.0) }
    }

    /// The pair of points farthest apart; `None` without points.
    pub(super) fn farthest_pair(&self, hull: &[HalfPoint]) -> Option<FarthestPair> {
        let first = *hull.first()?;
        let mut best = FarthestPair { squared_mm: 0.0, ends: [first, first] };
        for (at, a) in hull.iter().enumerate() {
            for b in &hull[at + 1..] {
                let squared_mm = self.squared_mm(difference(*b, *a));
                if squared_mm > best.squared_mm {
                    best = FarthestPair { squared_mm, ends: [*a, *b] };
                }
            }
        }
        Some(best)
    }

    /// The longest diameter of a hull in slice `slice`, which `pair` is, and the longest chord perpendicular to it.
    pub(super) fn diameters(
        &self,
        slice: usize,
        hull: &[HalfPoint],
        pair: FarthestPair,
    ) -> (Diameter, Diameter) {
        let voxel = |[h, w]: [f64; 2]| [slice as f64, h / 2.0, w / 2.0];
        let ends = pair.ends.map(|end| end.map(|half| half as f64));
        let longest = Diameter { length_mm: pair.squared_mm.sqrt(), ends: ends.map(voxel) };
        let along = self.covector(difference(pair.ends[1], pair.ends[0]));
        // Perpendicular in the plane: no component along.
        let across = self.covector([along[1], -along[0]]);
        let chord = longest_chord(hull, along, across);
        let offset = [0, 1].map(|axis| chord[1][axis] - chord[0][axis]);
        let perpendicular = Diameter { length_mm: self.squared_mm(offset).sqrt(), ends: chord.map(voxel) };
        (longest, perpendicular)
    }

    fn squared_mm(&self, [h, w]: [f64; 2]) -> f64 {
        let [hh, hw, ww] = self.products;
        h * h * hh + 2.0 * h * w * hw + w * w * ww
    }

    /// What gives, times a point, its inner product with `vector`.
    fn covector(&self, [h, w]: [f64; 2]) -> [f64; 2] {
        let [hh, hw, ww] = self.products;
        [hh * h + hw * w, hw * h + ww * w]
    }
}

fn difference(a: HalfPoint, b: HalfPoint) -> [f64; 2] {
    [(a[0] - b[0]) as f64, (a[1] - b[1]) as f64]
}

/// A point of the outline, how far along and how far across it lies.
#[derive(Clone, Copy)]
struct OutlinePoint {
    point: [f64; 2],
    along: f64,
    across: f64,
}

/// Ends of the longest chord of the polygon on which `along` is constant. The length of such a chord is a concave function of
/// its place, so that the longest one begins at a corner.
fn longest_chord(hull: &[HalfPoint], along: [f64; 2], across: [f64; 2]) -> [[f64; 2]; 2] {
    let placed: Vec<OutlinePoint> = hull
        .iter()
        .map(|[h, w]| {
            let point = [*h as f64, *w as f64];
            let by = |covector: [f64; 2]| covector[0] * point[0] + covector[1] * point[1];
            OutlinePoint { point, along: by(along), across: by(across) }
        })
        .collect();
    let edges = || placed.iter().zip(placed.iter().cycle().skip(1));
    let mut best = (f64::NEG_INFINITY, [[0.0; 2]; 2]);
    for corner in &placed {
        let (mut low, mut high) = (*corner, *corner);
        for (a, b) in edges() {
            let Some(crossing) = crossing(a, b, corner.along) else { continue };
            if crossing.across < low.across {
                low = crossing;
            }
            if crossing.across > high.across {
                high = crossing;
            }
        }
        if high.across - low.across > best.0 {
            best = (high.across - low.across, [low.point, high.point]);
        }
    }
    best.1
}

/// Where the edge from `a` to `b` is at `along`.
fn crossing(a: &OutlinePoint, b: &OutlinePoint, along: f64) -> Option<OutlinePoint> {
    let (low, high) = if a.along <= b.along { (a, b) } else { (b, a) };
    if along < low.along || along > high.along || low.along == high.along {
        return None;
    }
    let share = (along - low.along) / (high.along - low.along);
    let between = |low: f64, high: f64| low * (1.0 - share) + high * share;
    let point = [0, 1].map(|axis| between(low.point[axis], high.point[axis]));
    Some(OutlinePoint { point, along, across: between(low.across, high.across) })
}
