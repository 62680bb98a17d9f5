use std::fmt;

use serde::{Deserialize, Serialize};

use crate::GeomError;

/// Size of a grid in voxels, `[D, H, W]`; at least one voxel on every axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "[usize; 3]", into = "[usize; 3]")]
pub struct Extent([usize; 3]);

impl Extent {
    /// A grid of `voxels` voxels, `[D, H, W]`.
    ///
    /// # Errors
    /// [`GeomError::ExtentInvalid`] if an axis has no voxel or the product does not fit an `isize`.
    pub fn new(voxels: [usize; 3]) -> Result<Self, GeomError> {
        let product = voxels.iter().try_fold(1usize, |acc, n| acc.checked_mul(*n));
        match product {
            Some(count) if count > 0 && isize::try_from(count).is_ok() => Ok(Self(voxels)),
            _ => Err(GeomError::ExtentInvalid { extent: voxels }),
        }
    }

    /// The sizes, `[D, H, W]`.
    pub fn sizes(self) -> [usize; 3] {
        self.0
    }

    /// Number of voxels.
    pub fn voxels(self) -> usize {
        self.0.iter().product()
    }

    /// Whether `index` (`[D, H, W]`) is a voxel of the grid.
    pub fn contains(self, index: [usize; 3]) -> bool {
        index.iter().zip(self.0).all(|(i, n)| *i < n)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [d, h, w] = self.0;
        write!(f, "{d} x {h} x {w}")
    }
}

impl TryFrom<[usize; 3]> for Extent {
    type Error = GeomError;

    fn try_from(voxels: [usize; 3]) -> Result<Self, GeomError> {
        Self::new(voxels)
    }
}

impl From<Extent> for [usize; 3] {
    fn from(extent: Extent) -> Self {
        extent.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_empty_and_overflowing_grids() {
        assert!(Extent::new([0, 1, 1]).is_err());
        assert!(Extent::new([usize::MAX, 2, 1]).is_err());
    }

    #[test]
    fn counts_and_contains() {
        let extent = Extent::new([2, 3, 4]).unwrap();
        assert_eq!(extent.voxels(), 24);
        assert!(extent.contains([1, 2, 3]));
        assert!(!extent.contains([2, 0, 0]));
        assert_eq!(extent.to_string(), "2 x 3 x 4");
    }
}
