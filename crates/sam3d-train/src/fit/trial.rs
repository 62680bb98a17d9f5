//! Estimates a run's cost by three steps of it; nothing is written.

use std::time::Instant;

use sam3d_data::dataset::PreparedDataset;
use sam3d_model::ParameterCount;
use serde::Serialize;
use tch::Device;

use super::{
    learner::Learner,
    setup::{Start, crops},
};
use crate::{TrainError, communicator::Communicator, config::TrainConfig};

/// Steps of a trial.
pub const STEPS: u64 = 3;

/// The size of a run, before any step of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shape {
    /// Values trained.
    pub trained: usize,
    /// Values frozen.
    pub frozen: usize,
    /// Training cases.
    pub train_cases: usize,
    /// Validation cases.
    pub validation_cases: usize,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
}

/// Times and losses of a trial's steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Seconds of each step. The first also reads its cases and makes libtorch ready.
    pub step_seconds: Vec<f64>,
    /// Loss of each step.
    pub losses: Vec<f64>,
    /// With a simulated user the time of a step with all rounds, relative to one with one round.
    pub interaction_cost: Option<f64>,
    /// Seconds of scoring one validation case.
    pub validation_case_seconds: f64,
    /// Seconds of an epoch with its validation, estimated from the steps after the first.
    pub epoch_seconds: f64,
}

/// Passes `describe` the size of the run of `config` and, if that returns true, takes its first steps.
///
/// # Errors
/// [`TrainError`] if the configuration or the data do not allow the run.
pub fn trial(
    config: &TrainConfig,
    device: Device,
    describe: &mut dyn FnMut(&Shape) -> bool,
) -> Result<Option<Trial>, TrainError> {
    config.validate()?;
    let prepared = PreparedDataset::open(&config.data_directory())?;
    let crops = crops(config, &prepared)?;
    let (train_cases, validation_cases) = (crops.train.cases.len(), crops.validation.cases.len());
    let ranks = Communicator::alone();
    let start = Start::of(config, device)?;
    let ParameterCount { trained, frozen } = start.network.count_parameters();
    let mut learner = Learner::new(config, start.network, crops, &ranks)?;
    let plan = learner.plan;
    let shape = Shape { trained, frozen, train_cases, validation_cases, steps_per_epoch: plan.steps() };
    if !describe(&shape) {
        return Ok(None);
    }

    let (mut step_seconds, mut losses) = (Vec::new(), Vec::new());
    let most_rounds = config.train.interaction.map(|interaction| interaction.rounds);
    // An epoch may have fewer steps than a trial.
    let epochs = STEPS.div_ceil(plan.steps());
    for epoch in 0..epochs {
        let mut samples = learner.samples(epoch, 0);
        for step in 0..plan.steps().min(STEPS - losses.len() as u64) {
            let begun = Instant::now();
            // One of the steps that count has one round and one has all: their mean is that of the run.
            let rounds = if losses.len() == 1 { 1 } else { most_rounds.unwrap_or(1) };
            let stepped = learner.step_of_rounds(step, rounds, 0.0, &mut samples)?;
            step_seconds.push(begun.elapsed().as_secs_f64());
            losses.push(stepped.report.loss);
        }
    }
    let begun = Instant::now();
    learner.validate(&mut |done, _| done == 0)?;
    let validation_case_seconds = begun.elapsed().as_secs_f64();
    let later = &step_seconds[1..];
    let step = later.iter().sum::<f64>() / later.len() as f64;
    let validation = validation_case_seconds * validation_cases as f64;
    let epoch_seconds = step * plan.steps() as f64 + validation / config.train.validate_every as f64;
    let interaction_cost = most_rounds.and(later.first().zip(later.last()).map(|(one, all)| all / one));
    Ok(Some(Trial { step_seconds, losses, interaction_cost, validation_case_seconds, epoch_seconds }))
}
