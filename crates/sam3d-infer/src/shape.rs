//! Boxes, lassos, scribbles and masks on the grids of a volume, and how they are drawn into a crop.
//!
//! A shape lies on the file's grid. A voxel of the crop belongs to it if its centre does. A shape that is too thin for the
//! centre of any voxel, as a stroke in one slice of a file with thinner slices than the resampled volume, is drawn into the
//! voxels nearest to it: no prompt is lost to resampling.

use std::ops::Range;

use ndarray::Array3;
use sam3d_geom::{BoundingBox, Point, PointLabel};
use sam3d_io::{crop::CropWindow, prepare::Frame};

use crate::{Answer, InferError, Prompt, run_mask::RunMask};

/// A shape in voxels of the file's grid, `[D, H, W]`.
#[derive(Debug)]
pub(crate) struct Shape {
    kind: Kind,
    pub(crate) label: PointLabel,
    /// The box around it on the resampled grid.
    pub(crate) bounds: BoundingBox,
}

#[derive(Debug)]
enum Kind {
    /// All of the bounds.
    Box,
    Lasso {
        plane: Plane,
        outline: Vec<[f64; 2]>,
    },
    Scribble {
        plane: Plane,
        path: Vec<[f64; 2]>,
        radius: f64,
    },
    Mask(RunMask),
}

/// A slice of the file's grid, by its two axes.
#[derive(Debug, Clone, Copy)]
struct Plane([usize; 2]);

/// Which channels a shape is drawn into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShapeKind {
    Region,
    Scribble,
    Mask,
}

impl Shape {
    /// The shape of a prompt that is not a click.
    pub(crate) fn of(prompt: &Prompt, frame: &Frame) -> Result<Self, InferError> {
        let refused = |reason| Err(InferError::PromptRefused(reason));
        match prompt {
            Prompt::Click { .. } => refused("a click is not a shape"),
            Prompt::Box { first, last, label } => {
                let corners = [check(*first, frame)?, check(*last, frame)?];
                let low = std::array::from_fn(|axis| corners[0][axis].min(corners[1][axis]));
                let high = std::array::from_fn(|axis| corners[0][axis].max(corners[1][axis]));
                Self::new(Kind::Box, *label, low, high, frame)
            }
            Prompt::Lasso { outline, label } => {
                if outline.len() < 3 {
                    return refused("a lasso needs at least three corners");
                }
                let sizes = frame.native_extent().sizes();
                let corners: Vec<[f64; 3]> = outline.iter().map(|corner| native(*corner, frame)).collect();
                let inside = |corner: &[f64; 3]| {
                    (0..3).all(|axis| (-0.5..=sizes[axis] as f64 - 0.5).contains(&corner[axis]))
                };
                if !corners.iter().all(inside) {
                    return refused("a corner of the lasso lies outside the volume");
                }
                let Some(plane) = Plane::of(&corners) else {
                    return refused("a lasso lies in one slice: its corners need one coordinate in common");
                };
                let (low, high) = around(&corners);
                let outline = corners.iter().map(|corner| plane.flat(*corner)).collect();
                Self::new(Kind::Lasso { plane, outline }, *label, low, high, frame)
            }
            Prompt::Scribble { path, width, label } => {
                if path.is_empty() || !(width.is_finite() && *width > 0.0) {
                    return refused("a scribble needs at least one voxel and a width above 0");
                }
                let points = path.iter().map(|voxel| check(*voxel, frame)).collect::<Result<Vec<_>, _>>()?;
                let Some(plane) = Plane::of(&points) else {
                    return refused("a scribble lies in one slice: its voxels need one coordinate in common");
                };
                let (mut low, mut high) = around(&points);
                let radius = width / 2.0;
                for axis in plane.0 {
                    (low[axis], high[axis]) = (low[axis] - radius, high[axis] + radius);
                }
                let path = points.iter().map(|point| plane.flat(*point)).collect();
                Self::new(Kind::Scribble { plane, path, radius }, *label, low, high, frame)
            }
            Prompt::Mask(runs) => {
                let mask = RunMask::of(runs, frame)?;
                let [low, high] = [mask.low, mask.high].map(|corner| corner.map(|n| n as f64));
                Self::new(Kind::Mask(mask), PointLabel::Positive, low, high, frame)
            }
        }
    }

