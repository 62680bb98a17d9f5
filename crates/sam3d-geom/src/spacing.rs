use serde::{Deserialize, Serialize};

use crate::GeomError;

/// Distance between voxel centres in mm, `[D, H, W]`; positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "[f64; 3]", into = "[f64; 3]")]
pub struct Spacing([f64; 3]);

impl Spacing {
    /// 1 mm on every axis: distances in mm are distances in voxels.
    pub const UNIT: Self = Self([1.0; 3]);

    /// A spacing of `mm` millimetres, `[D, H, W]`.
    ///
    /// # Errors
    /// [`GeomError::SpacingNotPositive`] if a component is not a positive finite number.
    pub fn new(mm: [f64; 3]) -> Result<Self, GeomError> {
        if mm.iter().all(|v| v.is_finite() && *v > 0.0) {
            Ok(Self(mm))
        } else {
            Err(GeomError::SpacingNotPositive { spacing: mm })
        }
    }

    /// The components in mm, `[D, H, W]`.
    pub fn mm(self) -> [f64; 3] {
        self.0
    }

    /// Volume of one voxel in cubic millimetres.
    pub fn voxel_volume_mm3(self) -> f64 {
        self.0.iter().product()
    }

    /// Largest component over smallest; 1 for an isotropic grid.
    pub fn anisotropy(self) -> f64 {
        let [d, h, w] = self.0;
        d.max(h).max(w) / d.min(h).min(w)
    }
}

impl TryFrom<[f64; 3]> for Spacing {
    type Error = GeomError;

    fn try_from(mm: [f64; 3]) -> Result<Self, GeomError> {
        Self::new(mm)
    }
}

impl From<Spacing> for [f64; 3] {
    fn from(spacing: Spacing) -> Self {
        spacing.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_is_not_a_distance() {
        for bad in [[0.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, f64::NAN], [f64::INFINITY, 1.0, 1.0]] {
            assert!(Spacing::new(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<Spacing>("[1, 0, 1]").is_err());
    }

    #[test]
    fn volume_and_anisotropy() {
        let spacing = Spacing::new([4.0, 0.5, 1.0]).unwrap();
        assert_eq!(spacing.voxel_volume_mm3(), 2.0);
        assert_eq!(spacing.anisotropy(), 8.0);
    }
}
