use std::fmt;

use serde::{Deserialize, Serialize};

use crate::MetricsError;

/// Distance in mm up to which two surfaces count as agreeing; finite and not negative. A distance equal to it agrees.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Tolerance(f64);

impl Tolerance {
    /// The tolerance of the published scores: 5 mm.
    pub const PUBLISHED: Self = Self(5.0);

    /// A tolerance of `mm` millimetres.
    ///
    /// # Errors
    /// [`MetricsError::ToleranceInvalid`] if `mm` is negative or not finite.
    pub fn new(mm: f64) -> Result<Self, MetricsError> {
        if mm.is_finite() && mm >= 0.0 {
            Ok(Self(mm))
        } else {
            Err(MetricsError::ToleranceInvalid { tolerance_mm: mm })
        }
    }

    /// The tolerance in mm.
    pub fn mm(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} mm", self.0)
    }
}

impl TryFrom<f64> for Tolerance {
    type Error = MetricsError;

    fn try_from(mm: f64) -> Result<Self, MetricsError> {
        Self::new(mm)
    }
}

impl From<Tolerance> for f64 {
    fn from(tolerance: Tolerance) -> Self {
        tolerance.0
    }
}

/// Which part of a surface, by area, a percentile distance covers: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percentile(f64);

impl Percentile {
    /// The 95th percentile: the usual robust Hausdorff distance.
    pub const P95: Self = Self(95.0);
    /// The whole surface: the Hausdorff distance proper.
    pub const MAX: Self = Self(100.0);

    /// The percentile `percent`.
    ///
    /// # Errors
    /// [`MetricsError::PercentileInvalid`] unless `percent` is between 0 and 100.
    pub fn new(percent: f64) -> Result<Self, MetricsError> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(MetricsError::PercentileInvalid { percent })
        }
    }

    /// The percentile, 0 to 100.
    pub fn percent(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Percentile {
    type Error = MetricsError;

    fn try_from(percent: f64) -> Result<Self, MetricsError> {
        Self::new(percent)
    }
}

impl From<Percentile> for f64 {
    fn from(percentile: Percentile) -> Self {
        percentile.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_is_not_a_distance_or_a_share() {
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Tolerance::new(bad).is_err(), "{bad}");
            assert!(Percentile::new(bad).is_err(), "{bad}");
        }
        assert!(Percentile::new(100.5).is_err());
        assert_eq!(Tolerance::new(0.0).unwrap().to_string(), "0 mm");
    }
}
