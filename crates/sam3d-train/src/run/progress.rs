//! Progress of a run: with weights and moments, everything needed to resume exactly.
//!
//! Random numbers need no state of their own: each draw is a function of seed, epoch and case.

use serde::{Deserialize, Serialize};

use crate::step::StepReport;

/// Progress of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Epochs done.
    pub epochs: u64,
    /// Steps done of the epoch under way.
    pub step: u64,
    /// Optimiser steps taken in the run.
    pub steps: u64,
    /// Steps of the run skipped because their loss or gradient was not finite.
    pub skipped: u64,
    /// Lowest validation loss so far.
    pub best: Option<f64>,
    /// The epoch it was reached in, counted from 0.
    pub best_epoch: Option<u64>,
    /// Validations since then.
    pub waited: u64,
    /// Time spent in steps over all starts of the run, in seconds.
    #[serde(default)]
    pub trained_seconds: f64,
    /// Sums over the epoch under way.
    pub sums: Sums,
}

/// Sums over the steps of an epoch that is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Steps taken.
    pub taken: u64,
    /// Steps skipped.
    pub skipped: u64,
    /// Losses of the steps taken.
    pub loss: f64,
    /// Gradient norms of the steps taken, for each module.
    pub grad_norms: [f64; 3],
    /// Time spent, in seconds.
    pub seconds: f64,
}

impl Progress {
    /// Counts a step.
    pub fn add(&mut self, report: &StepReport, seconds: f64) {
        self.step += 1;
        self.sums.seconds += seconds;
        self.trained_seconds += seconds;
        if report.taken {
            self.steps += 1;
            self.sums.taken += 1;
            self.sums.loss += report.loss;
            for (sum, norm) in self.sums.grad_norms.iter_mut().zip(report.grad_norms) {
                *sum += norm;
            }
        } else {
            self.skipped += 1;
            self.sums.skipped += 1;
        }
    }

    /// Counts the epoch under way as done, with its validation loss if there was one, and gives whether that is the
    /// lowest so far. A loss that is not finite never is.
    pub fn close_epoch(&mut self, validation_loss: Option<f64>) -> bool {
        let mut is_best = false;
        if let Some(loss) = validation_loss {
            let best = self.best.filter(|best| best.is_finite());
            is_best = loss.is_finite() && best.is_none_or(|best| loss < best);
            if is_best {
                (self.best, self.best_epoch, self.waited) = (Some(loss), Some(self.epochs), 0);
            } else {
                self.waited += 1;
            }
        }
        self.epochs += 1;
        self.step = 0;
        self.sums = Sums::default();
        is_best
    }
}

impl Sums {
    /// The mean loss of the steps taken.
    pub fn mean_loss(&self) -> Option<f64> {
        (self.taken > 0).then(|| self.loss / self.taken as f64)
    }

    /// The mean gradient norms of the steps taken.
    pub fn mean_grad_norms(&self) -> [f64; 3] {
        self.grad_norms.map(|sum| sum / self.taken.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(loss: f64) -> StepReport {
        StepReport { loss, grad_norms: [1.0, 2.0, 3.0], taken: loss.is_finite() }
    }

    #[test]
    fn means_are_over_the_steps_taken() {
        let mut progress = Progress::default();
        for loss in [1.0, f64::NAN, 2.0] {
            progress.add(&report(loss), 0.5);
        }
        assert_eq!((progress.step, progress.steps, progress.skipped), (3, 2, 1));
        assert_eq!(progress.sums.mean_loss(), Some(1.5));
        assert_eq!(progress.sums.mean_grad_norms(), [1.0, 2.0, 3.0]);
        assert_eq!((progress.sums.seconds, progress.trained_seconds), (1.5, 1.5));
        progress.close_epoch(None);
        assert_eq!((progress.sums.seconds, progress.trained_seconds), (0.0, 1.5));
        assert_eq!(Sums::default().mean_loss(), None);
    }

    #[test]
    fn the_best_epoch_and_how_long_ago_it_was() {
        let mut progress = Progress::default();
        let best =
            [Some(0.5), None, Some(0.5), Some(0.25), Some(f64::NAN)].map(|loss| progress.close_epoch(loss));
        assert_eq!(best, [true, false, false, true, false]);
        assert_eq!((progress.epochs, progress.best, progress.best_epoch), (5, Some(0.25), Some(3)));
        assert_eq!(progress.waited, 1);
    }

    #[test]
    fn a_loss_that_is_not_finite_is_never_the_best() {
        let mut progress = Progress::default();
        for loss in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!progress.close_epoch(Some(loss)), "{loss}");
            assert_eq!((progress.best, progress.best_epoch), (None, None));
        }
        assert_eq!(progress.waited, 3);
        assert!(progress.close_epoch(Some(0.75)));
        assert_eq!((progress.best, progress.best_epoch, progress.waited), (Some(0.75), Some(3), 0));
        // As an earlier version may have saved it.
        let mut progress = Progress { best: Some(f64::NAN), best_epoch: Some(0), ..Progress::default() };
        assert!(progress.close_epoch(Some(0.75)));
        assert_eq!(progress.best, Some(0.75));
    }

    #[test]
    fn numbers_survive_the_file_to_the_last_bit() {
        let mut progress = Progress { best: Some(0.1 + 0.2), ..Progress::default() };
        progress.add(&report(1.0 / 3.0), 0.1);
        let text = toml::to_string(&progress).unwrap();
        assert_eq!(toml::from_str::<Progress>(&text).unwrap(), progress);
    }
}
