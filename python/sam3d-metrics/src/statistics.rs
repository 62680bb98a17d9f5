//! Statistics of scores over cases and over clicks.

use pyo3::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sam3d_metrics::{ClickAuc, statistics};

/// Mean and standard deviation of one score over cases.
#[pyclass(frozen, get_all, eq, module = "sam3d_metrics")]
#[derive(Debug, PartialEq)]
pub(crate) struct Summary {
    /// Number of cases.
    count: usize,
    /// Arithmetic mean.
    mean: f64,
    /// Standard deviation of these cases (divided by their number).
    std: f64,
}

#[pymethods]
impl Summary {
    fn __repr__(&self) -> String {
        let Self { count, mean, std } = self;
        format!("Summary(count={count}, mean={mean}, std={std})")
    }
}

/// Mean and standard deviation of scores; None if there are none.
#[pyfunction]
pub(crate) fn summary(values: Vec<f64>) -> Option<Summary> {
    let statistics::Summary { count, mean, std } = statistics::Summary::of(&values)?;
    Some(Summary { count, mean, std })
}

/// An interval of the mean of scores by the percentile bootstrap, (low, high); None if there are none.
///
/// The seed decides what is drawn: the same one gives the same interval.
#[pyfunction]
#[pyo3(signature = (values, resamples = 2000, level = 0.95, seed = 0))]
pub(crate) fn bootstrap_mean(
    py: Python<'_>,
    values: Vec<f64>,
    resamples: usize,
    level: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let draw = |n: usize| rng.random_range(0..n);
    py.detach(|| statistics::bootstrap_mean(&values, resamples, level, draw)).map(Into::into)
}

/// An interval, as bootstrap_mean, of the ratio of two sums over cases: of each case (numerator, denominator); None if no
/// ratio is defined.
#[pyfunction]
#[pyo3(signature = (pairs, resamples = 2000, level = 0.95, seed = 0))]
pub(crate) fn bootstrap_ratio(
    py: Python<'_>,
    pairs: Vec<[f64; 2]>,
    resamples: usize,
    level: f64,
    seed: u64,
) -> Option<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let draw = |n: usize| rng.random_range(0..n);
    py.detach(|| statistics::bootstrap_ratio(&pairs, resamples, level, draw)).map(Into::into)
}

/// Outcome of Wilcoxon's signed-rank test.
#[pyclass(frozen, get_all, eq, module = "sam3d_metrics")]
#[derive(Debug, PartialEq)]
pub(crate) struct SignedRank {
    /// Number of pairs whose scores differ: the others are left out.
    pairs: usize,
    /// Sum of the ranks of the positive differences (first minus second).
    positive_ranks: f64,
    /// Two-sided p value.
    p: f64,
    /// Whether p comes from the exact distribution (up to 50 pairs) and not from the normal approximation.
    exact: bool,
}

#[pymethods]
impl SignedRank {
    fn __repr__(&self) -> String {
        let Self { pairs, positive_ranks, p, exact } = self;
        let exact = if *exact { "True" } else { "False" };
        format!("SignedRank(pairs={pairs}, positive_ranks={positive_ranks}, p={p}, exact={exact})")
    }
}

/// Tests whether the differences of paired scores are symmetric about 0, two-sided, by Wilcoxon's signed-rank test.
///
/// Exact up to 50 pairs that differ, ties included. None if the numbers of scores differ, one is NaN, or no pair differs.
#[pyfunction]
pub(crate) fn wilcoxon_signed_rank(first: Vec<f64>, second: Vec<f64>) -> Option<SignedRank> {
    let found = statistics::wilcoxon_signed_rank(&first, &second)?;
    let statistics::SignedRank { pairs, positive_ranks, p, exact } = found;
    Some(SignedRank { pairs, positive_ranks, p, exact })
}

/// P values adjusted for their number by Holm's step-down method, in the order given.
#[pyfunction]
pub(crate) fn holm(p_values: Vec<f64>) -> Vec<f64> {
    statistics::holm(&p_values)
}

/// The area under a score's curve over corrective clicks 1 to N, and that area over N - 1; scores[k] is the score after k
/// corrective clicks. None for fewer than two clicks.
#[pyfunction]
pub(crate) fn click_auc(scores: Vec<f64>) -> Option<(f64, f64)> {
    ClickAuc::of(&scores).map(|found| (found.area, found.mean))
}

/// The number of corrective clicks after which a score first reaches target; None if it never does.
#[pyfunction]
pub(crate) fn clicks_to_reach(scores: Vec<f64>, target: f64) -> Option<usize> {
    sam3d_metrics::clicks_to_reach(&scores, target)
}
