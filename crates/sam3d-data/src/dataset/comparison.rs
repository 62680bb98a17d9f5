//! How volumes become the input of the comparison networks.

use super::Dataset;
use sam3d_geom::{GeomError, Intensity, Interpolation, Preprocessing, Spacing};

/// Spacing `[D, H, W]` in mm of all datasets but KiTS.
const SPACING_MM: [f64; 3] = [2.5, 1.5, 1.5];
/// Spacing of KiTS.
const KIDNEY_SPACING_MM: [f64; 3] = [2.0, 1.5, 1.5];

/// The published preprocessing: the dataset's clip range scaled linearly to [0, 1], at a spacing of 2.5 x 1.5 x 1.5 mm (2 x
/// 1.5 x 1.5 mm for KiTS). Where a volume's largest spacing is more than three times its smallest, its slices are resampled
/// one by one ([`Interpolation::SlicesApart`]).
///
/// # Errors
/// [`GeomError`] if the dataset's own preprocessing is not valid.
pub fn comparison_preprocessing(dataset: &Dataset) -> Result<Preprocessing, GeomError> {
    let [lower, upper] = dataset.preprocessing.intensity.clip_hu();
    let spacing_mm = if dataset.name == "kits21" { KIDNEY_SPACING_MM } else { SPACING_MM };
    Ok(Preprocessing {
        spacing_mm: Spacing::new(spacing_mm)?,
        intensity: Intensity::new([lower, upper], lower, upper - lower)?,
        interpolation: Interpolation::SlicesApart,
        ..dataset.preprocessing
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_range_becomes_zero_to_one() {
        for (name, depth_mm) in [("kits21", 2.0), ("lits17", 2.5), ("demo", 2.5)] {
            let dataset = Dataset::named(name).unwrap();
            let found = comparison_preprocessing(&dataset).unwrap();
            assert_eq!(found.spacing_mm.mm(), [depth_mm, 1.5, 1.5]);
            let [lower, upper] = found.intensity.clip_hu();
            assert_eq!([lower, upper], dataset.preprocessing.intensity.clip_hu());
            let scaled = |hu: f64| (hu - found.intensity.mean()) / found.intensity.std();
            assert_eq!([scaled(lower), scaled(upper)], [0.0, 1.0]);
            assert_eq!(found.orientation, dataset.preprocessing.orientation);
            assert_eq!(found.interpolation, Interpolation::SlicesApart);
            assert_eq!(dataset.preprocessing.interpolation, Interpolation::Trilinear);
        }
    }
}
