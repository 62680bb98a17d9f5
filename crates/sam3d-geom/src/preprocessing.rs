use serde::{Deserialize, Serialize};

use crate::{GeomError, Spacing};

/// How a CT's intensities become the network's input: clip to `clip_hu`, subtract `mean`, divide by `std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawIntensity", into = "RawIntensity")]
pub struct Intensity {
    clip_hu: [f64; 2],
    mean: f64,
    std: f64,
}

impl Intensity {
    /// Clip to `clip_hu` (lower, upper), then `(value - mean) / std`; all in Hounsfield units.
    ///
    /// # Errors
    /// [`GeomError::IntensityInvalid`] if a number is not finite, the range is empty or `std` is not positive.
    pub fn new(clip_hu: [f64; 2], mean: f64, std: f64) -> Result<Self, GeomError> {
        let finite = [clip_hu[0], clip_hu[1], mean, std].iter().all(|v| v.is_finite());
        if finite && clip_hu[0] < clip_hu[1] && std > 0.0 {
            Ok(Self { clip_hu, mean, std })
        } else {
            Err(GeomError::IntensityInvalid { clip_hu, mean, std })
        }
    }

    /// Lower and upper bound in HU.
    pub fn clip_hu(self) -> [f64; 2] {
        self.clip_hu
    }

    /// Mean over target voxels of the training cases, in HU.
    pub fn mean(self) -> f64 {
        self.mean
    }

    /// Standard deviation over target voxels of the training cases, in HU.
    pub fn std(self) -> f64 {
        self.std
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIntensity {
    clip_hu: [f64; 2],
    mean: f64,
    std: f64,
}

impl TryFrom<RawIntensity> for Intensity {
    type Error = GeomError;

    fn try_from(raw: RawIntensity) -> Result<Self, GeomError> {
        Self::new(raw.clip_hu, raw.mean, raw.std)
    }
}

impl From<Intensity> for RawIntensity {
    fn from(intensity: Intensity) -> Self {
        Self { clip_hu: intensity.clip_hu, mean: intensity.mean, std: intensity.std }
    }
}

/// How a file's axes become `[D, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Orientation {
    /// By the affine: W runs to the patient's left, H to posterior, D to superior.
    #[default]
    Lps,
    /// As stored, without flips: `D`, `H`, `W` are the stored axes with these numbers (0 = i, the fastest; 1 = j; 2 = k).
    /// `[2, 1, 0]` is the published preprocessing of most datasets.
    AsStored(StoredAxes),
}

/// A permutation of the stored axes i, j, k (0, 1, 2), for `[D, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[usize; 3]", into = "[usize; 3]")]
pub struct StoredAxes([usize; 3]);

impl StoredAxes {
    /// `axes[a]` is the stored axis that becomes axis `a` of `[D, H, W]`.
    ///
    /// # Errors
    /// [`GeomError::AxesNotAPermutation`] unless `axes` holds 0, 1 and 2 once each.
    pub fn new(axes: [usize; 3]) -> Result<Self, GeomError> {
        let mut sorted = axes;
        sorted.sort_unstable();
        if sorted == [0, 1, 2] { Ok(Self(axes)) } else { Err(GeomError::AxesNotAPermutation { axes }) }
    }

    /// The stored axis for D, for H and for W.
    pub fn axes(self) -> [usize; 3] {
        self.0
    }
}

impl TryFrom<[usize; 3]> for StoredAxes {
    type Error = GeomError;

    fn try_from(axes: [usize; 3]) -> Result<Self, GeomError> {
        Self::new(axes)
    }
}

impl From<StoredAxes> for [usize; 3] {
    fn from(axes: StoredAxes) -> Self {
        axes.0
    }
}

/// Everything that turns a file's voxels into the network's input; saved with every checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Clip range and normalisation.
    pub intensity: Intensity,
    /// Spacing the volume is resampled to, mm, `[D, H, W]`.
    pub spacing_mm: Spacing,
    /// Order and direction of the axes.
    #[serde(default)]
    pub orientation: Orientation,
    /// Interpolation between voxels.
    #[serde(default, skip_serializing_if = "Interpolation::is_trilinear")]
    pub interpolation: Interpolation,
}

/// Interpolation between voxels when a volume is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Trilinear.
    #[default]
    Trilinear,
    /// Trilinear, except where a volume's largest spacing is more than three times its smallest: there within slices
    /// (images bicubic, labels bilinear), and then the nearest slice along D. Published for the comparison networks.
    SlicesApart,
}

impl Interpolation {
    /// The ratio of spacings above which [`SlicesApart`](Self::SlicesApart) is not trilinear.
    pub const LARGEST_RATIO: f64 = 3.0;

    /// Whether a volume of `spacing` is resampled slice by slice.
    pub fn takes_slices_apart(self, spacing: Spacing) -> bool {
        self == Self::SlicesApart && spacing.anisotropy() > Self::LARGEST_RATIO
    }

    fn is_trilinear(&self) -> bool {
        *self == Self::Trilinear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_cannot_normalise() {
        assert!(Intensity::new([10.0, 10.0], 0.0, 1.0).is_err());
        assert!(Intensity::new([0.0, 1.0], 0.0, 0.0).is_err());
        assert!(Intensity::new([0.0, f64::NAN], 0.0, 1.0).is_err());
        assert!(StoredAxes::new([2, 2, 0]).is_err());
    }

    #[test]
    fn reads_what_it_writes() {
        let preprocessing = Preprocessing {
            intensity: Intensity::new([-57.0, 175.0], 65.175035, 32.651197).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::AsStored(StoredAxes::new([2, 1, 0]).unwrap()),
            interpolation: Interpolation::Trilinear,
        };
        let text = serde_json::to_string(&preprocessing).unwrap();
        assert!(text.contains(r#""orientation":{"as-stored":[2,1,0]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Preprocessing>(&text).unwrap(), preprocessing);
        assert!(serde_json::from_str::<Preprocessing>(&text.replace("\"mean\"", "\"average\"")).is_err());
    }
}
