//! Loading a run from its files and saving it.

use std::{path::Path, time::Instant};

use sam3d_baselines::{BaselineCheckpoint, BaselineMetadata};
use sam3d_model::{Base, Checkpoint, FORMAT_VERSION, Metadata, Provenance};

use super::{
    FitOptions, Run,
    learner::{Learner, TrainingCrops},
    setup::{Start, network_of_base},
};
use crate::{
    TrainError,
    config::TrainConfig,
    run::{DatasetHashes, EpochRecord, Log, Manifest, Progress, RunDirectory, RunLock, RunState, Session},
    trainable::TrainableNetwork,
};

/// The version of libtorch that tch fixes.
const LIBTORCH_VERSION: &str = "2.13.0";

/// A run ready to start or to resume.
pub(super) struct ReadyRun<'a> {
    pub(super) learner: Learner<'a>,
    pub(super) directory: RunDirectory,
    pub(super) base: Base,
    pub(super) progress: Progress,
    pub(super) log: Option<Log>,
    pub(super) lock: Option<RunLock>,
}

/// Starts the run of `config`, or resumes it if `options` say so. One process writes; all read.
pub(super) fn open<'a>(
    config: &'a TrainConfig,
    options: &FitOptions<'a>,
    crops: TrainingCrops,
) -> Result<ReadyRun<'a>, TrainError> {
    let ranks = options.ranks;
    let hashes = DatasetHashes::of(config)?;
    let (directory, lock) = directory(config, options)?;
    let (mut learner, mut manifest, progress);
    if options.resume {
        manifest = Manifest::read(&directory)?;
        if !manifest.dataset.same_split(&hashes) {
            let detail = format!(
                "the dataset or its split in {} is not the one this run was started with; go on with that, or start anew in \
                 another directory",
                hashes.directory.display()
            );
            return Err(TrainError::RunFile { path: directory.manifest_path(), detail });
        }
        let network = network_of_base(config, options.device, &directory, &manifest.base)?;
        learner = Learner::new(config, network, crops, ranks)?;
        progress = state(&mut learner).read(&directory.state_path())?;
    } else {
        let start = Start::of(config, options.device)?;
        let base = if ranks.is_root() { start.base(&directory)? } else { Base::default() };
        manifest = Manifest {
            libtorch: LIBTORCH_VERSION.to_owned(),
            seed: config.seed,
            dataset: hashes,
            base,
            pretrained_sha256: start.pretrained_sha256,
            sessions: Vec::new(),
        };
        learner = Learner::new(config, start.network, crops, ranks)?;
        ranks.broadcast(&learner.network.tensors());
        progress = Progress::default();
    }
    let log = if ranks.is_root() {
        let device = format!("{:?}", options.device).to_lowercase();
        manifest.sessions.push(Session::new(options.invocation.clone(), device, ranks.size(), &progress));
        directory.write_config(config)?;
        manifest.write(&directory)?;
        let total = learner.total(progress.epochs, progress.step);
        Some(Log::open(&directory, &progress, total)?)
    } else {
        None
    };
    Ok(ReadyRun { learner, directory, base: manifest.base, progress, log, lock })
}

/// The run's directory, which the first process makes or reopens, and locks for all; the others wait until it has done so
/// or has failed.
fn directory(
    config: &TrainConfig,
    options: &FitOptions<'_>,
) -> Result<(RunDirectory, Option<RunLock>), TrainError> {
    let path = config.run_directory();
    let opened = options
        .ranks
        .is_root()
        .then(|| if options.resume { RunDirectory::reopen(&path) } else { RunDirectory::create(&path) });
    options.ranks.barrier();
    Ok(match opened {
        Some(opened) => {
            let (directory, lock) = opened?;
            (directory, Some(lock))
        }
        None => (RunDirectory::at(&path), None),
    })
}

fn state<'b>(learner: &'b mut Learner<'_>) -> RunState<'b> {
    RunState { network: &mut learner.network, optimiser: &mut learner.optimiser, ema: learner.ema.as_mut() }
}

impl Run<'_> {
    /// Whether the run has gone as long without saving as the configuration allows. All processes get the same answer.
    pub(super) fn save_is_due(&self) -> bool {
        let settings = &self.learner.config.train;
        let by_steps = settings.save_every_steps > 0 && self.steps_since_save >= settings.save_every_steps;
        let minutes = self.saved.elapsed().as_secs_f64() / 60.0;
        let by_time = settings.save_every_minutes > 0.0 && minutes >= settings.save_every_minutes;
        // The last step of an epoch is followed by a save of its own.
        self.progress.step < self.learner.plan.steps() && self.options.ranks.any(by_steps || by_time)
    }

    /// Saves the run's state; after an epoch also its weights as the best, if they are.
    ///
    /// The state comes last: whatever happens before, the run goes on from the one saved earlier and writes the same
    /// files again.
    pub(super) fn save(&mut self, epoch: Option<(&EpochRecord, bool)>) -> Result<(), TrainError> {
        (self.saved, self.steps_since_save) = (Instant::now(), 0);
        if !self.options.ranks.is_root() {
            return Ok(());
        }
        if let Some(log) = &mut self.log {
            log.flush()?;
        }
        tracing::debug!(
            "saving the state after {} epochs and {} steps",
            self.progress.epochs,
            self.progress.step
        );
        let record = epoch.map(|(record, _)| record);
        self.exchange_average();
        let written = self.write_checkpoints(record, epoch.is_some_and(|(_, is_best)| is_best));
        self.exchange_average();
        written?;
        state(&mut self.learner).write(&self.progress, &self.directory.state_path())
    }

    fn write_checkpoints(&self, record: Option<&EpochRecord>, is_best: bool) -> Result<(), TrainError> {
        if is_best {
            self.write_checkpoint(record, &self.directory.best_path())?;
        }
        self.write_checkpoint(record, &self.directory.last_path())
    }

    fn write_checkpoint(&self, record: Option<&EpochRecord>, path: &Path) -> Result<(), TrainError> {
        let preprocessing = Some(*self.learner.crops.train.cases.preprocessing());
        let provenance = self.provenance(record);
        match &self.learner.network {
            TrainableNetwork::Sam3d(network) => {
                let metadata = Metadata {
                    format_version: FORMAT_VERSION,
                    model: network.config().clone(),
                    preprocessing,
                    provenance,
                    base: (!self.learner.config.train.full_checkpoints).then(|| self.base.clone()),
                };
                Checkpoint::write(network, &metadata, path)?;
            }
            TrainableNetwork::Baseline(network) => {
                let metadata = BaselineMetadata {
                    format_version: sam3d_baselines::FORMAT_VERSION,
                    network: network.config().clone(),
                    preprocessing,
                    provenance,
                };
                BaselineCheckpoint::write(network, &metadata, path)?;
            }
        }
        Ok(())
    }

    /// Puts the average of the weights in their place, and the second time back again. Nothing if none is kept.
    pub(super) fn exchange_average(&mut self) {
        if let Some(ema) = &mut self.learner.ema {
            ema.swap(&self.learner.network);
        }
    }

    fn provenance(&self, record: Option<&EpochRecord>) -> Provenance {
        Provenance {
            written_by: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: format!("trained on {} ({})", self.dataset.name, self.dataset.title),
            epoch: Some(self.progress.epochs),
            validation_loss: record.and_then(|record| record.validation_loss),
        }
    }
}