    fn new(
        kind: Kind,
        label: PointLabel,
        low: [f64; 3],
        high: [f64; 3],
        frame: &Frame,
    ) -> Result<Self, InferError> {
        let ranges: [Range<usize>; 3] =
            std::array::from_fn(|axis| covered(frame, axis, low[axis] - 0.5..high[axis] + 0.5));
        let start = std::array::from_fn(|axis| ranges[axis].start as i64);
        let end = std::array::from_fn(|axis| ranges[axis].end as i64);
        Ok(Self { kind, label, bounds: BoundingBox::new(start, end)? })
    }

    pub(crate) fn kind(&self) -> ShapeKind {
        match self.kind {
            Kind::Box | Kind::Lasso { .. } => ShapeKind::Region,
            Kind::Scribble { .. } => ShapeKind::Scribble,
            Kind::Mask(_) => ShapeKind::Mask,
        }
    }

    /// Calls `set` with every voxel of the resampled volume in `part` that belongs to the shape, `[D, H, W]`.
    fn for_each_voxel(&self, frame: &Frame, part: BoundingBox, mut set: impl FnMut([usize; 3])) {
        let distance =
            |index: [usize; 3]| self.distance(frame.native_from_resampled(index.map(|n| n as i64)), frame);
        let mut any = false;
        for index in voxels(self.bounds, part) {
            if distance(index) <= 0.0 {
                any = true;
                set(index);
            }
        }
        if any {
            return;
        }
        let mut nearest: Option<([usize; 3], f64)> = None;
        for index in voxels(self.bounds, self.bounds) {
            let distance = distance(index);
            if distance <= 0.0 {
                // It lies outside of `part`.
                return;
            }
            if nearest.is_none_or(|(_, known)| distance < known) {
                nearest = Some((index, distance));
            }
        }
        if let Some((index, _)) = nearest {
            set(index);
        }
    }

    /// How far, in voxels of the file, a place within [`bounds`](Self::bounds) is from the shape; 0 or less inside.
    fn distance(&self, at: [f64; 3], frame: &Frame) -> f64 {
        match &self.kind {
            Kind::Box => 0.0,
            Kind::Lasso { plane, outline } => {
                let at = plane.flat(at);
                if is_inside(at, outline) { 0.0 } else { to_path(at, outline, true).max(f64::MIN_POSITIVE) }
            }
            Kind::Scribble { plane, path, radius } => to_path(plane.flat(at), path, false) - radius,
            Kind::Mask(mask) => {
                let index = std::array::from_fn(|axis| {
                    (at[axis].round().max(0.0) as usize).clamp(mask.low[axis], mask.high[axis])
                });
                1.0 - f64::from(u8::from(mask.contains(index, frame)))
            }
        }
    }

    /// Sets the shape's voxels of a crop's channel to `value`; the channel holds `side^3` values.
    pub(crate) fn draw(&self, frame: &Frame, window: CropWindow, channel: &mut [f32], value: f32) {
        let side = window.side();
        let end = window.start().map(|start| start.saturating_add_unsigned(side as u64));
        let Ok(part) = BoundingBox::new(window.start(), end) else { return };
        self.for_each_voxel(frame, part, |index| {
            if let Some([d, h, w]) = window.crop_from_volume(index) {
                channel[(d * side + h) * side + w] = value;
            }
        });
    }

    /// The voxels of a scribble on the resampled grid, as clicks of its label; none of another shape.
    fn stroke(&self, frame: &Frame) -> Vec<Point> {
        let mut voxels = Vec::new();
        if self.kind() == ShapeKind::Scribble {
            self.for_each_voxel(frame, self.bounds, |index| voxels.push(Point { index, label: self.label }));
        }
        voxels
    }

    /// The shape as an answer: certain in it, 0 outside.
    pub(crate) fn answer(&self, frame: &Frame) -> Answer {
        let start = self.bounds.start().map(|n| n as usize);
        let mut values = Array3::zeros(self.bounds.sizes());
        self.for_each_voxel(frame, self.bounds, |index| {
            values[std::array::from_fn::<_, 3, _>(|axis| index[axis] - start[axis])] = 1.0;
        });
        Answer::new(start, values)
    }
}

