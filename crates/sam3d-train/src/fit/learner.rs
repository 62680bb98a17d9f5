//! Training steps and validation of a network, without files.

use std::sync::Arc;

use rand::Rng;
use sam3d_data::{
    crops::{CropResult, Crops},
    loader::Loader,
    sampling::rng_for,
};

use super::plan::Plan;
use crate::{
    TrainError,
    communicator::Communicator,
    config::TrainConfig,
    ema::Ema,
    interaction::{SimulatedUsers, UserCrop, validation_losses},
    optimiser::AdamW,
    step::{StepConfig, StepReport, update},
    trainable::TrainableNetwork,
};

/// The result of a validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// The mean soft Dice loss.
    pub loss: f64,
    /// With a simulated user the losses whose mean that is: after the first and after the last click.
    pub rounds: Option<[f64; 2]>,
}

/// A network with its optimiser and its crops.
#[derive(Debug)]
pub struct Learner<'a> {
    pub(crate) config: &'a TrainConfig,
    /// The network.
    pub network: TrainableNetwork,
    /// Its optimiser.
    pub optimiser: AdamW,
    pub(crate) ema: Option<Ema>,
    pub(crate) crops: TrainingCrops,
    pub(crate) plan: Plan,
    pub(crate) ranks: &'a Communicator,
}

/// The loaders of crops.
#[derive(Debug)]
pub struct TrainingCrops {
    /// Those of the training cases.
    pub train: Arc<Crops>,
    /// Those of the validation cases.
    pub validation: Arc<Crops>,
}

/// A step and the crops this process saw in it.
#[derive(Debug)]
pub struct StepOutcome {
    /// The step's outcome.
    pub report: StepReport,
    /// The cases of the crops.
    pub cases: Vec<String>,
    /// Those whose loss is not finite.
    pub broken: Vec<String>,
}

impl<'a> Learner<'a> {
    /// A learner before its first step.
    ///
    /// # Errors
    /// [`TrainError::EpochWithoutStep`] if an epoch has too few crops for a step.
    pub fn new(
        config: &'a TrainConfig,
        mut network: TrainableNetwork,
        crops: TrainingCrops,
        ranks: &'a Communicator,
    ) -> Result<Self, TrainError> {
        network.set_precision(config.train.precision);
        let optimiser = AdamW::new(&network, config.optimiser);
        let ema = config.train.ema_decay.map(|decay| Ema::new(&network, decay));
        let plan = Plan {
            cases: crops.train.cases.len(),
            crops_per_case: config.train.crops_per_case,
            batch_size: config.train.batch_size,
            batches: config.train.accumulate.saturating_mul(ranks.size()),
            // As published: a batch of a comparison network has a crop of each kind.
            whole_steps: config.baseline.is_some(),
        };
        plan.check()?;
        Ok(Self { config, network, optimiser, ema, crops, plan, ranks })
    }

    /// Prepares the training cases that this process draws from, so that no step waits for a case to be prepared.
    ///
    /// # Errors
    /// [`TrainError`] if a case cannot be read.
    pub(crate) fn prepare_cases(&self) -> Result<(), TrainError> {
        let crops = Arc::clone(&self.crops.train);
        let draw = move |case| crops.cases.get(case).map(|_| ());
        let prepared = Loader::new(0..self.crops.train.cases.len(), draw, self.config.train.loader());
        for case in prepared {
            case?;
        }
        Ok(())
    }

    /// The crops that this process takes from step `first` of `epoch` on, drawn ahead of their use.
    pub(crate) fn samples(&self, epoch: u64, first: u64) -> Loader<CropResult> {
        let order = self.crops.train.epoch(epoch, self.plan.crops_per_case);
        let jobs = self.plan.share(&order, first, self.ranks.rank(), self.ranks.size());
        self.crops.train.load_training(jobs, self.config.train.loader())
    }

    /// The learning rate's factor at `step` of `epoch`.
    pub fn factor(&self, epoch: u64, step: u64) -> f64 {
        self.config.schedule().factor(epoch, self.total(epoch, step))
    }

    /// Number of `step` of `epoch` in the run.
    pub(crate) fn total(&self, epoch: u64, step: u64) -> u64 {
        epoch * self.plan.steps() + step
    }

    /// Takes `step` of an epoch with the next samples at `factor` times the configured learning rate, together with the
    /// other processes.
    ///
    /// # Errors
    /// [`TrainError`] if a crop cannot be drawn or does not fit the network.
    pub fn step(
        &mut self,
        step: u64,
        factor: f64,
        samples: &mut Loader<CropResult>,
    ) -> Result<StepOutcome, TrainError> {
        let (seed, taken) = (self.config.seed, self.optimiser.steps());
        let interaction = &self.config.train.interaction;
        let rounds = interaction.map_or(1, |interaction| interaction.rounds_of_step(seed, taken));
        self.step_of_rounds(step, rounds, factor, samples)
    }

