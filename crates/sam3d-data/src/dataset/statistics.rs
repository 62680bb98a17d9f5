use rayon::prelude::*;
use sam3d_geom::Intensity;

use super::{Case, DatasetError};
use sam3d_io::ReadLimits;

/// Intensities outside this range are not tissue and are clamped to it.
const HU_RANGE: [i32; 2] = [-2048, 8192];
/// Cases read at once: image and label of 512 slices take 1 GB.
const CASES_AT_ONCE: usize = 2;

/// Statistics of a dataset's target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TargetStatistics {
    /// The normalisation they give.
    pub intensity: Intensity,
    /// Target voxels they were taken from.
    pub voxels: u64,
}

/// The normalisation of a new dataset: clip range from the 0.5 and 99.5 percentiles, mean and (unbiased) standard
/// deviation, all over the target voxels of `cases` in their own grids. Pass the training cases only.
///
/// Percentiles are to the nearest Hounsfield unit. Memory is that of the cases read at once, whatever their number.
/// `done` is called after each case, from any thread.
///
/// # Errors
/// [`DatasetError::Io`] for a file that cannot be read or a label of another shape than its image,
/// [`DatasetError::NoTargetVoxels`], [`DatasetError::Geometry`] if all target voxels have one value.
pub fn target_statistics(
    cases: &[Case],
    target_class: u32,
    done: &(dyn Fn() + Sync),
) -> Result<TargetStatistics, DatasetError> {
    let mut all = Values::new();
    for cases in cases.chunks(CASES_AT_ONCE) {
        let found: Vec<Result<Values, DatasetError>> = cases
            .par_iter()
            .map(|case| {
                let values = Values::of(case, target_class);
                done();
                values
            })
            .collect();
        // Added in the order of the cases, so that rounding does not depend on the threads.
        for values in found {
            all.add(&values?);
        }
    }
    let clip_hu = [0.005, 0.995].map(|share| all.quantile(share));
    match clip_hu {
        [Some(low), Some(high)] => {
            let (mean, std) = all.mean_and_std();
            Ok(TargetStatistics { intensity: Intensity::new([low, high], mean, std)?, voxels: all.count })
        }
        _ => Err(DatasetError::NoTargetVoxels { cases: cases.len() }),
    }
}

/// As many values as one likes in constant memory: counts per Hounsfield unit, and exact sums.
struct Values {
    histogram: Vec<u64>,
    count: u64,
    /// Sum, and sum of squares, of the distances from [`ORIGIN_HU`].
    sums: [f64; 2],
}

/// Near what soft tissue has, so that sums of squares lose no digits.
const ORIGIN_HU: f64 = 50.0;

impl Values {
    fn new() -> Self {
        Self { histogram: vec![0; (HU_RANGE[1] - HU_RANGE[0] + 1) as usize], count: 0, sums: [0.0; 2] }
    }

    /// The target voxels of a case.
    fn of(case: &Case, target_class: u32) -> Result<Self, DatasetError> {
        let image = sam3d_io::read(&case.image, ReadLimits::default())?;
        let label = case.read_label(&image.grid, ReadLimits::default())?;
        sam3d_io::orient::check_shape(image.data.dim().into(), label.data.dim().into())?;
        let mut values = Self::new();
        let target = image.data.iter().zip(&label.data);
        target
            .filter(|(_, class)| f64::from(**class) == f64::from(target_class))
            .for_each(|(value, _)| values.push(*value));
        Ok(values)
    }

    fn push(&mut self, hu: f32) {
        let hu = f64::from(hu).clamp(f64::from(HU_RANGE[0]), f64::from(HU_RANGE[1]));
        self.histogram[(hu.round() as i32 - HU_RANGE[0]) as usize] += 1;
        self.count += 1;
        let distance = hu - ORIGIN_HU;
        self.sums[0] += distance;
        self.sums[1] += distance * distance;
    }

    fn add(&mut self, other: &Self) {
        self.histogram.iter_mut().zip(&other.histogram).for_each(|(sum, count)| *sum += count);
        self.count += other.count;
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, value)| *sum += value);
    }

    /// The smallest value that at least `share` of all do not exceed; `None` without values.
    fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count as f64;
        let mut seen = 0;
        (HU_RANGE[0]..).map(f64::from).zip(&self.histogram).find_map(|(hu, count)| {
            seen += count;
            (*count > 0 && seen as f64 >= wanted).then_some(hu)
        })
    }

    fn mean_and_std(&self) -> (f64, f64) {
        let count = self.count as f64;
        let mean = self.sums[0] / count;
        let squares = self.sums[1] - count * mean * mean;
        (ORIGIN_HU + mean, (squares.max(0.0) / (count - 1.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn quantiles_mean_and_deviation() {
        let mut values = Values::new();
        assert_eq!(values.quantile(0.5), None);
        (1..=600).for_each(|value| values.push(value as f32));
        let mut others = Values::new();
        (601..=1000).for_each(|value| others.push(value as f32));
        values.add(&others);
        assert_eq!(values.quantile(0.005), Some(5.0));
        assert_eq!(values.quantile(0.995), Some(995.0));
        let (mean, std) = values.mean_and_std();
        assert_abs_diff_eq!(mean, 500.5, epsilon = 1e-9);
        // (n^2 + n) / 12 is the unbiased variance of 1..=n.
        assert_abs_diff_eq!(std, (1000.0f64 * 1001.0 / 12.0).sqrt(), epsilon = 1e-9);
    }

    /// Means are of the values themselves, not of the Hounsfield units they are counted in.
    #[test]
    fn fractions_are_not_rounded_away() {
        let mut values = Values::new();
        for value in [0.25, 0.5, 1.25] {
            values.push(value);
        }
        let (mean, std) = values.mean_and_std();
        assert_abs_diff_eq!(mean, 2.0 / 3.0, epsilon = 1e-12);
        assert_abs_diff_eq!(
            std,
            (0.5f64 * (1.0f64 / 16.0 + 0.25 + 25.0 / 16.0 - 4.0 / 3.0)).sqrt(),
            epsilon = 1e-12
        );
    }
}