/// Clicks, and the voxels of strokes, on the resampled grid.
pub(crate) fn places(clicks: &[Point], shapes: &[Shape], frame: &Frame) -> Vec<Point> {
    clicks.iter().copied().chain(shapes.iter().flat_map(|shape| shape.stroke(frame))).collect()
}

impl Plane {
    /// The slice that all `points` lie in; across D if there are several.
    fn of(points: &[[f64; 3]]) -> Option<Self> {
        let first = points.first()?;
        let axis = (0..3).find(|axis| points.iter().all(|point| point[*axis] == first[*axis]))?;
        Some(Self(match axis {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        }))
    }

    fn flat(self, point: [f64; 3]) -> [f64; 2] {
        self.0.map(|axis| point[axis])
    }
}

/// The voxels of the resampled volume along `axis` whose centres lie in `native`; the nearest one if none does.
fn covered(frame: &Frame, axis: usize, native: Range<f64>) -> Range<usize> {
    let size = frame.resampled_extent().sizes()[axis];
    let factor = frame.factors()[axis];
    // The centre of voxel n is at (n + 0.5) / factor - 0.5.
    let resampled = |position: f64| (position + 0.5) * factor - 0.5;
    let first = (resampled(native.start).ceil().max(0.0) as usize).min(size - 1);
    let end = (resampled(native.end).ceil().max(0.0) as usize).min(size);
    if first < end {
        return first..end;
    }
    let middle = resampled((native.start + native.end) / 2.0).round().max(0.0) as usize;
    let middle = middle.min(size - 1);
    middle..middle + 1
}

/// The voxels that both boxes, of which the first lies in the volume, hold.
fn voxels(bounds: BoundingBox, part: BoundingBox) -> impl Iterator<Item = [usize; 3]> {
    let range = |axis: usize| {
        let start = bounds.start()[axis].max(part.start()[axis]) as usize;
        start..(bounds.end()[axis].min(part.end()[axis]).max(0) as usize)
    };
    let [depth, height, width] = [range(0), range(1), range(2)];
    depth.flat_map(move |d| {
        let width = width.clone();
        height.clone().flat_map(move |h| width.clone().map(move |w| [d, h, w]))
    })
}

/// A voxel `[i, j, k]`, which must lie inside, in `[D, H, W]` of the file's grid.
fn check(ijk: [usize; 3], frame: &Frame) -> Result<[f64; 3], InferError> {
    let ijk = frame.grid().voxel(ijk.map(|n| i64::try_from(n).unwrap_or(i64::MAX)))?;
    Ok(frame.axis_map().dhw_from_ijk(ijk).map(|n| n as f64))
}

/// A place between voxels `[i, j, k]` in `[D, H, W]` of the file's grid.
fn native(ijk: [f64; 3], frame: &Frame) -> [f64; 3] {
    let map = frame.axis_map();
    let sizes = frame.native_extent().sizes();
    std::array::from_fn(|axis| {
        let at = ijk[map.axes()[axis]];
        if map.flips()[axis] { sizes[axis] as f64 - 1.0 - at } else { at }
    })
}

fn around(points: &[[f64; 3]]) -> ([f64; 3], [f64; 3]) {
    let fold = |axis: usize, of: fn(f64, f64) -> f64, start: f64| {
        points.iter().map(|point| point[axis]).fold(start, of)
    };
    (
        std::array::from_fn(|axis| fold(axis, f64::min, f64::INFINITY)),
        std::array::from_fn(|axis| fold(axis, f64::max, f64::NEG_INFINITY)),
    )
}

/// Whether a place lies inside a closed outline, by the even-odd rule.
fn is_inside([y, x]: [f64; 2], outline: &[[f64; 2]]) -> bool {
    let edges = outline.iter().zip(outline.iter().cycle().skip(1));
    let crossed = edges
        .filter(|([y0, x0], [y1, x1])| (*y0 > y) != (*y1 > y) && x < x0 + (y - y0) / (y1 - y0) * (x1 - x0));
    crossed.count() % 2 == 1
}

