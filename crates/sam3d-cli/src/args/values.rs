use std::str::FromStr;

use anyhow::{Context, bail};
use clap::{
    ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use sam3d_baselines::{Method, Size};
use sam3d_geom::PointLabel;
use sam3d_infer::TestTimeAugmentation;
use sam3d_io::Grid;
use sam3d_metrics::{ClickRule, Tolerance};
use sam3d_model::{Precision, Preset};

/// A click of the command line: `I,J,K`, `I,J,K,+` or `I,J,K,-`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointArg {
    /// Three numbers: a voxel index `i, j, k` or millimetres `x, y, z`, as `--space` says.
    pub coordinates: [f64; 3],
    /// Whether the click is inside the target.
    pub label: PointLabel,
}

/// Coordinate system of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Space {
    /// Voxel index of the file as stored, from 0, i fastest
    Voxel,
    /// Millimetres, x to the right, y to anterior, z to superior (NIfTI)
    Ras,
    /// Millimetres, x to the left, y to posterior, z to superior (DICOM)
    Lps,
}

impl Space {
    /// The voxel `[i, j, k]` of `grid` at `coordinates`, which were given with `option`.
    ///
    /// # Errors
    /// If they are outside the volume, or a voxel index is not a whole number.
    pub fn voxel_ijk(self, option: &str, coordinates: [f64; 3], grid: &Grid) -> anyhow::Result<[usize; 3]> {
        let [a, b, c] = coordinates;
        let voxel = match self {
            Self::Ras => grid.voxel_from_ras_mm(coordinates),
            Self::Lps => grid.voxel_from_lps_mm(coordinates),
            Self::Voxel if coordinates.iter().any(|value| value.fract() != 0.0) => {
                bail!(
                    "{option} {a},{b},{c}: voxel indices are whole numbers; for millimetres add --space ras or lps"
                );
            }
            // Saturates beyond every index, which is then outside.
            Self::Voxel => grid.voxel(coordinates.map(|value| value as i64)),
        };
        voxel.with_context(|| format!("{option} {a},{b},{c}"))
    }
}

impl FromStr for PointArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (text, label) = split_label(text);
        let coordinates = coordinates(text).ok_or("expected I,J,K or I,J,K,+ or I,J,K,-")?;
        Ok(Self { coordinates, label: label.unwrap_or_default() })
    }
}

/// Three finite numbers with commas between them.
pub(super) fn coordinates(text: &str) -> Option<[f64; 3]> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let coordinates: [f64; 3] = numbers?.try_into().ok()?;
    coordinates.iter().all(|value| value.is_finite()).then_some(coordinates)
}

/// What stands before `,+` (inside the target) or `,-` (outside) at the end, and which of them it is.
pub(super) fn split_label(text: &str) -> (&str, Option<PointLabel>) {
    match text.rsplit_once(',').map(|(before, end)| (before, end.trim())) {
        Some((before, "+")) => (before, Some(PointLabel::Positive)),
        Some((before, "-")) => (before, Some(PointLabel::Negative)),
        _ => (text, None),
    }
}

/// A tolerance in mm.
pub(super) fn tolerance(text: &str) -> Result<Tolerance, String> {
    let mm: f64 = text.trim().parse().map_err(|_| "expected a number of millimetres".to_owned())?;
    Tolerance::new(mm).map_err(|error| error.to_string())
}

/// A probability between 0 and 1, exclusive.
pub(super) fn probability(text: &str) -> Result<f64, String> {
    let expected = || "expected a number between 0 and 1".to_owned();
    let value: f64 = text.parse().map_err(|_| expected())?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err(expected()) }
}

/// The name of a model preset.
pub(super) fn preset() -> impl TypedValueParser<Value = Preset> {
    PossibleValuesParser::new(Preset::ALL.map(Preset::name)).try_map(|name| {
        Preset::ALL.into_iter().find(|preset| preset.name() == name).ok_or("no preset of this name")
    })
}

