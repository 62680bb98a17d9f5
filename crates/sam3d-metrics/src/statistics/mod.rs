//! Statistics of scores over cases: mean and spread, intervals of a mean, and tests whether two methods differ.
//!
//! - [`Summary`]: mean and standard deviation.
//! - [`bootstrap_mean`]: percentile bootstrap interval of a mean over cases.
//! - [`wilcoxon_signed_rank`]: the paired test usual for segmentation scores, which are neither normal nor symmetric.
//! - [`holm`]: several tests at once.

mod wilcoxon;

use serde::{Deserialize, Serialize};

pub use wilcoxon::{SignedRank, wilcoxon_signed_rank};

/// Mean and spread of one metric over cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Number of cases.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the cases at hand (divided by their number, not by one less): 0 for a single case.
    pub std: f64,
}

impl Summary {
    /// The summary of `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Some(Self { count: values.len(), mean, std: variance.sqrt() })
    }
}

/// A two-sided interval of the mean of `values` by the percentile bootstrap: the mean of as many values drawn with
/// replacement, `resamples` times, and the quantiles that leave out `1 - level` in equal halves (linear interpolation
/// between order statistics, as numpy's default).
///
/// Randomness is an argument: `below(n)` is a uniform draw from `0..n`. `None` without values or resamples.
pub fn bootstrap_mean(
    values: &[f64],
    resamples: usize,
    level: f64,
    mut below: impl FnMut(usize) -> usize,
) -> Option<[f64; 2]> {
    if values.is_empty() || resamples == 0 {
        return None;
    }
    let mut draw = || values[below(values.len()).min(values.len() - 1)];
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| (0..values.len()).map(|_| draw()).sum::<f64>() / values.len() as f64)
        .collect();
    Some(percentile_interval(&mut means, level))
}

/// A two-sided interval, as [`bootstrap_mean`], of a ratio of sums: of every pair (of a case, say) the numerator and the
/// denominator. The ratio of a resample whose denominators are all 0 is not defined, and it is left out; `None` if none is
/// defined.
pub fn bootstrap_ratio(
    pairs: &[[f64; 2]],
    resamples: usize,
    level: f64,
    mut below: impl FnMut(usize) -> usize,
) -> Option<[f64; 2]> {
    if pairs.is_empty() {
        return None;
    }
    let mut draw = || pairs[below(pairs.len()).min(pairs.len() - 1)];
    let mut ratios: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            let [above, under] = (0..pairs.len())
                .map(|_| draw())
                .fold([0.0, 0.0], |[above, under], [a, b]| [above + a, under + b]);
            (under > 0.0).then_some(above / under)
        })
        .collect();
    (!ratios.is_empty()).then(|| percentile_interval(&mut ratios, level))
}

/// The quantiles of `values`, which are not empty, that leave out `1 - level` in equal halves.
fn percentile_interval(values: &mut [f64], level: f64) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - level.clamp(0.0, 1.0)) / 2.0;
    [quantile(values, tail), quantile(values, 1.0 - tail)]
}

/// The quantile `share` (0 to 1) of `sorted`, ascending and not empty.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let low = position as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (sorted[high] - sorted[low]) * (position - low as f64)
}

/// P values adjusted for their number by Holm's step-down method (Holm 1979), in the order given: each is at most the
/// family-wise error rate at which its hypothesis is rejected.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    #[test]
    fn an_interval_of_known_draws() {
        // Draws 0, 1, 2, ... modulo 3: every resample holds each value once, so all means are 2.
        let mut next = 0;
        let mut round_robin = |n: usize| {
            next += 1;
            (next - 1) % n
        };
        assert_eq!(bootstrap_mean(&[1.0, 2.0, 3.0], 100, 0.95, &mut round_robin), Some([2.0, 2.0]));
        // Resample i consists of value i alone: the means are the values, and their quantiles are known.
        let mut draws = 0;
        let values: Vec<f64> = (0..5).map(f64::from).collect();
        let interval = bootstrap_mean(&values, 5, 0.5, |_| {
            draws += 1;
            (draws - 1) / 5
        });
        assert_eq!(interval, Some([1.0, 3.0]));
        assert_eq!(bootstrap_mean(&[], 10, 0.95, |_| 0), None);
        assert_eq!(bootstrap_mean(&[1.0], 0, 0.95, |_| 0), None);
    }

    #[test]
    fn an_interval_of_a_ratio() {
        // Resample i consists of pair i alone; one without a denominator is left out.
        let mut draws = 0;
        let pairs = [[0.0, 4.0], [1.0, 4.0], [0.0, 0.0], [4.0, 4.0]];
        let interval = bootstrap_ratio(&pairs, 4, 0.5, |_| {
            draws += 1;
            (draws - 1) / 4
        });
        assert_eq!(interval, Some([0.125, 0.625]));
        // Every resample holds both pairs: large cases count more.
        let mut next = 0;
        let both = bootstrap_ratio(&[[1.0, 1.0], [0.0, 3.0]], 10, 0.95, |n| {
            next += 1;
            next % n
        });
        assert_eq!(both, Some([0.25, 0.25]));
        assert_eq!(bootstrap_ratio(&[], 10, 0.95, |_| 0), None);
        assert_eq!(bootstrap_ratio(&[[0.0, 0.0]], 10, 0.95, |_| 0), None);
        assert_eq!(bootstrap_ratio(&[[1.0, 1.0]], 0, 0.95, |_| 0), None);
    }

    #[test]
    fn adjusted_p_values() {
        // By hand: 4 * 0.005, 3 * 0.01, then 2 * 0.03 twice, because adjusted values never fall.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert_abs_diff_eq!(*found, expected, epsilon = 1e-15);
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }

    #[test]
    fn summaries_of_no_one_and_two_values() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[0.5]), Some(Summary { count: 1, mean: 0.5, std: 0.0 }));
        assert_eq!(Summary::of(&[1.0, 0.0]), Some(Summary { count: 2, mean: 0.5, std: 0.5 }));
    }
}
