//! The training loop.

mod event;
mod learner;
mod plan;
mod saving;
mod setup;
pub mod trial;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use sam3d_data::{
    crops::CropResult,
    dataset::{Dataset, PreparedDataset},
    loader::Loader,
};
use sam3d_model::{Base, ParameterCount};
use tch::Device;

pub use self::{
    event::Event,
    learner::{Learner, StepOutcome, TrainingCrops, Validation},
};
use crate::{
    TrainError,
    communicator::Communicator,
    config::TrainConfig,
    run::{EpochRecord, Invocation, Log, Progress, RunDirectory, RunLock, StepRecord},
};

/// How a run is carried out; none of it changes the result.
#[derive(Debug)]
pub struct FitOptions<'a> {
    /// The device to compute on.
    pub device: Device,
    /// Whether to resume the run in the directory.
    pub resume: bool,
    /// Set from outside to make the run finish its step, save and end.
    pub stop: &'a AtomicBool,
    /// The processes that train together.
    pub ranks: &'a Communicator,
    /// For the manifest.
    pub invocation: Invocation,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its progress.
    pub progress: Progress,
    /// The reason it ended.
    pub ended: Ended,
    /// Numbers of trained and of frozen values.
    pub parameters: ParameterCount,
    /// Its files.
    pub directory: RunDirectory,
}

/// The reason a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs are done.
    Complete,
    /// The validation loss has not fallen for as long as the configuration waits.
    NoBetter,
    /// The epochs after which it was to stop are done.
    StopAfter,
    /// The time is up.
    OutOfTime,
    /// It was told to stop.
    Stopped,
}

/// Trains as `config` says, observed by `observe`.
///
/// # Errors
/// [`TrainError`] if the configuration, the data or the run directory do not allow it, or the loss is not finite too
/// often. Everything saved before remains.
pub fn fit(
    config: &TrainConfig,
    options: &FitOptions<'_>,
    observe: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, TrainError> {
    let start = Instant::now();
    config.validate()?;
    let prepared = PreparedDataset::open(&config.data_directory())?;
    let opened = saving::open(config, options, setup::crops(config, &prepared)?)?;
    let mut run = Run {
        dataset: &prepared.dataset,
        options,
        start,
        saved: Instant::now(),
        steps_since_save: 0,
        learner: opened.learner,
        directory: opened.directory,
        base: opened.base,
        progress: opened.progress,
        log: opened.log,
        _lock: opened.lock,
    };
    let parameters = run.learner.network.count_parameters();
    observe(&Event::Started {
        parameters,
        train_cases: run.learner.crops.train.cases.len(),
        validation_cases: run.learner.crops.validation.cases.len(),
        first_epoch: run.progress.epochs,
        first_step: run.progress.step,
        epochs: config.train.epochs,
        seconds: config.train.minutes.map(|minutes| [60.0 * minutes, run.progress.trained_seconds]),
        steps_per_epoch: run.learner.plan.steps(),
    });
    if config.train.minutes.is_some() && run.done().is_none() {
        run.learner.prepare_cases()?;
    }
    let ended = run.epochs(observe)?;
    Ok(Outcome { progress: run.progress, ended, parameters, directory: run.directory })
}

/// A run under way.
struct Run<'a> {
    dataset: &'a Dataset,
    options: &'a FitOptions<'a>,
    start: Instant,
    saved: Instant,
    steps_since_save: u64,
    learner: Learner<'a>,
    directory: RunDirectory,
    base: Base,
    progress: Progress,
    /// Kept by the process that writes.
    log: Option<Log>,
    /// Held by the process that writes.
    _lock: Option<RunLock>,
}

