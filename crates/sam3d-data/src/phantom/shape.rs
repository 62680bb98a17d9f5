//! Closed shapes by their signed distance: negative inside, in mm, exact near the surface to first order.

use rand::{Rng, RngExt};

use super::noise::SmoothNoise;

/// A point or vector in patient mm, `[z, y, x]`.
pub(super) type Point = [f64; 3];

/// A shape in patient space.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// One bumpy ellipsoid.
    Blob(Blob),
    /// Several blobs grown together.
    Lobed(Vec<Blob>),
    /// A chain of rounded segments.
    Tube(Tube),
    /// A shape kept within another one, `slack_mm` beyond whose surface it may reach (negative: short of it).
    Confined {
        /// The shape itself.
        shape: Box<Shape>,
        /// What holds it.
        container: Box<Shape>,
        /// How far it may reach beyond the container.
        slack_mm: f64,
    },
}

impl Shape {
    /// Signed distance of `point` in mm.
    pub(super) fn distance_mm(&self, point: Point) -> f64 {
        match self {
            Self::Blob(blob) => blob.distance_mm(point),
            Self::Lobed(lobes) => lobes
                .iter()
                .map(|lobe| lobe.distance_mm(point))
                .reduce(smooth_minimum)
                .unwrap_or(f64::INFINITY),
            Self::Tube(tube) => tube.distance_mm(point),
            Self::Confined { shape, container, slack_mm } => {
                let own = shape.distance_mm(point);
                // Far outside, the container cannot bring the point in.
                if own > 5.0 { own } else { own.max(container.distance_mm(point) - slack_mm) }
            }
        }
    }

    /// Whether a point of the segment between `ends` may lie in the shape or within `margin_mm` of it. In doubt, yes.
    pub(super) fn may_meet(&self, ends: [Point; 2], margin_mm: f64) -> bool {
        match self {
            Self::Blob(blob) => blob.may_meet(ends, margin_mm),
            // Growing together moves the surface out by a quarter of the blend for each pair.
            Self::Lobed(lobes) => {
                let margin_mm = margin_mm + 0.25 * BLEND_MM * lobes.len() as f64;
                lobes.iter().any(|lobe| lobe.may_meet(ends, margin_mm))
            }
            Self::Tube(tube) => tube.meets(ends, margin_mm),
            Self::Confined { shape, .. } => shape.may_meet(ends, margin_mm),
        }
    }

    /// The same shape kept within `container`.
    pub(super) fn within(self, container: &Self, slack_mm: f64) -> Self {
        Self::Confined { shape: Box::new(self), container: Box::new(container.clone()), slack_mm }
    }
}

/// An ellipsoid with a bumpy surface.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    centre: Point,
    semi_axes_mm: [f64; 3],
    /// Rows are the ellipsoid's own axes.
    axes: [Point; 3],
    bumps: Option<(SmoothNoise, f64)>,
}

impl Blob {
    /// An axis-parallel ellipsoid.
    pub(super) fn new(centre: Point, semi_axes_mm: [f64; 3]) -> Self {
        Self { centre, semi_axes_mm, axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], bumps: None }
    }

    /// A ball.
    pub(super) fn ball(centre: Point, radius_mm: f64) -> Self {
        Self::new(centre, [radius_mm; 3])
    }

    /// With bumps of `height_mm` at most, `scale_mm` wide.
    pub(super) fn bumpy(mut self, rng: &mut impl Rng, scale_mm: f64, height_mm: f64) -> Self {
        self.bumps = Some((SmoothNoise::draw(rng, scale_mm), height_mm));
        self
    }

    /// Turned by up to `max_radians` about a random axis.
    pub(super) fn turned(mut self, rng: &mut impl Rng, max_radians: f64) -> Self {
        self.axes = random_rotation(rng, max_radians);
        self
    }

    /// Judged by the ball around it.
    fn may_meet(&self, ends: [Point; 2], margin_mm: f64) -> bool {
        let height = self.bumps.map_or(0.0, |(_, height)| height);
        let reach = self.semi_axes_mm.iter().fold(0.0f64, |a, b| a.max(*b)) + height;
        distance_from_segment_mm(self.centre, ends) < reach + margin_mm
    }

    pub(super) fn distance_mm(&self, point: Point) -> f64 {
        let offset = subtract(point, self.centre);
        let own: Point = std::array::from_fn(|axis| dot(self.axes[axis], offset));
        let scaled: Point = std::array::from_fn(|axis| own[axis] / self.semi_axes_mm[axis]);
        let gradient: Point = std::array::from_fn(|axis| scaled[axis] / self.semi_axes_mm[axis]);
        let level = norm(scaled);
        // The level function |scaled| - 1 over the length of its gradient, |gradient| / |scaled|.
        let smooth = if level > 1e-6 {
            (level - 1.0) * level / norm(gradient)
        } else {
            -self.semi_axes_mm.iter().fold(f64::INFINITY, |a, b| a.min(*b))
        };
        match self.bumps {
            // Far from the surface no bump reaches what is asked for: which side the point is on.
            Some((noise, height)) if smooth.abs() < height + BUMPS_MATTER_MM => {
                smooth + height * noise.at(point)
            }
            _ => smooth,
        }
    }
}