/// The name of a comparison network.
pub(super) fn comparison() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::ALL.map(Method::name))
        .try_map(|name| Method::named(&name).ok_or("no network of this name"))
}

/// The name of a comparison network's size.
pub(super) fn size() -> impl TypedValueParser<Value = Size> {
    PossibleValuesParser::new(Size::ALL.map(Size::name))
        .try_map(|name| Size::ALL.into_iter().find(|size| size.name() == name).ok_or("no size of this name"))
}

/// The name of a rule for corrective clicks.
pub(super) fn click_rule() -> impl TypedValueParser<Value = ClickRule> {
    PossibleValuesParser::new(ClickRule::ALL.map(ClickRule::name)).try_map(|name| name.parse::<ClickRule>())
}

/// The name of a test-time augmentation.
pub(super) fn augmentation() -> impl TypedValueParser<Value = TestTimeAugmentation> {
    PossibleValuesParser::new(TestTimeAugmentation::ALL.map(TestTimeAugmentation::name)).try_map(|name| {
        let named = TestTimeAugmentation::ALL.into_iter().find(|augmentation| augmentation.name() == name);
        named.ok_or("no augmentation of this name")
    })
}

/// The name of a precision.
pub(super) fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(|name| {
        Precision::ALL
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or("no precision of this name")
    })
}

#[cfg(test)]
mod tests {
    use sam3d_geom::Affine;

    use super::*;

    fn point(text: &str) -> PointArg {
        text.parse().unwrap()
    }

    #[test]
    fn points_and_their_labels() {
        assert_eq!(point("1,2,3"), PointArg { coordinates: [1.0, 2.0, 3.0], label: PointLabel::Positive });
        assert_eq!(point("1,2,3,+"), point("1, 2, 3"));
        assert_eq!(
            point("-1.5,2,3e1,-"),
            PointArg { coordinates: [-1.5, 2.0, 30.0], label: PointLabel::Negative }
        );
        for bad in ["", "1,2", "1,2,3,4", "1,2,3,+,-", "1,2,x", "1,2,nan", "1,2,inf", "1 2 3", "1,2,3,"] {
            assert!(bad.parse::<PointArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn points_become_voxels() {
        let affine =
            Affine::new([[-2.0, 0.0, 0.0, 10.0], [0.0, -2.0, 0.0, 20.0], [0.0, 0.0, 3.0, -30.0]]).unwrap();
        let grid = Grid::from_affine([5, 6, 7], affine).unwrap();
        let voxel = |text: &str, space: Space| space.voxel_ijk("--box", point(text).coordinates, &grid);
        assert_eq!(voxel("4,5,6", Space::Voxel).unwrap(), [4, 5, 6]);
        assert_eq!(voxel("6.9,20.9,-27.1", Space::Ras).unwrap(), [2, 0, 1]);
        assert_eq!(voxel("-6.9,-20.9,-27.1", Space::Lps).unwrap(), [2, 0, 1]);
        let error = |text: &str, space| format!("{:#}", voxel(text, space).unwrap_err());
        assert!(error("1,2.5,3", Space::Voxel).starts_with("--box 1,2.5,3: "));
        assert!(error("1.5,2,3", Space::Voxel).contains("whole numbers"));
        assert!(error("5,0,0", Space::Voxel).contains("i runs from 0 to 4"));
        assert!(error("-1,0,1e300", Space::Voxel).contains("outside"));
        assert!(error("900,0,0", Space::Ras).contains("RAS"));
    }

    #[test]
    fn numbers_with_bounds() {
        assert_eq!(tolerance("2.5").map(Tolerance::mm), Ok(2.5));
        assert!(tolerance("-1").is_err() && tolerance("five").is_err() && tolerance("nan").is_err());
        assert_eq!(probability("0.5"), Ok(0.5));
        assert!(probability("0").is_err() && probability("1").is_err() && probability("nan").is_err());
    }
}
