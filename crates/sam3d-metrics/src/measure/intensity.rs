use ndarray::{ArrayView3, Zip};
use serde::{Deserialize, Serialize};

use crate::MetricsError;

/// The values of an image inside a mask, in the image's unit (Hounsfield units for a CT).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntensityStatistics {
    /// Mean.
    pub mean: f64,
    /// Median; the mean of the two middle values of an even number of voxels.
    pub median: f64,
    /// Standard deviation of these voxels (divided by their number, as the Image Biomarker Standardisation Initiative does).
    pub std: f64,
    /// Smallest value.
    pub minimum: f64,
    /// Largest value.
    pub maximum: f64,
}

impl IntensityStatistics {
    /// Of the voxels of `image` where `mask` is not 0; `None` if there are none.
    ///
    /// # Errors
    /// [`MetricsError::ImageShapeDiffers`] if the two do not have the same shape.
    pub fn of<T: Copy + Into<f32>>(
        image: ArrayView3<T>,
        mask: ArrayView3<u8>,
    ) -> Result<Option<Self>, MetricsError> {
        if image.dim() != mask.dim() {
            let (image, mask) = (image.dim().into(), mask.dim().into());
            return Err(MetricsError::ImageShapeDiffers { image, mask });
        }
        let mut values = Vec::new();
        Zip::from(image).and(mask).for_each(|value, inside| {
            if *inside != 0 {
                values.push((*value).into());
            }
        });
        Ok(Self::of_values(values))
    }

    fn of_values(mut values: Vec<f32>) -> Option<Self> {
        let count = values.len() as f64;
        let first = f64::from(*values.first()?);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum();
        let range = values.iter().map(|value| f64::from(*value));
        let [minimum, maximum] =
            range.fold([first; 2], |[low, high], value| [low.min(value), high.max(value)]);
        let half = values.len() / 2;
        let is_even = values.len().is_multiple_of(2);
        let (below, middle, _) = values.select_nth_unstable_by(half, f32::total_cmp);
        let upper = f64::from(*middle);
        let lower = below.iter().copied().max_by(f32::total_cmp).map_or(upper, f64::from);
        let median = if is_even { (lower + upper) / 2.0 } else { upper };
        Some(Self { mean, median, std: (squares / count).sqrt(), minimum, maximum })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn four_values_and_five() {
        let of = |values: &[f32]| IntensityStatistics::of_values(values.to_vec());
        let four = of(&[4.0, -2.0, 1.0, 9.0]).unwrap();
        assert_eq!((four.mean, four.median, four.minimum, four.maximum), (3.0, 2.5, -2.0, 9.0));
        assert_eq!(four.std, (66.0f64 / 4.0).sqrt());
        assert_eq!(of(&[4.0, -2.0, 1.0, 9.0, 100.0]).unwrap().median, 4.0);
        assert_eq!(of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn only_voxels_of_the_mask_count() {
        let image = Array3::from_shape_fn([2, 2, 2], |(d, h, w)| (4 * d + 2 * h + w) as i16);
        let mut mask = Array3::zeros([2, 2, 2]);
        (mask[[0, 0, 1]], mask[[1, 1, 1]]) = (1, 9);
        let found = IntensityStatistics::of(image.view(), mask.view()).unwrap().unwrap();
        assert_eq!((found.mean, found.minimum, found.maximum), (4.0, 1.0, 7.0));
        let other = Array3::zeros([2, 2, 3]);
        assert!(IntensityStatistics::of(image.view(), other.view()).is_err());
    }
}
