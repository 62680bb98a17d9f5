//! The longest diameter in any direction.

use sam3d_geom::Affine;

use super::{
    Diameter, columns, cross, dot,
    hull::{HalfPoint, Outline},
};

/// Points in one plane parallel to the slices.
struct Layer {
    /// Place of the plane along D, in half voxels.
    half_slice: i64,
    /// Along the slices' normal, in mm.
    height_mm: f64,
    points: Vec<LayerPoint>,
    /// A disc around the points, in mm.
    centre_mm: [f64; 2],
    radius_mm: f64,
}

#[derive(Clone, Copy)]
struct LayerPoint {
    half: HalfPoint,
    /// In the plane, in mm.
    place_mm: [f64; 2],
}

/// The best pair so far.
#[derive(Clone, Copy)]
struct Best {
    squared_mm: f64,
    ends: [[i64; 3]; 2],
}

/// The longest diameter of the mask with these outlines; `None` without outlines.
pub(super) fn longest(outlines: &[Outline], world_from_voxel: &Affine) -> Option<Diameter> {
    let plane = Plane::new(world_from_voxel);
    let mut layers = Vec::with_capacity(3 * outlines.len());
    for outline in outlines {
        let half_slice = 2 * outline.slice as i64;
        let centres = outline.centre_hull();
        layers.push(plane.layer(half_slice - 1, &centres)?);
        layers.push(plane.layer(half_slice, &outline.edge_hull())?);
        layers.push(plane.layer(half_slice + 1, &centres)?);
    }
    let mut best = first_guess(&layers)?;
    for (at, a) in layers.iter().enumerate() {
        for b in &layers[at..] {
            compare(a, b, &mut best);
        }
    }
    let ends = best.ends.map(|end| end.map(|half| half as f64 / 2.0));
    Some(Diameter { length_mm: best.squared_mm.sqrt(), ends })
}

/// The farthest point of any, the farthest one of that, and so on: close to the longest diameter, so that most pairs need no
/// comparison.
fn first_guess(layers: &[Layer]) -> Option<Best> {
    const SWEEPS: usize = 4;
    let first = layers.first()?;
    let point = *first.points.first()?;
    let mut best = Best { squared_mm: 0.0, ends: [end(first, point); 2] };
    let mut from = (first, point);
    for _ in 0..SWEEPS {
        let mut farthest = (from, 0.0);
        for layer in layers {
            let across = layer.height_mm - from.0.height_mm;
            for point in &layer.points {
                let squared = across * across + squared(from.1.place_mm, point.place_mm);
                if squared > farthest.1 {
                    farthest = ((layer, *point), squared);
                }
            }
        }
        let ((layer, point), squared_mm) = farthest;
        if squared_mm <= best.squared_mm {
            break;
        }
        best = Best { squared_mm, ends: [end(from.0, from.1), end(layer, point)] };
        from = (layer, point);
    }
    Some(best)
}

/// Compares the points of two layers that could be farther apart than the best pair.
fn compare(a: &Layer, b: &Layer, best: &mut Best) {
    let height = b.height_mm - a.height_mm;
    let reach = squared(a.centre_mm, b.centre_mm).sqrt() + a.radius_mm + b.radius_mm;
    if height * height + reach * reach <= best.squared_mm {
        return;
    }
    for point in &a.points {
        let reach = squared(point.place_mm, b.centre_mm).sqrt() + b.radius_mm;
        if height * height + reach * reach <= best.squared_mm {
            continue;
        }
        for other in &b.points {
            let squared_mm = height * height + squared(point.place_mm, other.place_mm);
            if squared_mm > best.squared_mm {
                *best = Best { squared_mm, ends: [end(a, *point), end(b, *other)] };
            }
        }
    }
}

fn end(layer: &Layer, point: LayerPoint) -> [i64; 3] {
    [layer.half_slice, point.half[0], point.half[1]]
}

fn squared([a, b]: [f64; 2], [c, d]: [f64; 2]) -> f64 {
    (a - c) * (a - c) + (b - d) * (b - d)
}

/// Half a voxel's steps in a frame whose first axis is the slices' normal and whose other two lie in them.
struct Plane {
    /// Along D: along the normal, and in the plane if the grid is sheared.
    slice_step: (f64, [f64; 2]),
    row_step: [f64; 2],
    column_step: [f64; 2],
}

impl Plane {
    fn new(world_from_voxel: &Affine) -> Self {
        let [d, h, w] = columns(world_from_voxel).map(|step| step.map(|mm| mm / 2.0));
        let unit = |vector: [f64; 3]| vector.map(|value| value / dot(vector, vector).sqrt());
        let normal = unit(cross(h, w));
        let axes = [unit(h), cross(normal, unit(h))];
        let in_plane = |vector| axes.map(|axis| dot(vector, axis));
        Self { slice_step: (dot(d, normal), in_plane(d)), row_step: in_plane(h), column_step: in_plane(w) }
    }

    /// `None` without points.
    fn layer(&self, half_slice: i64, hull: &[HalfPoint]) -> Option<Layer> {
        let place = |half: &HalfPoint| {
            let [d, h, w] = [half_slice, half[0], half[1]].map(|half| half as f64);
            let place_mm = [0, 1].map(|axis| {
                d * self.slice_step.1[axis] + h * self.row_step[axis] + w * self.column_step[axis]
            });
            LayerPoint { half: *half, place_mm }
        };
        let points: Vec<LayerPoint> = hull.iter().map(place).collect();
        let first = points.first()?.place_mm;
        let [mut low, mut high] = [first; 2];
        for point in &points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point.place_mm[axis]);
                high[axis] = high[axis].max(point.place_mm[axis]);
            }
        }
        let centre_mm = [0, 1].map(|axis| (low[axis] + high[axis]) / 2.0);
        let farthest = points.iter().map(|point| squared(point.place_mm, centre_mm)).fold(0.0, f64::max);
        let height_mm = half_slice as f64 * self.slice_step.0;
        Some(Layer { half_slice, height_mm, points, centre_mm, radius_mm: farthest.sqrt() })
    }
}
