use serde::{Deserialize, Serialize};

use sam3d_io::IoError;

/// Why an augmentation cannot be done as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A field has a value outside its range.
    #[error("augmentation: {field} is {found}, expected {expected}")]
    FieldInvalid {
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A volume without voxels, or a crop of none.
    #[error("augmentation: cannot take a crop of {sides:?} voxels from a volume of {extent:?}")]
    Empty {
        /// Shape of the volume, `[D, H, W]`.
        extent: [usize; 3],
        /// Shape of the crop, `[D, H, W]`.
        sides: [usize; 3],
    },
    /// The case's voxels cannot be read.
    #[error(transparent)]
    Voxels(#[from] IoError),
}

/// How training volumes are varied. Each probability is that of its step being done at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// All intensities are shifted by the same amount, uniform between minus and plus this, in HU.
    pub shift_hu: f64,
    /// Probability of the shift.
    pub shift_probability: f64,
    /// Rotation and zoom.
    pub resampling: Resampling,
    /// Side of the first crop over that of the second, which is taken from it at random.
    pub first_crop_factor: f64,
    /// Probability that the first crop is centred on a target voxel rather than on another one.
    pub target_probability: f64,
    /// Probability, for each axis, of being mirrored.
    pub flip_probability: f64,
    /// Probability of one to three quarter turns in the (D, H) plane.
    pub quarter_turn_probability: f64,
}

/// Rotation and zoom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Resampling {
    /// Neither.
    None,
    /// One zoom factor for all axes.
    Zoom {
        /// Smallest and largest factor.
        factors: [f64; 2],
        /// Probability.
        probability: f64,
    },
    /// Rotation about D, then zoom along H and W by a factor each: for volumes of thick slices.
    InPlane {
        /// Largest angle in either direction, degrees.
        degrees: f64,
        /// Probability of the rotation.
        rotation_probability: f64,
        /// Smallest and largest zoom factor.
        factors: [f64; 2],
        /// Probability of the zoom.
        zoom_probability: f64,
    },
}

