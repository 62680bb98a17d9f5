use ndarray::ArrayView3;
use sam3d_geom::Spacing;
use serde::{Deserialize, Serialize};

use crate::{MetricsError, error::check_same_shape, survey::survey};

/// How many voxels each of two masks has, and how many they share: all that Dice, IoU and volume error need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlap {
    /// Voxels of the truth.
    pub truth_voxels: u64,
    /// Voxels of the prediction.
    pub prediction_voxels: u64,
    /// Voxels of both.
    pub shared_voxels: u64,
}

impl Overlap {
    /// Counts the voxels of two masks, `[D, H, W]`; every value but 0 belongs to a mask.
    ///
    /// # Errors
    /// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape.
    pub fn between(truth: ArrayView3<u8>, prediction: ArrayView3<u8>) -> Result<Self, MetricsError> {
        check_same_shape(truth, prediction)?;
        let surveys = survey(truth, prediction, |value| u32::from(value != 0));
        Ok(surveys.first().map_or(Self::default(), |survey| survey.overlap))
    }

    /// Twice the shared voxels over the voxels of both masks; `None` if both masks are empty.
    pub fn dice(self) -> Option<f64> {
        ratio(2 * self.shared_voxels, self.truth_voxels + self.prediction_voxels)
    }

    /// The shared voxels over the voxels of either mask (Jaccard index); `None` if both masks are empty.
    pub fn iou(self) -> Option<f64> {
        ratio(
            self.shared_voxels,
            (self.truth_voxels + self.prediction_voxels).saturating_sub(self.shared_voxels),
        )
    }

    /// Volume of the prediction minus volume of the truth, in mm³: positive if the prediction is too large.
    pub fn volume_error_mm3(self, spacing: Spacing) -> f64 {
        (self.prediction_voxels as f64 - self.truth_voxels as f64) * spacing.voxel_volume_mm3()
    }

    /// The volume error as a share of the truth's volume; `None` if the truth is empty.
    pub fn relative_volume_error(self) -> Option<f64> {
        ratio(self.prediction_voxels, self.truth_voxels).map(|share| share - 1.0)
    }

    pub(crate) fn sum(self, other: Self) -> Self {
        Self {
            truth_voxels: self.truth_voxels + other.truth_voxels,
            prediction_voxels: self.prediction_voxels + other.prediction_voxels,
            shared_voxels: self.shared_voxels + other.shared_voxels,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, arr3};

    use super::*;

    #[test]
    fn two_of_three_voxels_shared() {
        let truth = arr3(&[[[1, 1], [1, 0]], [[0, 0], [0, 0]]]);
        let prediction = arr3(&[[[1, 9], [0, 0]], [[0, 0], [0, 0]]]);
        let overlap = Overlap::between(truth.view(), prediction.view()).unwrap();
        assert_eq!(overlap.dice(), Some(0.8));
        assert_eq!(overlap.iou(), Some(2.0 / 3.0));
        assert_eq!(overlap.volume_error_mm3(Spacing::new([2.0, 1.0, 0.5]).unwrap()), -1.0);
        assert_eq!(overlap.relative_volume_error(), Some(2.0 / 3.0 - 1.0));
    }

    #[test]
    fn empty_masks_have_no_dice() {
        let (empty, one) = (Array3::zeros([2, 2, 2]), Array3::ones([2, 2, 2]));
        let both = Overlap::between(empty.view(), empty.view()).unwrap();
        assert_eq!((both.dice(), both.iou(), both.relative_volume_error()), (None, None, None));
        let missed = Overlap::between(one.view(), empty.view()).unwrap();
        assert_eq!((missed.dice(), missed.relative_volume_error()), (Some(0.0), Some(-1.0)));
    }

    #[test]
    fn masks_of_two_grids_are_an_error() {
        let (a, b) = (Array3::zeros([2, 2, 2]), Array3::zeros([2, 2, 3]));
        assert_eq!(
            Overlap::between(a.view(), b.view()),
            Err(MetricsError::ShapesDiffer { truth: [2, 2, 2], prediction: [2, 2, 3] })
        );
    }
}
