use ndarray::ArrayView3;
use sam3d_geom::Spacing;

use crate::{
    MetricsError, Overlap, SurfaceDistances,
    bits::BitMask,
    error::check_same_shape,
    survey::{Survey, survey},
};

/// Everything this crate measures of two masks.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Voxels of each and of both: Dice, IoU, volumes.
    pub overlap: Overlap,
    /// Distances between the surfaces.
    pub distances: SurfaceDistances,
}

/// The comparison of one label of two label volumes.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelComparison<T> {
    /// The label.
    pub label: T,
    /// Its voxels in the truth against its voxels in the prediction.
    pub comparison: Comparison,
}

impl Comparison {
    /// Compares two masks, `[D, H, W]`, on a grid of `spacing`; every value but 0 belongs to a mask.
    ///
    /// Every voxel is read once, and surfaces are computed inside the box around both masks, so a small target in a large
    /// volume is fast. Memory beside the masks: less than 6 bytes per voxel of that box.
    ///
    /// # Errors
    /// [`MetricsError::ShapesDiffer`] if the masks do not have the same shape; [`MetricsError::TooLarge`] if the box has
    /// a side of more than 65534 voxels.
    pub fn between(
        truth: ArrayView3<u8>,
        prediction: ArrayView3<u8>,
        spacing: Spacing,
    ) -> Result<Self, MetricsError> {
        check_same_shape(truth, prediction)?;
        let pair = Pair::new(truth, prediction, spacing);
        let found = survey(pair.truth, pair.prediction, |value| u32::from(value != 0));
        pair.compare(found.first(), |value| value != 0)
    }
}

/// Compares each label of two label volumes, `[D, H, W]`, on a grid of `spacing`.
///
/// `labels` are the labels to compare, in that order; without them, all that occur in either volume but 0, ascending. A
/// label that occurs in neither is compared as two empty masks. Every voxel is read once, however many labels there
/// are; surfaces are computed inside the box around each label.
///
/// # Errors
/// As [`Comparison::between`].
pub fn compare_labels<T>(
    truth: ArrayView3<T>,
    prediction: ArrayView3<T>,
    spacing: Spacing,
    labels: Option<&[T]>,
) -> Result<Vec<LabelComparison<T>>, MetricsError>
where
    T: Copy + PartialEq + Send + Sync + Into<u32> + TryFrom<u32>,
{
    check_same_shape(truth, prediction)?;
    let pair = Pair::new(truth, prediction, spacing);
    let surveys = survey(pair.truth, pair.prediction, T::into);
    let found: Vec<T> = surveys.iter().filter_map(|survey| T::try_from(survey.label).ok()).collect();
    let compare = |label: &T| {
        let wanted: u32 = (*label).into();
        let survey = surveys.iter().find(|survey| survey.label == wanted);
        let comparison = pair.compare(survey, |value| value.into() == wanted)?;
        Ok(LabelComparison { label: *label, comparison })
    };
    labels.unwrap_or(&found).iter().map(compare).collect()
}

/// Two volumes of one grid, with their axes in the order of their memory.
pub(crate) struct Pair<'a, T> {
    truth: ArrayView3<'a, T>,
    prediction: ArrayView3<'a, T>,
    /// In the order of the axes.
    pub(crate) spacing: Spacing,
}

impl<'a, T: Copy + PartialEq + Send + Sync> Pair<'a, T> {
    /// No metric depends on the order of the axes, as long as the spacing has the same; time does.
    pub(crate) fn new(truth: ArrayView3<'a, T>, prediction: ArrayView3<'a, T>, spacing: Spacing) -> Self {
        let mut order = [0, 1, 2];
        order.sort_by_key(|axis| std::cmp::Reverse(truth.strides()[*axis].unsigned_abs()));
        let mm = spacing.mm();
        Self {
            truth: truth.permuted_axes(order),
            prediction: prediction.permuted_axes(order),
            // The same three numbers in another order are as valid.
            spacing: Spacing::new(order.map(|axis| mm[axis])).unwrap_or(spacing),
        }
    }

    fn compare(
        &self,
        survey: Option<&Survey>,
        belongs: impl Fn(T) -> bool + Sync,
    ) -> Result<Comparison, MetricsError> {
        let Some(Survey { overlap, bounds, .. }) = survey.copied() else {
            return Ok(Comparison { overlap: Overlap::default(), distances: SurfaceDistances::of_nothing() });
        };
        let truth = BitMask::new(self.truth, bounds, &belongs);
        let prediction = BitMask::new(self.prediction, bounds, &belongs);
        let distances = SurfaceDistances::of_bits(&truth, &prediction, self.spacing)?;
        Ok(Comparison { overlap, distances })
    }
}

impl Pair<'_, u8> {
    /// Both masks inside the box around them; `None` if both are empty.
    pub(crate) fn bits(&self) -> Option<[BitMask; 2]> {
        let surveys = survey(self.truth, self.prediction, |value| u32::from(value != 0));
        let bounds = surveys.first()?.bounds;
        Some([self.truth, self.prediction].map(|mask| BitMask::new(mask, bounds, |value| value != 0)))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn each_label_is_compared_as_its_mask() {
        let truth = Array3::from_shape_fn([4, 6, 70], |(d, h, w)| ((d * h + w / 5) % 4) as u16);
        let prediction = Array3::from_shape_fn([4, 6, 70], |(d, h, w)| ((d * h + w / 6) % 3) as u16);
        let spacing = Spacing::new([3.0, 0.7, 1.1]).unwrap();
        let all = compare_labels(truth.view(), prediction.view(), spacing, None).unwrap();
        assert_eq!(all.iter().map(|one| one.label).collect::<Vec<_>>(), [1, 2, 3]);
        for one in &all {
            let mask = |volume: &Array3<u16>| volume.mapv(|value| u8::from(value == one.label));
            let expected =
                Comparison::between(mask(&truth).view(), mask(&prediction).view(), spacing).unwrap();
            assert_eq!(one.comparison, expected, "label {}", one.label);
        }
        let chosen = compare_labels(truth.view(), prediction.view(), spacing, Some(&[9, 2])).unwrap();
        assert_eq!((chosen[0].label, chosen[0].comparison.overlap.dice()), (9, None));
        assert_eq!(chosen[1], all[1]);
    }
}