impl Run<'_> {
    /// The whole loop: steps, validation, saving, until something ends it.
    fn epochs(&mut self, observe: &mut dyn FnMut(&Event<'_>)) -> Result<Ended, TrainError> {
        loop {
            if let Some(ended) = self.done() {
                return Ok(ended);
            }
            let interrupted = match self.steps(observe)? {
                Some(ended) => Some(ended),
                None => self.close_epoch(observe)?,
            };
            if let Some(ended) = interrupted {
                self.save(None)?;
                return Ok(ended);
            }
        }
    }

    /// Whether the run is at its end.
    fn done(&self) -> Option<Ended> {
        let settings = &self.learner.config.train;
        let is_long_enough = match settings.minutes {
            // An epoch that the end of the time cut short has still to be closed.
            Some(_) => self.time_is_used() && self.progress.step == 0,
            None => self.progress.epochs >= settings.epochs,
        };
        if is_long_enough {
            Some(Ended::Complete)
        } else if settings.patience > 0 && self.progress.waited >= settings.patience {
            Some(Ended::NoBetter)
        } else if settings.stop_after.is_some_and(|epochs| self.progress.epochs >= epochs) {
            Some(Ended::StopAfter)
        } else {
            None
        }
    }

    /// Whether the run has trained for as long as the configuration says, if that gives a time.
    fn time_is_used(&self) -> bool {
        self.learner
            .config
            .train
            .minutes
            .is_some_and(|minutes| self.progress.trained_seconds >= 60.0 * minutes)
    }

    /// The learning rate's factor at `step` of the epoch under way.
    fn factor(&self, step: u64) -> f64 {
        let epoch = self.progress.epochs;
        match self.learner.config.train.minutes {
            Some(minutes) => {
                let share = self.progress.trained_seconds / (60.0 * minutes);
                self.learner.config.schedule().factor_at(share, self.learner.total(epoch, step))
            }
            None => self.learner.factor(epoch, step),
        }
    }

    /// Whether the run has to end before that. All processes get the same answer.
    fn interrupted(&self) -> Option<Ended> {
        let minutes = self.start.elapsed().as_secs_f64() / 60.0;
        let limit = self.learner.config.train.max_minutes;
        let mut found = [
            f64::from(u8::from(self.options.stop.load(Ordering::Relaxed))),
            f64::from(u8::from(limit.is_some_and(|limit| minutes >= limit))),
        ];
        self.options.ranks.sum(&mut found);
        match found {
            [stopped, _] if stopped > 0.0 => Some(Ended::Stopped),
            [_, out_of_time] if out_of_time > 0.0 => Some(Ended::OutOfTime),
            _ => None,
        }
    }

    /// The steps of the epoch under way that are not done, while other threads draw their crops.
    fn steps(&mut self, observe: &mut dyn FnMut(&Event<'_>)) -> Result<Option<Ended>, TrainError> {
        let mut samples = self.learner.samples(self.progress.epochs, self.progress.step);
        while self.progress.step < self.learner.plan.steps() && !self.time_is_used() {
            if let Some(ended) = self.interrupted() {
                return Ok(Some(ended));
            }
            self.step(&mut samples, observe)?;
            if self.save_is_due() {
                self.save(None)?;
                observe(&Event::Saved);
            }
        }
        Ok(None)
    }

    fn step(
        &mut self,
        samples: &mut Loader<CropResult>,
        observe: &mut dyn FnMut(&Event<'_>),
    ) -> Result<(), TrainError> {
        let begun = Instant::now();
        let Progress { epochs: epoch, step, .. } = self.progress;
        let factor = self.factor(step);
        let stepped = self.learner.step(step, factor, samples)?;
        // The mean over all processes, so that they agree on the learning rate and on the end.
        let mut elapsed = [begun.elapsed().as_secs_f64()];
        self.options.ranks.sum(&mut elapsed);
        let seconds = elapsed[0] / self.options.ranks.size() as f64;
        let report = stepped.report;
        self.progress.add(&report, seconds);
        self.steps_since_save += 1;
        let record = StepRecord {
            epoch,
            step,
            total: self.learner.total(epoch, step),
            loss: report.loss.is_finite().then_some(report.loss),
            grad_norms: report.grad_norms.map(|norm| if norm.is_finite() { norm } else { 0.0 }),
            taken: report.taken,
            learning_rate: self.learner.optimiser.learning_rate() * factor,
            seconds,
            cases: stepped.cases,
        };
        if let Some(log) = &mut self.log {
            log.step(&record)?;
        }
        observe(&Event::Step { record: &record });
        if !report.taken {
            let cases = if stepped.broken.is_empty() { &record.cases } else { &stepped.broken };
            observe(&Event::Skipped { cases, report });
            let (skipped, limit) = (self.progress.skipped, self.learner.config.train.max_skipped_steps);
            if skipped > limit {
                return Err(TrainError::TooManySkipped { skipped, epoch, cases: cases.join(", ") });
            }
        }
        Ok(())
    }

    /// Validation if it is due, the epoch's line in the log, and everything saved; or why this was not finished.
    fn close_epoch(&mut self, observe: &mut dyn FnMut(&Event<'_>)) -> Result<Option<Ended>, TrainError> {
        let begun = Instant::now();
        let Progress { epochs: epoch, step, sums, .. } = self.progress;
        let config = self.learner.config;
        let is_last = match config.train.minutes {
            Some(_) => self.time_is_used(),
            None => epoch + 1 == config.train.epochs,
        };
        let due = is_last || (epoch + 1).is_multiple_of(config.train.validate_every);
        let validation = if due {
            match self.validate(observe)? {
                Ok(validation) => Some(validation),
                Err(ended) => return Ok(Some(ended)),
            }
        } else {
            None
        };
        let validation_loss = validation.map(|validation| validation.loss);
        if let Some(loss) = validation_loss.filter(|loss| !loss.is_finite()) {
            tracing::warn!(
                "the validation loss of epoch {} is {loss}: its weights are not kept as the best",
                epoch + 1
            );
        }
        let last = self.factor(step.saturating_sub(1));
        let record = EpochRecord {
            epoch,
            train_loss: sums.mean_loss(),
            grad_norms: sums.mean_grad_norms(),
            learning_rate: config.optimiser.learning_rate * last,
            validation_loss,
            validation_rounds: validation
                .and_then(|validation| validation.rounds)
                .filter(|rounds| rounds.iter().all(|loss| loss.is_finite())),
            skipped: sums.skipped,
            seconds: sums.seconds + begun.elapsed().as_secs_f64(),
        };
        let is_best = self.progress.close_epoch(validation_loss);
        if let Some(log) = &mut self.log {
            log.epoch(&record, self.learner.total(epoch, step))?;
        }
        self.save(Some((&record, is_best)))?;
        observe(&Event::Epoch { record: &record, is_best });
        Ok(None)
    }

    /// The validation, of the average of the weights if one is kept; or what interrupted it.
    fn validate(
        &mut self,
        observe: &mut dyn FnMut(&Event<'_>),
    ) -> Result<Result<Validation, Ended>, TrainError> {
        self.exchange_average();
        let mut ended = None;
        let validation = self.learner.validate(&mut |done, of| {
            observe(&Event::Validated { done, of });
            ended = self.interrupted();
            ended.is_none()
        });
        self.exchange_average();
        Ok(match (validation?, ended) {
            (Some(validation), _) => Ok(validation),
            (None, ended) => Err(ended.unwrap_or(Ended::Stopped)),
        })
    }
}
