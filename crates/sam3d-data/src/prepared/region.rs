use std::{array::from_fn, ops::Range};

use serde::{Deserialize, Serialize};

/// A box of voxels inside a volume, `[D, H, W]`: unlike a crop it lies inside the volume, and it may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First voxel.
    pub start: [usize; 3],
    /// Number of voxels along each axis.
    pub sizes: [usize; 3],
}

impl Region {
    /// All of a volume of `sizes` voxels.
    pub fn whole(sizes: [usize; 3]) -> Self {
        Self { start: [0; 3], sizes }
    }

    /// From `start` up to, and without, `end`; an axis that ends before it starts has no voxel.
    pub fn between(start: [usize; 3], end: [usize; 3]) -> Self {
        Self { start, sizes: from_fn(|axis| end[axis].saturating_sub(start[axis])) }
    }

    /// One past the last voxel.
    pub fn end(self) -> [usize; 3] {
        from_fn(|axis| self.start[axis] + self.sizes[axis])
    }

    /// The indices along `axis`.
    pub fn range(self, axis: usize) -> Range<usize> {
        self.start[axis]..self.end()[axis]
    }

    /// Number of voxels.
    pub fn voxels(self) -> usize {
        self.sizes.iter().product()
    }

    /// Whether there is no voxel.
    pub fn is_empty(self) -> bool {
        self.sizes.contains(&0)
    }

    /// The voxels that are in both.
    pub fn intersection(self, other: Self) -> Self {
        let start = from_fn(|axis| self.start[axis].max(other.start[axis]));
        Self::between(start, from_fn(|axis| self.end()[axis].min(other.end()[axis])))
    }

    /// The same voxels, counted from `origin`, which no axis starts before.
    pub fn relative_to(self, origin: [usize; 3]) -> Self {
        Self { start: from_fn(|axis| self.start[axis] - origin[axis]), ..self }
    }

    /// The same voxels, where `origin` is voxel 0 of the volume they are counted in.
    pub fn offset_by(self, origin: [usize; 3]) -> Self {
        Self { start: from_fn(|axis| self.start[axis] + origin[axis]), ..self }
    }
}
