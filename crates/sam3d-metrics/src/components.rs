//! Connected components of a mask.
//!
//! Memory and time grow with the number of runs of voxels along W, not with the number of voxels.

use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};

use crate::runs::Runs;

/// Which voxels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connectivity {
    /// Six neighbours: voxels that share a face.
    Faces,
    /// Eighteen neighbours: voxels that share a face or an edge.
    Edges,
    /// Twenty-six neighbours: voxels that share a face, an edge or a corner.
    #[default]
    Corners,
}

impl Connectivity {
    /// How many of the other two axes two touching runs may differ in, and how far a run reaches beyond its ends to touch
    /// one that is off by one in `axes` of them.
    pub(crate) fn reach(self, axes: usize) -> Option<usize> {
        let steps = match self {
            Self::Faces => 1usize,
            Self::Edges => 2,
            Self::Corners => 3,
        };
        steps.checked_sub(axes).map(|left| left.min(1))
    }
}

/// One connected part of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Number of voxels.
    pub voxels: u64,
    /// First voxel of the box around it, `[D, H, W]`.
    pub start: [usize; 3],
    /// One past the last voxel of the box around it, `[D, H, W]`.
    pub end: [usize; 3],
}

/// The connected components of `mask`, `[D, H, W]`, every value but 0 belonging to it; in the order of their first voxels.
pub fn components(mask: ArrayView3<u8>, connectivity: Connectivity) -> Vec<Component> {
    let mut components: Vec<Component> = Vec::new();
    for (run, component) in Runs::of_mask(mask, connectivity).with_components() {
        let of_run = Component { voxels: run.voxels(), start: run.first(), end: run.end() };
        match components.get_mut(component) {
            Some(component) => component.add(of_run),
            None => components.push(of_run),
        }
    }
    components
}

impl Component {
    fn add(&mut self, other: Self) {
        self.voxels += other.voxels;
        self.start = std::array::from_fn(|axis| self.start[axis].min(other.start[axis]));
        self.end = std::array::from_fn(|axis| self.end[axis].max(other.end[axis]));
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    fn mask(voxels: &[[usize; 3]]) -> Array3<u8> {
        let mut mask = Array3::zeros([4, 4, 5]);
        voxels.iter().for_each(|voxel| mask[*voxel] = 1);
        mask
    }

    #[test]
    fn voxels_that_share_a_face_an_edge_or_a_corner() {
        let pairs =
            [([1, 1, 1], [1, 1, 2]), ([1, 1, 1], [1, 2, 1]), ([1, 1, 1], [2, 2, 1]), ([1, 2, 2], [2, 1, 3])];
        let counts = pairs.map(|(a, b)| {
            [Connectivity::Faces, Connectivity::Edges, Connectivity::Corners]
                .map(|connectivity| components(mask(&[a, b]).view(), connectivity).len())
        });
        assert_eq!(counts, [[1, 1, 1], [1, 1, 1], [2, 1, 1], [2, 2, 1]]);
    }

    #[test]
    fn arms_that_meet_late_are_one_component() {
        // A U whose arms are joined by its last row alone.
        let u = mask(&[
            [0, 0, 0],
            [0, 0, 4],
            [0, 1, 0],
            [0, 1, 4],
            [0, 2, 0],
            [0, 2, 1],
            [0, 2, 2],
            [0, 2, 3],
            [0, 2, 4],
        ]);
        let found = components(u.view(), Connectivity::Faces);
        assert_eq!(found, [Component { voxels: 9, start: [0; 3], end: [1, 3, 5] }]);
    }
}
