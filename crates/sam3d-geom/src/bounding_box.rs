use serde::{Deserialize, Serialize};

use crate::{Extent, GeomError};

/// A box of voxels, `[D, H, W]`, half open: `start` is its first voxel and `end` one past its last.
///
/// Coordinates may be negative or beyond a grid: a crop may stick out of the volume it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundingBox {
    start: [i64; 3],
    end: [i64; 3],
}

impl BoundingBox {
    /// The box from `start` up to, and without, `end`.
    ///
    /// # Errors
    /// [`GeomError::BoxEmpty`] if an axis has no voxel.
    pub fn new(start: [i64; 3], end: [i64; 3]) -> Result<Self, GeomError> {
        if start.iter().zip(&end).all(|(s, e)| s < e) {
            Ok(Self { start, end })
        } else {
            Err(GeomError::BoxEmpty { start, end })
        }
    }

    /// The smallest box that holds every one of `indices` (`[D, H, W]`); `None` if there are none.
    pub fn around(indices: impl IntoIterator<Item = [usize; 3]>) -> Option<Self> {
        let mut indices = indices.into_iter().map(|index| index.map(|i| i as i64));
        let first = indices.next()?;
        let (start, last) = indices.fold((first, first), |(low, high), index| {
            (std::array::from_fn(|a| low[a].min(index[a])), std::array::from_fn(|a| high[a].max(index[a])))
        });
        Some(Self { start, end: last.map(|i| i + 1) })
    }

    /// First voxel, `[D, H, W]`.
    pub fn start(self) -> [i64; 3] {
        self.start
    }

    /// One past the last voxel, `[D, H, W]`.
    pub fn end(self) -> [i64; 3] {
        self.end
    }

    /// Number of voxels along each axis, `[D, H, W]`.
    pub fn sizes(self) -> [usize; 3] {
        std::array::from_fn(|axis| (self.end[axis] - self.start[axis]) as usize)
    }

    /// The voxel halfway between the first and the last, rounded down: `(max + min) / 2` of the published protocol.
    pub fn midpoint(self) -> [i64; 3] {
        std::array::from_fn(|axis| (self.start[axis] + self.end[axis] - 1).div_euclid(2))
    }

    /// The part of the box inside a grid of `extent`; `None` if they do not meet.
    pub fn clip(self, extent: Extent) -> Option<Self> {
        let sizes = extent.sizes();
        let start = self.start.map(|s| s.max(0));
        let end = std::array::from_fn(|axis| self.end[axis].min(sizes[axis] as i64));
        Self::new(start, end).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn around_points_and_midpoint() {
        let bounds = BoundingBox::around([[3, 5, 7], [4, 2, 7]]).unwrap();
        assert_eq!((bounds.start(), bounds.end()), ([3, 2, 7], [5, 6, 8]));
        assert_eq!(bounds.midpoint(), [3, 3, 7]);
        assert!(BoundingBox::around([]).is_none());
    }

    #[test]
    fn clip_to_a_grid() {
        let extent = Extent::new([4, 4, 4]).unwrap();
        let bounds = BoundingBox::new([-2, 1, 3], [2, 3, 9]).unwrap();
        assert_eq!(bounds.clip(extent).unwrap(), BoundingBox::new([0, 1, 3], [2, 3, 4]).unwrap());
        assert_eq!(BoundingBox::new([4, 0, 0], [5, 1, 1]).unwrap().clip(extent), None);
    }
}