impl AugmentConfig {
    /// The published augmentation; `in_plane` for datasets of thick slices
    /// ([`Dataset::in_plane_augmentation`](crate::dataset::Dataset::in_plane_augmentation)).
    pub fn published(in_plane: bool) -> Self {
        let resampling = if in_plane {
            Resampling::InPlane {
                degrees: 30.0,
                rotation_probability: 0.3,
                factors: [0.9, 1.1],
                zoom_probability: 0.3,
            }
        } else {
            Resampling::Zoom { factors: [0.85, 1.25], probability: 0.8 }
        };
        Self {
            shift_hu: 20.0,
            shift_probability: 0.5,
            resampling,
            first_crop_factor: 1.2,
            target_probability: 2.0 / 3.0,
            flip_probability: 0.5,
            quarter_turn_probability: 0.5,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::FieldInvalid`] with the first field that is out of range.
    pub fn validate(&self) -> Result<(), AugmentError> {
        check("shift_hu", self.shift_hu, 0.0..=10_000.0, "0 to 10000")?;
        check("first_crop_factor", self.first_crop_factor, 1.0..=4.0, "1 to 4")?;
        probability("shift_probability", self.shift_probability)?;
        probability("target_probability", self.target_probability)?;
        probability("flip_probability", self.flip_probability)?;
        probability("quarter_turn_probability", self.quarter_turn_probability)?;
        match &self.resampling {
            Resampling::None => Ok(()),
            Resampling::Zoom { factors, probability: share } => {
                probability("resampling.zoom.probability", *share)?;
                zoom_factors("resampling.zoom.factors", *factors)
            }
            Resampling::InPlane { degrees, rotation_probability, factors, zoom_probability } => {
                check("resampling.in-plane.degrees", *degrees, 0.0..=180.0, "0 to 180")?;
                probability("resampling.in-plane.rotation_probability", *rotation_probability)?;
                probability("resampling.in-plane.zoom_probability", *zoom_probability)?;
                zoom_factors("resampling.in-plane.factors", *factors)
            }
        }
    }
}

/// How training crops of the comparison networks are varied. Each probability is that of its step being done at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparisonAugment {
    /// Rotate about D only, and zoom H and W by a factor each: for volumes of thick slices. Else all three axes are
    /// rotated about, and one factor zooms all.
    pub in_plane: bool,
    /// Largest angle in either direction, degrees.
    pub degrees: f64,
    /// Probability of the rotation.
    pub rotation_probability: f64,
    /// Smallest and largest zoom factor.
    pub zoom: [f64; 2],
    /// Probability of the zoom.
    pub zoom_probability: f64,
    /// Side of the first crop over that of the second, which is taken from it at random.
    pub first_crop_factor: f64,
    /// Probability, for each axis, of being mirrored.
    pub flip_probability: f64,
    /// Probability of one to three quarter turns in the (H, W) plane.
    pub quarter_turn_probability: f64,
    /// All intensities are shifted by the same amount, uniform between minus and plus this.
    pub shift: f64,
    /// Probability of the shift.
    pub shift_probability: f64,
}

impl ComparisonAugment {
    /// The published augmentation; `in_plane` as
    /// [`Dataset::in_plane_augmentation`](crate::dataset::Dataset::in_plane_augmentation).
    pub fn published(in_plane: bool) -> Self {
        Self {
            in_plane,
            degrees: 30.0,
            rotation_probability: 0.3,
            zoom: [0.9, 1.1],
            zoom_probability: 0.3,
            first_crop_factor: 1.1,
            flip_probability: 0.1,
            quarter_turn_probability: 0.1,
            shift: 0.1,
            shift_probability: 0.5,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::FieldInvalid`] with the first field that is out of range.
    pub fn validate(&self) -> Result<(), AugmentError> {
        check("degrees", self.degrees, 0.0..=180.0, "0 to 180")?;
        check("zoom", self.zoom[0], 0.1..=self.zoom[1], "at least 0.1, and the smaller first")?;
        check("zoom", self.zoom[1], 0.1..=10.0, "at most 10")?;
        check("first_crop_factor", self.first_crop_factor, 1.0..=4.0, "1 to 4")?;
        check("shift", self.shift, 0.0..=1.0, "0 to 1")?;
        probability("rotation_probability", self.rotation_probability)?;
        probability("zoom_probability", self.zoom_probability)?;
        probability("flip_probability", self.flip_probability)?;
        probability("quarter_turn_probability", self.quarter_turn_probability)?;
        probability("shift_probability", self.shift_probability)
    }
}

fn probability(field: &'static str, value: f64) -> Result<(), AugmentError> {
    check(field, value, 0.0..=1.0, "0 to 1")
}

fn zoom_factors(field: &'static str, [low, high]: [f64; 2]) -> Result<(), AugmentError> {
    if (0.1..=10.0).contains(&low) && (low..=10.0).contains(&high) {
        return Ok(());
    }
    let found = format!("[{low}, {high}]");
    Err(AugmentError::FieldInvalid {
        field,
        expected: "a lower and a higher factor between 0.1 and 10",
        found,
    })
}

fn check(
    field: &'static str,
    value: f64,
    range: std::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), AugmentError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(AugmentError::FieldInvalid { field, expected, found: value.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_serde() {
        for config in [
            AugmentConfig::published(false),
            AugmentConfig::published(true),
            AugmentConfig { resampling: Resampling::None, ..AugmentConfig::published(false) },
        ] {
            config.validate().unwrap();
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<AugmentConfig>(&text).unwrap(), config, "{text}");
            let renamed = text.replace("flip_probability", "flips");
            assert!(toml::from_str::<AugmentConfig>(&renamed).is_err());
        }
    }

    #[test]
    fn validation_names_the_field() {
        let bad = AugmentConfig { flip_probability: 1.5, ..AugmentConfig::published(false) };
        assert!(bad.validate().unwrap_err().to_string().contains("flip_probability is 1.5"));
        let resampling = Resampling::Zoom { factors: [1.2, 0.8], probability: 0.5 };
        let bad = AugmentConfig { resampling, ..AugmentConfig::published(false) };
        assert!(bad.validate().unwrap_err().to_string().contains("resampling.zoom.factors is [1.2, 0.8]"));
        let bad = AugmentConfig { shift_hu: f64::NAN, ..AugmentConfig::published(false) };
        assert!(bad.validate().is_err());
    }
}
