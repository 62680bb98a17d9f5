//! Wilcoxon's signed-rank test for paired scores.

/// Outcome of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignedRank {
    /// Pairs whose scores differ: the others carry no information and are left out (Wilcoxon 1945).
    pub pairs: usize,
    /// Sum of the ranks of the positive differences (first minus second).
    pub positive_ranks: f64,
    /// Two-sided p value.
    pub p: f64,
    /// Whether `p` comes from the exact distribution rather than the normal approximation.
    pub exact: bool,
}

/// Up to how many pairs the distribution of the rank sum is computed exactly.
const EXACT_PAIRS: usize = 50;

/// Tests whether the differences of paired scores are symmetric about 0, two-sided: `first[i]` and `second[i]` are of one
/// case.
///
/// Equal pairs are left out; equal differences share the mean of their ranks. Up to 50 pairs the p value is exact: of all
/// the ways to give signs to the ranks at hand (ties included), the share whose rank sum is as far from the middle as the
/// observed one. Beyond, it comes from the normal approximation with the variance corrected for ties and without correction for
/// continuity.
///
/// `None` if the slices differ in length, a score is NaN, or no pair differs.
pub fn wilcoxon_signed_rank(first: &[f64], second: &[f64]) -> Option<SignedRank> {
    if first.len() != second.len() {
        return None;
    }
    let mut differences: Vec<f64> =
        first.iter().zip(second).map(|(a, b)| a - b).filter(|difference| *difference != 0.0).collect();
    if differences.is_empty() || differences.iter().any(|difference| difference.is_nan()) {
        return None;
    }
    differences.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let doubled = doubled_ranks(&differences);
    let signed = differences.iter().zip(&doubled);
    let positive: usize = signed.filter(|(difference, _)| **difference > 0.0).map(|(_, rank)| *rank).sum();
    let exact = differences.len() <= EXACT_PAIRS;
    let p = if exact { exact_p(&doubled, positive) } else { normal_p(&doubled, positive) };
    Some(SignedRank { pairs: differences.len(), positive_ranks: positive as f64 / 2.0, p, exact })
}

/// Twice the rank of each of `sorted`, ascending by absolute value: equal values share the mean of theirs, which is a
/// multiple of one half.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    for equal in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        // Ranks first + 1 to first + n have the mean first + (n + 1) / 2.
        let doubled = 2 * ranks.len() + equal.len() + 1;
        ranks.extend(std::iter::repeat_n(doubled, equal.len()));
    }
    ranks
}

/// The share of all assignments of signs whose doubled rank sum is at least as far from the middle as `positive`.
fn exact_p(doubled: &[usize], positive: usize) -> f64 {
    let total: usize = doubled.iter().sum();
    // By rank sum the share of assignments that have it, one rank after the other.
    let mut shares = vec![0.0; total + 1];
    shares[0] = 1.0;
    let mut reached = 0;
    for rank in doubled {
        reached += rank;
        for sum in (0..=reached).rev() {
            let with = if sum >= *rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = 0.5 * (shares[sum] + with);
        }
    }
    // The distribution is symmetric, so the far tail is twice the near one.
    let tail: f64 = shares[..=positive.min(total - positive)].iter().sum();
    (2.0 * tail).min(1.0)
}

fn normal_p(doubled: &[usize], positive: usize) -> f64 {
    let total: usize = doubled.iter().sum();
    // Each rank enters with probability one half; of doubled ranks, the variance is a quarter of their squares' sum.
    let variance = doubled.iter().map(|rank| (*rank as f64).powi(2)).sum::<f64>() / 4.0;
    let z = (positive as f64 - total as f64 / 2.0) / variance.sqrt();
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// Expected values are those of scipy 1.17.1 (`scipy.stats.wilcoxon`).
#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    fn sixty_fourths(values: impl IntoIterator<Item = u32>) -> Vec<f64> {
        values.into_iter().map(|value| f64::from(value) / 64.0).collect()
    }

    /// The smaller of the two rank sums, which is what scipy reports.
    fn smaller(outcome: SignedRank) -> f64 {
        let total = (outcome.pairs * (outcome.pairs + 1)) as f64 / 2.0;
        outcome.positive_ranks.min(total - outcome.positive_ranks)
    }

    #[test]
    fn small_without_ties() {
        // method="exact"
        let first = [0.71, 0.62, 0.85, 0.40, 0.93, 0.55, 0.78, 0.81, 0.66];
        let second = [0.65, 0.64, 0.70, 0.31, 0.90, 0.59, 0.60, 0.56, 0.61];
        let outcome = wilcoxon_signed_rank(&first, &second).unwrap();
        assert_eq!((outcome.pairs, outcome.positive_ranks, outcome.exact), (9, 41.0, true));
        assert_relative_eq!(outcome.p, 0.02734375, max_relative = 1e-12);
        let turned = wilcoxon_signed_rank(&second, &first).unwrap();
        assert_eq!((turned.positive_ranks, turned.p), (4.0, outcome.p));
    }

    #[test]
    fn small_with_ties_and_zeros() {
        // method=PermutationMethod(n_resamples=inf), zero_method="wilcox"
        let first = sixty_fourths([48, 40, 52, 33, 60, 47, 50, 41, 39, 55, 44, 30]);
        let second = sixty_fourths([44, 40, 48, 35, 56, 45, 50, 43, 33, 51, 40, 31]);
        let outcome = wilcoxon_signed_rank(&first, &second).unwrap();
        assert_eq!((outcome.pairs, smaller(outcome), outcome.exact), (10, 7.0, true));
        assert_relative_eq!(outcome.p, 0.037109375, max_relative = 1e-12);
    }

    #[test]
    fn fifty_pairs_are_still_exact() {
        // method="exact"
        let first: Vec<f64> =
            (0..50).map(|i| (f64::from(i * 37 % 61) + f64::from(i) / 64.0) / 64.0).collect();
        let second = sixty_fourths((0..50).map(|i| (i * 53 + 2) % 67));
        let outcome = wilcoxon_signed_rank(&first, &second).unwrap();
        assert_eq!((smaller(outcome), outcome.exact), (561.0, true));
        assert_relative_eq!(outcome.p, 0.46647302992520423, max_relative = 1e-9);
    }

    #[test]
    fn many_pairs_by_the_normal_approximation() {
        // method="approx", correction=False; many ties
        let first = sixty_fourths((0..60).map(|i| i * 37 % 61));
        let second = sixty_fourths((0..60).map(|i| (i * 53 + 7) % 67));
        let outcome = wilcoxon_signed_rank(&first, &second).unwrap();
        assert_eq!((smaller(outcome), outcome.exact), (816.5, false));
        assert_relative_eq!(outcome.p, 0.46825310754234306, max_relative = 1e-12);
        let higher: Vec<f64> = first.iter().map(|value| value + 6.0 / 64.0).collect();
        let outcome = wilcoxon_signed_rank(&higher, &second).unwrap();
        assert_eq!(smaller(outcome), 750.0);
        assert_relative_eq!(outcome.p, 0.22436532973524725, max_relative = 1e-12);
    }

    #[test]
    fn nothing_to_test() {
        assert_eq!(wilcoxon_signed_rank(&[0.5, 0.7], &[0.5, 0.7]), None);
        assert_eq!(wilcoxon_signed_rank(&[0.5], &[]), None);
        assert_eq!(wilcoxon_signed_rank(&[f64::NAN], &[0.0]), None);
        assert_eq!(wilcoxon_signed_rank(&[1.0], &[0.0]).map(|outcome| outcome.p), Some(1.0));
    }
}
