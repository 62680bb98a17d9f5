//! Measurements of one mask: volume, diameters, bounding box, components, and the intensities inside it.
//!
//! # Where a mask ends
//! A diameter runs between centres of outer faces of voxels; in a slice, between middles of outer edges. A row of n voxels is
//! n spacings long, and a disc is as wide as the disc it was drawn from, on average. These points are the vertices of the
//! surface mesh of the Image Biomarker Standardisation Initiative, so that [`MaskMeasurements::longest`] is its maximum 3D
//! diameter (L0JK).
//!
//! # Complexity
//! One pass over the voxels, in parallel over slices. A slice with r rows has at most 6 r candidate points, of which the
//! convex hull (Andrew's monotone chain, exact in integers) keeps O(r^(2/3)); pairs are compared among those alone. In 3D
//! pairs of slices are skipped if discs around their outlines cannot be farther apart than the best pair so far: for s slices
//! O(s^2) checks and, unless the mask has nearly the same width in every direction of every slice, few comparisons of
//! points; at worst O(s^2 r^(4/3)).

mod hull;
mod in_slice;
mod in_space;
mod intensity;

use ndarray::{ArrayView3, Axis};
use rayon::prelude::*;
use sam3d_geom::{Affine, BoundingBox};
use serde::{Deserialize, Serialize};

use self::{hull::Outline, in_slice::PlaneMetric};
use crate::{Connectivity, components};

pub use intensity::IntensityStatistics;

/// A straight line between two points on the border of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diameter {
    /// Its length in mm.
    pub length_mm: f64,
    /// Its ends in (fractional) voxels, `[D, H, W]`; integers are voxel centres.
    pub ends: [[f64; 3]; 2],
}

/// The longest diameter within one slice and the longest one perpendicular to it in the same slice: the two numbers of
/// RECIST and WHO.
///
/// As with callipers on a screen, a diameter may leave a mask that is not convex. The perpendicular is the longest chord of
/// the convex outline that meets the longest diameter's direction at a right angle, wherever it crosses it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxialDiameters {
    /// The slice, an index along D; of several with equally long diameters the first.
    pub slice: usize,
    /// The longest diameter in any slice.
    pub longest: Diameter,
    /// The longest one perpendicular to it in its slice.
    pub perpendicular: Diameter,
}

impl AxialDiameters {
    /// The diameters of `mask`, `[D, H, W]`, every value but 0 belonging to it, in the slices across D; `None` if it is empty.
    /// `world_from_voxel` maps `[D, H, W]` to millimetres: any spacing, oblique or sheared.
    pub fn of(mask: ArrayView3<u8>, world_from_voxel: &Affine) -> Option<Self> {
        Self::of_outlines(&outlines(mask), world_from_voxel)
    }

    /// The product of both in mm², by which WHO's criteria measure a lesion.
    pub fn product_mm2(&self) -> f64 {
        self.longest.length_mm * self.perpendicular.length_mm
    }

    fn of_outlines(outlines: &[Outline], world_from_voxel: &Affine) -> Option<Self> {
        let metric = PlaneMetric::new(world_from_voxel);
        let longest_of = |outline: &Outline| {
            let hull = outline.edge_hull();
            let pair = metric.farthest_pair(&hull)?;
            Some((outline.slice, hull, pair))
        };
        let candidates: Vec<_> = outlines.par_iter().filter_map(longest_of).collect();
        let best = candidates
            .into_iter()
            .reduce(|best, next| if next.2.squared_mm > best.2.squared_mm { next } else { best })?;
        let (slice, hull, pair) = best;
        let (longest, perpendicular) = metric.diameters(slice, &hull, pair);
        Some(Self { slice, longest, perpendicular })
    }
}

/// Size, place and shape of a mask that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskMeasurements {
    /// Number of voxels.
    pub voxels: u64,
    /// Volume in mm³.
    pub volume_mm3: f64,
    /// The smallest box of voxels around it, `[D, H, W]`.
    pub bounding_box: BoundingBox,
    /// Lengths of the box's edges in mm, `[D, H, W]`, from the outer faces of its voxels.
    pub bounding_box_mm: [f64; 3],
    /// The diameters in a slice across D.
    pub axial: AxialDiameters,
    /// The longest diameter in any direction.
    pub longest: Diameter,
    /// Number of components connected by faces, edges or corners.
    pub components: usize,
    /// Number of voxels of the largest component.
    pub largest_component_voxels: u64,
}

impl MaskMeasurements {
    /// Measures `mask`, `[D, H, W]`, every value but 0 belonging to it; `None` if it is empty. `world_from_voxel` maps
    /// `[D, H, W]` to millimetres: any spacing, oblique or sheared. D should be the axis across axial slices.
    pub fn of(mask: ArrayView3<u8>, world_from_voxel: &Affine) -> Option<Self> {
        let outlines = outlines(mask);
        let axial = AxialDiameters::of_outlines(&outlines, world_from_voxel)?;
        let longest = in_space::longest(&outlines, world_from_voxel)?;
        let voxels = outlines.iter().map(|outline| outline.voxels).sum();
        let corners = outlines.iter().flat_map(Outline::extremes);
        let bounding_box = BoundingBox::around(corners)?;
        let steps_mm = world_from_voxel.column_lengths_mm();
        let sizes = bounding_box.sizes();
        let parts = components(mask, Connectivity::Corners);
        Some(Self {
            voxels,
            volume_mm3: voxels as f64 * voxel_volume_mm3(world_from_voxel),
            bounding_box,
            bounding_box_mm: std::array::from_fn(|axis| sizes[axis] as f64 * steps_mm[axis]),
            axial,
            longest,
            components: parts.len(),
            largest_component_voxels: parts.iter().map(|part| part.voxels).max().unwrap_or(0),
        })
    }
}

/// The outlines of the slices across D that have voxels, in order.
fn outlines(mask: ArrayView3<u8>) -> Vec<Outline> {
    let slices = mask.axis_iter(Axis(0)).into_par_iter().enumerate();
    slices.filter_map(|(slice, rows)| Outline::of(slice, rows)).collect()
}

fn voxel_volume_mm3(world_from_voxel: &Affine) -> f64 {
    let [d, h, w] = columns(world_from_voxel);
    dot(d, cross(h, w)).abs()
}

/// The steps in mm from one voxel to the next along D, H and W.
fn columns(affine: &Affine) -> [[f64; 3]; 3] {
    let rows = affine.rows();
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross([a, b, c]: [f64; 3], [d, e, f]: [f64; 3]) -> [f64; 3] {
    [b * f - c * e, c * d - a * f, a * e - b * d]
}
