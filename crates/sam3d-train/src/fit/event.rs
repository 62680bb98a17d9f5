//! Progress of a run, reported to its caller.

use sam3d_model::ParameterCount;

use crate::{
    run::{EpochRecord, StepRecord},
    step::StepReport,
};

/// Progress of a run, reported to its caller. With several processes each reports to its own caller.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run starts or resumes.
    Started {
        /// Values trained and frozen.
        parameters: ParameterCount,
        /// Training cases.
        train_cases: usize,
        /// Validation cases.
        validation_cases: usize,
        /// The first epoch, counted from 0.
        first_epoch: u64,
        /// The first step in it, counted from 0.
        first_step: u64,
        /// Epochs in all, if no time is given.
        epochs: u64,
        /// Seconds of steps in all, in place of epochs, and those that earlier starts of the run took.
        seconds: Option<[f64; 2]>,
        /// Steps of an epoch.
        steps_per_epoch: u64,
    },
    /// A step was taken.
    Step {
        /// Its line in the log.
        record: &'a StepRecord,
    },
    /// A step was skipped, because its loss or a gradient is not finite.
    Skipped {
        /// The cases of the crops that this process saw with a loss that is not finite, or of all its crops.
        cases: &'a [String],
        /// Its loss and gradient norms.
        report: StepReport,
    },
    /// The state was saved within an epoch.
    Saved,
    /// A validation case was scored.
    Validated {
        /// Cases scored by this process.
        done: usize,
        /// Cases it has to score.
        of: usize,
    },
    /// An epoch is over and saved.
    Epoch {
        /// Its line in the log.
        record: &'a EpochRecord,
        /// Whether its validation loss is the lowest so far.
        is_best: bool,
    },
}
