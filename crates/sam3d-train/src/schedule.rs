//! The learning rate over epochs.

use serde::{Deserialize, Serialize};

/// A factor that falls linearly from 1 to `end_factor` over `epochs` epochs and stays there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearSchedule {
    /// Factor at the end.
    pub end_factor: f64,
    /// Epochs until then.
    pub epochs: u64,
}

impl LinearSchedule {
    /// The factor of the learning rate in `epoch`, counted from 0.
    pub fn factor(&self, epoch: u64) -> f64 {
        let share = epoch.min(self.epochs) as f64 / self.epochs.max(1) as f64;
        1.0 + (self.end_factor - 1.0) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_one_to_its_end_and_stays() {
        let schedule = LinearSchedule { end_factor: 0.01, epochs: 500 };
        assert_eq!(schedule.factor(0), 1.0);
        assert!((schedule.factor(250) - 0.505).abs() < 1e-12);
        assert!((schedule.factor(500) - 0.01).abs() < 1e-12);
        assert_eq!(schedule.factor(501), schedule.factor(500));
    }
}