    /// As [`step`](Self::step), with a given number of rounds of the simulated user, if there is one.
    pub(crate) fn step_of_rounds(
        &mut self,
        step: u64,
        rounds: u64,
        factor: f64,
        samples: &mut Loader<CropResult>,
    ) -> Result<StepOutcome, TrainError> {
        let config = StepConfig { loss: self.config.loss, recompute: self.config.train.recompute };
        let crops_of_step = self.plan.crops_of(step) as f64;
        let (mut cases, mut broken) = (Vec::new(), Vec::new());
        let mut loss = [0.0];
        self.optimiser.zero_grad();
        let (rank, taken) = (self.ranks.rank(), self.optimiser.steps());
        for places in self.plan.batches_of(step, rank, self.ranks.size()) {
            let seed = rng_for(self.config.seed, taken, &format!("{rank}/{}", places.start)).next_u64();
            let (mut ids, mut drawn, mut draws) = (Vec::new(), Vec::new(), Vec::new());
            for _ in places {
                let crop = samples.next().ok_or(TrainError::Internal("crops ran out"))??;
                ids.push(self.crops.train.cases.id(crop.job.case).to_string());
                draws.push(crop.job.draw);
                drawn.push(crop.sample);
            }
            let batch = self.network.batch(&drawn).map_err(|error| error.in_case(&ids.join(", ")))?;
            let share = drawn.len() as f64 / crops_of_step;
            let part = match (&self.config.train.interaction, &self.network) {
                (Some(interaction), TrainableNetwork::Sam3d(network)) => {
                    let crops = drawn.iter().zip(&ids).zip(&draws);
                    let users = SimulatedUsers {
                        config: interaction,
                        seed: self.config.seed,
                        spacing: self.crops.train.cases.preprocessing().spacing_mm,
                        crops: crops
                            .map(|((sample, case), draw)| UserCrop { sample, case, draw: *draw })
                            .collect(),
                    };
                    users.add_gradients(network, &batch, &config, share, rounds)?
                }
                _ => self.network.add_gradients(&batch, &config, share, seed)?,
            };
            if !part.is_finite() {
                broken.extend_from_slice(&ids);
            }
            loss[0] += part;
            cases.append(&mut ids);
        }
        self.ranks.sum(&mut loss);
        let mut gradients = self.optimiser.gradients();
        self.ranks.sum_gradients(&mut gradients, &self.optimiser.parameters());
        let report = update(&mut self.optimiser, &gradients, loss[0], factor);
        if let (true, Some(ema)) = (report.taken, &mut self.ema) {
            ema.update(&self.network, self.optimiser.steps());
        }
        Ok(StepOutcome { report, cases, broken })
    }

    /// Mean soft Dice loss over one crop of every validation case (all of it for a comparison network); with a simulated
    /// user the mean of the losses after the first and after the last click. Each process takes its part; crops and
    /// prompts are the same in every epoch. `None` if `proceed`, which is told the progress as (done, total), says to stop.
    pub(crate) fn validate(
        &self,
        proceed: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Validation>, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let crops = Arc::clone(&self.crops.validation);
        let (count, ranks, rank) = (crops.cases.len(), self.ranks.size(), self.ranks.rank());
        let own = (rank..count).step_by(ranks);
        let mut samples = Loader::new(own, move |case| crops.validation(case), self.config.train.loader());
        let interaction = &self.config.train.interaction;
        // The losses of all cases after the first click, then those after the last.
        let mut losses = vec![0.0; if interaction.is_some() { 2 * count } else { count }];
        let rounds = count.div_ceil(ranks);
        for round in 0..rounds {
            // Every process asks in every round, also one that has no case left, because they answer together.
            if !proceed(round, rounds) {
                return Ok(None);
            }
            if let Some(drawn) = samples.next() {
                let drawn = drawn?;
                let id = self.crops.validation.cases.id(drawn.job.case).as_str();
                let sample = &drawn.sample;
                if let (Some(interaction), TrainableNetwork::Sam3d(network)) = (interaction, &self.network) {
                    let spacing = self.crops.validation.cases.preprocessing().spacing_mm;
                    let batch = self.network.batch(std::slice::from_ref(sample));
                    let found = batch.and_then(|batch| {
                        validation_losses(network, &batch, sample, spacing, interaction.rounds)
                    });
                    let [first, last] = found.map_err(|error| error.in_case(id))?;
                    (losses[drawn.job.case], losses[count + drawn.job.case]) = (first, last);
                } else {
                    let loss = self.network.validation_loss(sample);
                    losses[drawn.job.case] = loss.map_err(|error| error.in_case(id))?;
                }
            }
        }
        // Each loss is zero in all processes but one, so the sum is exact and in the order of one process.
        self.ranks.sum(&mut losses);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / count as f64;
        let (first, last) = losses.split_at(count);
        Ok(Some(if last.is_empty() {
            Validation { loss: mean(first), rounds: None }
        } else {
            let rounds = [mean(first), mean(last)];
            Validation { loss: (rounds[0] + rounds[1]) / 2.0, rounds: Some(rounds) }
        }))
    }
}
