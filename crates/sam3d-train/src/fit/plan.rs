//! Which crops belong to which step of an epoch, and to which process.

use std::ops::Range;

use sam3d_data::crops::CropJob;

use crate::TrainError;

/// How an epoch is cut into steps. The order of its crops is given; a step takes `batch_size * batches` of them, and the
/// processes take turns at its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Training cases.
    pub(crate) cases: usize,
    /// Crops of each case in an epoch.
    pub(crate) crops_per_case: u64,
    /// Crops in a batch.
    pub(crate) batch_size: usize,
    /// Batches of a step, over all processes.
    pub(crate) batches: usize,
    /// Leave out the crops at the end of an epoch that fill no step.
    pub(crate) whole_steps: bool,
}

impl Plan {
    /// Fails if an epoch has no step.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        if self.steps() > 0 {
            return Ok(());
        }
        Err(TrainError::EpochWithoutStep {
            crops: self.crops(),
            cases: self.cases,
            crops_per_case: self.crops_per_case,
            step: self.crops_of_whole_step(),
            batch_size: self.batch_size,
            batches: self.batches,
        })
    }

    /// Steps of an epoch; the last may have fewer crops than the others.
    pub(crate) fn steps(&self) -> u64 {
        let size = self.crops_of_whole_step() as u64;
        let crops = self.crops() as u64;
        if self.whole_steps { crops / size } else { crops.div_ceil(size) }
    }

    fn crops(&self) -> usize {
        self.cases.saturating_mul(self.crops_per_case as usize)
    }

    fn crops_of_whole_step(&self) -> usize {
        self.batch_size.saturating_mul(self.batches)
    }

    /// Number of crops of `step`, over all processes.
    pub(crate) fn crops_of(&self, step: u64) -> usize {
        self.range(step).len()
    }

    /// The batches of `step` that process `rank` of `ranks` takes, as places in the order.
    pub(crate) fn batches_of(&self, step: u64, rank: usize, ranks: usize) -> Vec<Range<usize>> {
        let Range { start, end } = self.range(step);
        (start..end)
            .step_by(self.batch_size)
            .map(|first| first..first.saturating_add(self.batch_size).min(end))
            .skip(rank)
            .step_by(ranks)
            .collect()
    }

    /// The crops of an epoch in `order` that process `rank` of `ranks` draws from step `first` on.
    pub(crate) fn share(&self, order: &[CropJob], first: u64, rank: usize, ranks: usize) -> Vec<CropJob> {
        (first..self.steps())
            .flat_map(|step| self.batches_of(step, rank, ranks))
            .flat_map(|batch| order[batch].to_vec())
            .collect()
    }

    fn range(&self, step: u64) -> Range<usize> {
        let size = self.crops_of_whole_step();
        let start = (step as usize).saturating_mul(size).min(self.crops());
        start..start.saturating_add(size).min(self.crops())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { cases: 5, crops_per_case: 3, batch_size: 2, batches: 3, whole_steps: false };

    fn order() -> Vec<CropJob> {
        (0..15).map(|place| CropJob { case: place % 5, draw: place as u64, place }).collect()
    }

    #[test]
    fn the_last_step_takes_what_is_left() {
        assert_eq!(PLAN.steps(), 3);
        assert_eq!([0, 1, 2].map(|step| PLAN.crops_of(step)), [6, 6, 3]);
    }

    #[test]
    fn processes_share_out_what_one_would_draw() {
        assert_eq!(PLAN.share(&order(), 0, 0, 1), order());
        for ranks in 1..5 {
            let mut shared: Vec<CropJob> =
                (0..ranks).flat_map(|rank| PLAN.share(&order(), 0, rank, ranks)).collect();
            shared.sort_unstable_by_key(|job| job.draw);
            assert_eq!(shared, order(), "{ranks}");
        }
        // The last step has two batches; the third process of three has none.
        let places = |rank| PLAN.batches_of(2, rank, 3).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!([0, 1, 2].map(places), [vec![12, 13], vec![14], vec![]]);
    }

    #[test]
    fn what_fills_no_step_is_left_out_if_asked_for() {
        let plan = Plan { whole_steps: true, ..PLAN };
        assert_eq!(plan.steps(), 2);
        assert_eq!(plan.share(&order(), 0, 0, 1), order()[..12]);
    }

    #[test]
    fn an_epoch_without_a_step_is_refused_with_its_numbers() {
        PLAN.check().unwrap();
        let plan = Plan { cases: 1, whole_steps: true, ..PLAN };
        let error = plan.check().unwrap_err().to_string();
        let numbers = "an epoch has 3 crops (1 cases, 3 of each), fewer than the 6 of one step (batches of 2, 3 in a step";
        assert!(error.contains(numbers) && error.contains("train.crops_per_case"), "{error}");
        // A step that is not full will do elsewhere, however large it was to be.
        let plan = Plan { batch_size: usize::MAX, whole_steps: false, ..PLAN };
        assert_eq!((plan.steps(), plan.crops_of(0)), (1, 15));
        assert!(plan.batches_of(0, 0, 1).into_iter().flatten().eq(0..15));
    }

    #[test]
    fn an_epoch_goes_on_at_any_step() {
        assert_eq!(PLAN.share(&order(), 1, 0, 1), order()[6..]);
        assert!(PLAN.share(&order(), 3, 0, 1).is_empty());
    }
}