/// A chain of segments with a radius that changes linearly from end to end.
#[derive(Debug, Clone)]
pub(super) struct Tube {
    points: Vec<Point>,
    radius_mm: [f64; 2],
}

impl Tube {
    /// A tube along `points`, of the first radius at its start and the second at its end.
    pub(super) fn new(points: Vec<Point>, radius_mm: [f64; 2]) -> Self {
        Self { points, radius_mm }
    }

    /// Walks along the segment: no step can jump over the tube, because its distance falls no faster than one walks.
    fn meets(&self, ends: [Point; 2], margin_mm: f64) -> bool {
        const SHORTEST_STEP_MM: f64 = 0.5;
        let length = norm(subtract(ends[1], ends[0]));
        let mut walked = 0.0;
        while walked <= length {
            let share = walked / length.max(1e-9);
            let here = std::array::from_fn(|axis| ends[0][axis] * (1.0 - share) + ends[1][axis] * share);
            let gap = self.distance_mm(here) - margin_mm - SHORTEST_STEP_MM;
            if gap < 0.0 {
                return true;
            }
            walked += gap.max(SHORTEST_STEP_MM);
        }
        false
    }

    fn distance_mm(&self, point: Point) -> f64 {
        let segments = self.points.len().saturating_sub(1).max(1) as f64;
        self.points
            .windows(2)
            .enumerate()
            .map(|(number, ends)| {
                let t = segment_share(subtract(point, ends[0]), subtract(ends[1], ends[0]));
                let share = (number as f64 + t) / segments;
                distance_from_segment_mm(point, [ends[0], ends[1]])
                    - (self.radius_mm[0] * (1.0 - share) + self.radius_mm[1] * share)
            })
            .fold(f64::INFINITY, f64::min)
    }
}

/// Distance of `point` from the segment between `ends`.
fn distance_from_segment_mm(point: Point, ends: [Point; 2]) -> f64 {
    let along = subtract(ends[1], ends[0]);
    let offset = subtract(point, ends[0]);
    let t = segment_share(offset, along);
    norm(std::array::from_fn(|axis| offset[axis] - t * along[axis]))
}

/// Where on the segment `along` (0 at its start, 1 at its end) the point nearest to `offset` lies.
fn segment_share(offset: Point, along: Point) -> f64 {
    (dot(offset, along) / dot(along, along).max(1e-9)).clamp(0.0, 1.0)
}

/// A rotation by an angle up to `max_radians` about a random axis, as its rows (Rodrigues' formula).
pub(super) fn random_rotation(rng: &mut impl Rng, max_radians: f64) -> [Point; 3] {
    let axis = random_direction(rng);
    let angle = rng.random_range(-max_radians..=max_radians);
    let (sin, cos) = angle.sin_cos();
    let [z, y, x] = axis;
    let cross = [[0.0, -x, y], [x, 0.0, -z], [-y, z, 0.0]];
    std::array::from_fn(|r| {
        std::array::from_fn(|c| {
            let identity = if r == c { cos } else { 0.0 };
            identity + sin * cross[r][c] + (1.0 - cos) * axis[r] * axis[c]
        })
    })
}

/// A direction uniform on the sphere.
pub(super) fn random_direction(rng: &mut impl Rng) -> Point {
    let height: f64 = rng.random_range(-1.0..=1.0);
    let turn: f64 = rng.random_range(0.0..std::f64::consts::TAU);
    let radius = (1.0 - height * height).sqrt();
    [height, radius * turn.sin(), radius * turn.cos()]
}