/// The distance from a place to a path.
fn to_path(at: [f64; 2], path: &[[f64; 2]], is_closed: bool) -> f64 {
    let to_segment = |a: [f64; 2], b: [f64; 2]| {
        let along = [b[0] - a[0], b[1] - a[1]];
        let length = along[0].powi(2) + along[1].powi(2);
        let share = ((at[0] - a[0]) * along[0] + (at[1] - a[1]) * along[1]) / length;
        let share = if length > 0.0 { share.clamp(0.0, 1.0) } else { 0.0 };
        libm::hypot(at[0] - a[0] - share * along[0], at[1] - a[1] - share * along[1])
    };
    let segments = path.windows(2).map(|ends| to_segment(ends[0], ends[1]));
    let ends = path.first().zip(path.last());
    let closing =
        ends.filter(|_| is_closed || path.len() == 1).map(|(first, last)| to_segment(*last, *first));
    segments.chain(closing).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
    use sam3d_io::{Grid, ValueType, Volume};

    use super::*;
    use crate::{Image, MaskRuns};

    /// 9 x 8 x 5 voxels of 1 mm, as they are resampled.
    fn image() -> Image {
        let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
        let grid = Grid::from_affine([9, 8, 5], affine).unwrap();
        let data = Array3::zeros([5, 8, 9]);
        let volume = Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None };
        let preprocessing = Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        };
        Image::new(volume, &preprocessing).unwrap()
    }

    /// The voxels `[i, j, k]` of a shape, in the order of the file.
    fn drawn(prompt: &Prompt, image: &Image) -> Vec<[usize; 3]> {
        let frame = image.frame();
        let answer = Shape::of(prompt, frame).unwrap().answer(frame);
        let all = (0..5).flat_map(|k| (0..8).flat_map(move |j| (0..9).map(move |i| [i, j, k])));
        all.filter(|ijk| answer.at(frame.axis_map().dhw_from_ijk(*ijk)) == 1.0).collect()
    }

    #[test]
    fn a_stroke_along_an_axis_has_its_width() {
        let path = vec![[3, 4, 2], [5, 4, 2]];
        let stroke = Prompt::Scribble { path, width: 3.0, label: PointLabel::Positive };
        let mut expected: Vec<[usize; 3]> = vec![[2, 4, 2], [6, 4, 2]];
        // The corners of the ends are sqrt(2) voxels away, less than half the width.
        expected.extend((2..=6).flat_map(|i| [[i, 3, 2], [i, 5, 2]]));
        expected.extend((3..=5).map(|i| [i, 4, 2]));
        expected.sort_by_key(|[i, j, k]| [*k, *j, *i]);
        assert_eq!(drawn(&stroke, &image()), expected);
    }

    #[test]
    fn a_mask_of_runs_is_the_mask() {
        let image = image();
        let values = Array3::from_shape_fn([5, 8, 9], |(k, j, i)| {
            u8::from((j > 1 || k == 3) && (i + 2 * j + 3 * k) % 5 < 3 && k < 4)
        });
        let expected: Vec<[usize; 3]> =
            values.indexed_iter().filter(|(_, value)| **value == 1).map(|((k, j, i), _)| [i, j, k]).collect();
        let mut runs = MaskRuns::of(values.view());
        assert_eq!(drawn(&Prompt::Mask(runs.clone()), &image), expected);
        // Runs over the end of a row and of a slice.
        let wide = |run| Prompt::Mask(MaskRuns { shape_ijk: [9, 8, 5], runs: vec![run] });
        for (start, length) in [(7, 4), (70, 5), (3, 300), (0, 360)] {
            let inside = (start..start + length).map(|at| [at % 9, at / 9 % 8, at / 72]).collect::<Vec<_>>();
            assert_eq!(drawn(&wide([start, length]), &image), inside);
        }
        runs.runs.swap(0, 1);
        let refused = Shape::of(&Prompt::Mask(runs), image.frame()).unwrap_err();
        assert!(refused.to_string().contains("ascending"), "{refused}");
    }
}
