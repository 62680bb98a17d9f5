use sam3d_geom::Intensity;

use super::{Case, DatasetError};
use crate::ReadLimits;

/// Intensities outside this range are no tissue; they count as its ends.
const HU_RANGE: [i32; 2] = [-2048, 8192];

/// The normalisation of a new dataset: clip range from the 0.5 and 99.5 percentiles, mean and (unbiased) standard
/// deviation, all over the target voxels of `cases` in their own grids. Pass the training cases only.
///
/// Values are counted to the nearest Hounsfield unit.
///
/// # Errors
/// [`DatasetError::Io`] for a file that cannot be read or a label of another shape than its image,
/// [`DatasetError::NoTargetVoxels`], [`DatasetError::Geometry`] if all target voxels have one value.
pub fn fit_intensity(cases: &[Case], target_class: u32) -> Result<Intensity, DatasetError> {
    let mut histogram = Histogram::new();
    for case in cases {
        let image = crate::read(&case.image, ReadLimits::default())?;
        let label = crate::read(&case.label, ReadLimits::default())?;
        crate::orient::check_shape(image.data.dim().into(), label.data.dim().into())?;
        let target = image.data.iter().zip(&label.data);
        target
            .filter(|(_, class)| f64::from(**class) == f64::from(target_class))
            .for_each(|(value, _)| histogram.add(*value));
    }
    let clip_hu = [0.005, 0.995].map(|share| histogram.quantile(share));
    let (mean, std) = histogram.mean_and_std();
    match clip_hu {
        [Some(low), Some(high)] => Ok(Intensity::new([low, high], mean, std)?),
        _ => Err(DatasetError::NoTargetVoxels { cases: cases.len() }),
    }
}

/// Counts per Hounsfield unit: as good as all values, in constant memory.
struct Histogram(Vec<u64>);

impl Histogram {
    fn new() -> Self {
        Self(vec![0; (HU_RANGE[1] - HU_RANGE[0] + 1) as usize])
    }

    fn add(&mut self, hu: f32) {
        let bin = (hu.round() as i32).clamp(HU_RANGE[0], HU_RANGE[1]) - HU_RANGE[0];
        self.0[bin as usize] += 1;
    }

    fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        (HU_RANGE[0]..).map(f64::from).zip(self.0.iter().copied())
    }

    /// The smallest value that at least `share` of all do not exceed; `None` without values.
    fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count() as f64;
        let mut seen = 0;
        self.bins().find_map(|(hu, count)| {
            seen += count;
            (count > 0 && seen as f64 >= wanted).then_some(hu)
        })
    }

    fn mean_and_std(&self) -> (f64, f64) {
        let count = self.count() as f64;
        let mean = self.bins().map(|(hu, n)| hu * n as f64).sum::<f64>() / count;
        let squares = self.bins().map(|(hu, n)| (hu - mean) * (hu - mean) * n as f64).sum::<f64>();
        (mean, (squares / (count - 1.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn quantiles_mean_and_deviation() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|value| histogram.add(value as f32));
        assert_eq!(histogram.quantile(0.005), Some(5.0));
        assert_eq!(histogram.quantile(0.995), Some(995.0));
        let (mean, std) = histogram.mean_and_std();
        assert_abs_diff_eq!(mean, 500.5, epsilon = 1e-9);
        // (n^2 + n) / 12 is the unbiased variance of 1..=n.
        assert_abs_diff_eq!(std, (1000.0f64 * 1001.0 / 12.0).sqrt(), epsilon = 1e-9);
    }
}