/// The point `distance_mm` from `origin` along `direction`.
pub(super) fn along(origin: Point, direction: Point, distance_mm: f64) -> Point {
    std::array::from_fn(|axis| origin[axis] + distance_mm * direction[axis])
}

/// Distance from the surface within which it is to be exact: more than any layer is grown or shrunk.
const BUMPS_MATTER_MM: f64 = 16.0;

/// Surfaces closer than this grow together.
const BLEND_MM: f64 = 3.0;

/// Polynomial smooth minimum.
fn smooth_minimum(a: f64, b: f64) -> f64 {
    let overlap = (BLEND_MM - (a - b).abs()).max(0.0) / BLEND_MM;
    a.min(b) - overlap * overlap * BLEND_MM * 0.25
}

fn subtract(a: Point, b: Point) -> Point {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn norm(a: Point) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::sampling::rng_for;

    #[test]
    fn distances_of_a_ball_and_a_tube() {
        let ball = Shape::Blob(Blob::ball([1.0, 2.0, 3.0], 4.0));
        assert_abs_diff_eq!(ball.distance_mm([1.0, 2.0, 13.0]), 6.0, epsilon = 1e-9);
        assert_abs_diff_eq!(ball.distance_mm([1.0, 2.0, 5.0]), -2.0, epsilon = 1e-9);
        assert_abs_diff_eq!(ball.distance_mm([1.0, 2.0, 3.0]), -4.0, epsilon = 1e-9);
        let tube = Shape::Tube(Tube::new(vec![[0.0; 3], [10.0, 0.0, 0.0]], [2.0, 4.0]));
        assert_abs_diff_eq!(tube.distance_mm([5.0, 5.0, 0.0]), 2.0, epsilon = 1e-9);
        assert_abs_diff_eq!(tube.distance_mm([10.0, 0.0, 0.0]), -4.0, epsilon = 1e-9);
    }

    #[test]
    fn a_confined_shape_stays_inside() {
        let container = Shape::Blob(Blob::ball([0.0; 3], 10.0));
        let shape = Shape::Blob(Blob::ball([9.0, 0.0, 0.0], 5.0)).within(&container, 1.0);
        assert!(shape.distance_mm([10.5, 0.0, 0.0]) < 0.0);
        assert!(shape.distance_mm([12.0, 0.0, 0.0]) > 0.0);
    }

    proptest! {
        /// A row of voxels that is told it meets nothing does not.
        #[test]
        fn no_shape_is_overlooked(
            seed: u64,
            start in proptest::array::uniform3(-40.0..40.0f64),
            end in proptest::array::uniform3(-40.0..40.0f64),
            margin in -2.0..4.0f64,
        ) {
            let mut rng = rng_for(seed, 0, "shapes");
            let lobe = |rng: &mut ChaCha8Rng| {
                let centre = along([0.0; 3], random_direction(rng), 15.0);
                Blob::new(centre, [12.0, 6.0, 8.0]).turned(rng, 3.0).bumpy(rng, 6.0, 2.0)
            };
            let lobed = Shape::Lobed(vec![lobe(&mut rng), lobe(&mut rng), lobe(&mut rng)]);
            let corners = [0; 4].map(|_| along([0.0; 3], random_direction(&mut rng), 25.0)).to_vec();
            let tube = Shape::Tube(Tube::new(corners, [5.0, 1.0]));
            let confined = tube.clone().within(&lobed, 2.0);
            for shape in [Shape::Blob(lobe(&mut rng)), lobed, tube, confined] {
                if !shape.may_meet([start, end], margin) {
                    for step in 0..=200 {
                        let share = f64::from(step) / 200.0;
                        let point = std::array::from_fn(|axis| start[axis] * (1.0 - share) + end[axis] * share);
                        prop_assert!(shape.distance_mm(point) >= margin, "{shape:?} {point:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_random_rotation_is_orthonormal() {
        let axes = random_rotation(&mut rng_for(3, 0, "rotation"), 3.0);
        for (r, row) in axes.iter().enumerate() {
            for (c, other) in axes.iter().enumerate() {
                assert_abs_diff_eq!(dot(*row, *other), if r == c { 1.0 } else { 0.0 }, epsilon = 1e-12);
            }
        }
    }
}
