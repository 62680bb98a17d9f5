//! The learning rate over epochs and steps.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the learning rate's decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Linear to the end factor, as published.
    #[default]
    Linear,
    /// Half a cosine wave to the end factor.
    Cosine,
    /// Constant.
    Constant,
}

/// The factor of the learning rate: it falls from 1 to `end_factor` over `epochs` epochs and stays there, and rises on a
/// straight line over the first `warmup_steps` steps. It falls by epoch, as published, and rises by step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Its shape.
    pub decay: Decay,
    /// Factor at the end.
    pub end_factor: f64,
    /// Epochs until then.
    pub epochs: u64,
    /// Steps of the rise; 0 for none.
    pub warmup_steps: u64,
}

impl Schedule {
    /// The published schedule.
    pub const PUBLISHED: Self = Self { decay: Decay::Linear, end_factor: 0.01, epochs: 500, warmup_steps: 0 };

    /// The factor in `epoch` at step `step` of the run, both counted from 0.
    pub fn factor(&self, epoch: u64, step: u64) -> f64 {
        self.factor_at(epoch.min(self.epochs) as f64 / self.epochs.max(1) as f64, step)
    }

    /// The factor after `share` of the run, from 0 to 1, at step `step`, counted from 0: for a run whose length is a time.
    pub fn factor_at(&self, share: f64, step: u64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        let fallen = match self.decay {
            Decay::Linear => 1.0 + (self.end_factor - 1.0) * share,
            Decay::Cosine => self.end_factor + (1.0 - self.end_factor) * (1.0 + (PI * share).cos()) / 2.0,
            Decay::Constant => 1.0,
        };
        if step < self.warmup_steps { fallen * (step + 1) as f64 / self.warmup_steps as f64 } else { fallen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_one_to_its_end_and_stays() {
        let schedule = Schedule::PUBLISHED;
        assert_eq!(schedule.factor(0, 0), 1.0);
        assert!((schedule.factor(250, 9) - 0.505).abs() < 1e-12);
        assert!((schedule.factor(500, 9) - 0.01).abs() < 1e-12);
        assert_eq!(schedule.factor(501, 9), schedule.factor(500, 9));

        let cosine = Schedule { decay: Decay::Cosine, ..schedule };
        assert_eq!(cosine.factor(0, 0), 1.0);
        assert!((cosine.factor(250, 0) - 0.505).abs() < 1e-12);
        assert!(cosine.factor(125, 0) > schedule.factor(125, 0));
        assert!((cosine.factor(600, 0) - 0.01).abs() < 1e-12);
        assert_eq!(Schedule { decay: Decay::Constant, ..schedule }.factor(499, 0), 1.0);
    }

    #[test]
    fn a_share_of_the_time_stands_for_a_share_of_the_epochs() {
        let schedule = Schedule { warmup_steps: 4, ..Schedule::PUBLISHED };
        for (epoch, step) in [(0, 1), (125, 9), (500, 9)] {
            assert_eq!(schedule.factor_at(epoch as f64 / 500.0, step), schedule.factor(epoch, step));
        }
        assert_eq!(schedule.factor_at(1.5, 9), schedule.factor(500, 9));
    }

    #[test]
    fn rises_over_the_first_steps() {
        let schedule = Schedule { warmup_steps: 4, ..Schedule::PUBLISHED };
        let factors = [0, 1, 2, 3, 4].map(|step| schedule.factor(0, step));
        assert_eq!(factors, [0.25, 0.5, 0.75, 1.0, 1.0]);
        // An epoch may end before the rise does.
        assert_eq!(schedule.factor(250, 1), schedule.factor(250, 4) / 2.0);
    }
}
