//! Which cases are for training, validation and test.
//!
//! A split is a function of the set of case ids, the seed and the counts: the order in which cases were found does not
//! enter.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{dataset::CaseId, sampling::rng_for};

/// Cases of one fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Cases whose gradients are used.
    pub train: Vec<CaseId>,
    /// Cases that choose the best checkpoint.
    pub validation: Vec<CaseId>,
    /// Cases that are evaluated.
    pub test: Vec<CaseId>,
}

/// A part of a [`Split`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Cases whose gradients are used.
    Train,
    /// Cases that choose the best checkpoint.
    Validation,
    /// Cases that are evaluated.
    Test,
}

impl Part {
    /// Its name, as in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl Split {
    /// The ids of one part, sorted.
    pub fn part(&self, part: Part) -> &[CaseId] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }
}

/// How many cases each part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCounts {
    /// Cases for training.
    pub train: usize,
    /// Cases for validation.
    pub validation: usize,
    /// Cases for test.
    pub test: usize,
}

impl SplitCounts {
    /// 10 % of `cases` for validation and 20 % for test, each rounded to the nearest, and the rest for training.
    ///
    /// From three cases on no part is empty. One case trains; of two, one trains and one tests.
    pub fn for_cases(cases: usize) -> Self {
        match cases {
            0 | 1 => Self { train: cases, validation: 0, test: 0 },
            2 => Self { train: 1, validation: 0, test: 1 },
            _ => {
                let validation = ((cases + 5) / 10).max(1);
                let test = ((2 * cases + 5) / 10).max(1);
                Self { train: cases - validation - test, validation, test }
            }
        }
    }

    /// The number of cases in all three parts.
    pub fn total(self) -> usize {
        self.train.saturating_add(self.validation).saturating_add(self.test)
    }
}

/// A random split of `ids` with the given counts.
///
/// Counts that do not sum to the number of distinct ids are replaced by [`SplitCounts::for_cases`]: a published split of
/// 300 cases says nothing of the 20 that someone has downloaded.
pub fn random(ids: &[CaseId], seed: u64, counts: Option<SplitCounts>) -> Split {
    let (mut ids, _) = shuffled(ids, seed);
    let counts = counts
        .filter(|counts| counts.total() == ids.len())
        .unwrap_or_else(|| SplitCounts::for_cases(ids.len()));
    let test = ids.split_off(ids.len() - counts.test);
    let validation = ids.split_off(ids.len() - counts.validation);
    sorted(ids, validation, test)
}

/// `count` folds of `ids`: every case is in the test part of exactly one fold.
///
/// The test parts differ in size by at most one. Of a fold's other cases, 10 % of all cases (at least one, as long as one
/// is left to train) are for validation and the rest for training. A count of 0 counts as 1; with one fold every case is
/// tested and none trains.
pub fn folds(ids: &[CaseId], seed: u64, count: usize) -> Vec<Split> {
    let (ids, mut rng) = shuffled(ids, seed);
    let count = count.max(1);
    (0..count)
        .map(|fold| {
            let in_test = |position: &usize| position % count == fold;
            let pick = |test: bool| {
                (0..ids.len()).filter(|p| in_test(p) == test).map(|p| ids[p].clone()).collect::<Vec<_>>()
            };
            let mut rest = pick(false);
            rest.shuffle(&mut rng);
            let validation = ((ids.len() + 5) / 10).max(1).min(rest.len().saturating_sub(1));
            let validation = rest.split_off(rest.len() - validation);
            sorted(rest, validation, pick(true))
        })
        .collect()
}

/// The distinct ids in an order that only `seed` and the set decide, and the generator after that.
fn shuffled(ids: &[CaseId], seed: u64) -> (Vec<CaseId>, ChaCha8Rng) {
    let mut ids = ids.to_vec();
    ids.sort();
    ids.dedup();
    let mut rng = rng_for(seed, 0, "split");
    ids.shuffle(&mut rng);
    (ids, rng)
}

fn sorted(mut train: Vec<CaseId>, mut validation: Vec<CaseId>, mut test: Vec<CaseId>) -> Split {
    for part in [&mut train, &mut validation, &mut test] {
        part.sort();
    }
    Split { train, validation, test }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> Vec<CaseId> {
        (0..count).map(|n| CaseId::new(format!("case_{n:03}")).unwrap()).collect()
    }

    fn sizes(split: &Split) -> [usize; 3] {
        [split.train.len(), split.validation.len(), split.test.len()]
    }

    #[test]
    fn counts_by_rounding() {
        let counts = |cases| {
            let counts = SplitCounts::for_cases(cases);
            [counts.train, counts.validation, counts.test]
        };
        assert_eq!(counts(0), [0, 0, 0]);
        assert_eq!(counts(2), [1, 0, 1]);
        assert_eq!(counts(3), [1, 1, 1]);
        assert_eq!(counts(8), [5, 1, 2]);
        assert_eq!(counts(10), [7, 1, 2]);
        assert_eq!(counts(24), [17, 2, 5]);
        assert_eq!(counts(281), [197, 28, 56]);
    }

    #[test]
    fn published_counts_apply_to_the_published_number_of_cases() {
        let published = Some(SplitCounts { train: 209, validation: 30, test: 61 });
        assert_eq!(sizes(&random(&ids(300), 0, published)), [209, 30, 61]);
        assert_eq!(sizes(&random(&ids(20), 0, published)), [14, 2, 4]);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random(&ids(30), 0, None), random(&ids(30), 1, None));
    }

    proptest! {
        #[test]
        fn parts_are_a_partition_whatever_the_order(count in 0usize..60, seed: u64, rotation in 0usize..60) {
            let ids = ids(count);
            let mut turned = ids.clone();
            turned.rotate_left(rotation % count.max(1));
            turned.reverse();
            let split = random(&ids, seed, None);
            prop_assert_eq!(&split, &random(&turned, seed, None));
            let all: BTreeSet<_> = [Part::Train, Part::Validation, Part::Test]
                .iter().flat_map(|part| split.part(*part)).collect();
            prop_assert_eq!(all.len(), count);
            prop_assert_eq!(sizes(&split).iter().sum::<usize>(), count);
            prop_assert!(count < 3 || sizes(&split).iter().all(|n| *n > 0));
        }

        #[test]
        fn every_case_is_tested_in_one_fold(count in 2usize..60, seed: u64, folds_count in 2usize..7) {
            let ids = ids(count);
            let folds = folds(&ids, seed, folds_count);
            let mut tested: Vec<_> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
            tested.sort();
            prop_assert_eq!(&tested, &ids);
            for fold in &folds {
                let all: BTreeSet<_> = fold.train.iter().chain(&fold.validation).chain(&fold.test).collect();
                prop_assert_eq!(all.len(), count);
                prop_assert!(count < 5 || (!fold.train.is_empty() && !fold.validation.is_empty()));
            }
        }
    }
}
