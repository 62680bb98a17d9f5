//! The training loop.

use std::{sync::Arc, time::Instant};

use sam3d_geom::{Extent, Point, Prompt};
use sam3d_io::{
    augment::{AugmentConfig, Sample},
    case_store::{CaseStore, Storage},
    crops::{CropResult, Crops},
    dataset::{Dataset, PreparedDataset},
    loader::Loader,
    splits::Part,
};
use sam3d_model::{Checkpoint, FORMAT_VERSION, Metadata, ParameterCount, Provenance, Sam3d};
use tch::{Device, Kind, Tensor};

use crate::{
    TrainError,
    config::TrainConfig,
    loss::soft_dice_loss,
    optimiser::AdamW,
    run::{EpochRecord, Progress, RunDirectory},
    step::{Batch, StepConfig, StepReport, train_step},
};

/// What a run tells its caller.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins or goes on.
    Started {
        /// Values trained and frozen.
        parameters: ParameterCount,
        /// Training cases.
        train_cases: usize,
        /// Validation cases.
        validation_cases: usize,
        /// The first epoch, counted from 0.
        first_epoch: u64,
        /// Epochs in all.
        epochs: u64,
        /// Steps of an epoch.
        steps_per_epoch: u64,
    },
    /// A step was taken.
    Step {
        /// Its number in the epoch, counted from 0.
        step: u64,
        /// The case.
        case: &'a str,
        /// What it did.
        report: StepReport,
    },
    /// An epoch is over and saved.
    Epoch {
        /// What was logged of it.
        record: &'a EpochRecord,
        /// Whether its validation loss is the lowest so far.
        is_best: bool,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How far it came.
    pub progress: Progress,
    /// Whether the time limit ended it before its last epoch.
    pub out_of_time: bool,
    /// Its files.
    pub directory: RunDirectory,
}

/// Trains as `config` says; with `resume`, goes on with the run in its directory.
///
/// # Errors
/// [`TrainError`] if the configuration, the data or the run directory do not allow it, or the loss is no number.
pub fn fit(
    config: &TrainConfig,
    device: Device,
    resume: bool,
    observe: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, TrainError> {
    let start = Instant::now();
    config.validate()?;
    let prepared = PreparedDataset::open(&config.data_directory())?;
    let dataset = &prepared.dataset;
    let storage = config.storage()?;
    let train = crops(config, &prepared, Part::Train, &storage)?;
    let validation = crops(config, &prepared, Part::Validation, &storage)?;

    let model = config.model.config();
    let mut network = Sam3d::new(&model, device, config.seed)?;
    network.set_precision(config.train.precision);
    if let (Some(path), false) = (&config.pretrained, resume) {
        network.load(&Checkpoint::read(path)?.tensors)?;
    }
    let mut optimiser = AdamW::new(&network, config.optimiser);
    let (directory, mut progress) = if resume {
        let directory = RunDirectory::reopen(&config.run_directory(), config)?;
        let progress = directory.restore(&mut network, &mut optimiser)?;
        (directory, progress)
    } else {
        (RunDirectory::create(&config.run_directory(), config)?, Progress::default())
    };

    observe(&Event::Started {
        parameters: network.count_parameters(),
        train_cases: train.cases.len(),
        validation_cases: validation.cases.len(),
        first_epoch: progress.epochs,
        epochs: config.train.epochs,
        steps_per_epoch: train.cases.len() as u64 * config.train.crops_per_case,
    });
    let run = Run { config, dataset, network: &network, train: &train, validation: &validation };
    let mut out_of_time = false;
    let last = config.train.stop_after.unwrap_or(u64::MAX).min(config.train.epochs);
    while progress.epochs < last {
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        if config.train.max_minutes.is_some_and(|limit| minutes >= limit) {
            out_of_time = true;
            break;
        }
        let record = run.epoch(progress.epochs, &mut optimiser, observe)?;
        let lowest = |loss: f64| progress.best.is_none_or(|best| loss < best);
        let is_best = record.validation_loss.is_some_and(lowest);
        progress = Progress {
            epochs: progress.epochs + 1,
            steps: optimiser.steps(),
            best: if is_best { record.validation_loss } else { progress.best },
        };
        let metadata = run.metadata(&record);
        directory.log(&record)?;
        directory.save(&network, &optimiser, &progress, &metadata, is_best)?;
        observe(&Event::Epoch { record: &record, is_best });
    }
    Ok(Outcome { progress, out_of_time, directory })
}

/// What stays the same from epoch to epoch.
struct Run<'a> {
    config: &'a TrainConfig,
    dataset: &'a Dataset,
    network: &'a Sam3d,
    train: &'a Arc<Crops>,
    validation: &'a Arc<Crops>,
}

/// Where the crops of one part of the dataset come from.
fn crops(
    config: &TrainConfig,
    prepared: &PreparedDataset,
    part: Part,
    storage: &Storage,
) -> Result<Arc<Crops>, TrainError> {
    let dataset = &prepared.dataset;
    let cases: Vec<_> = prepared.part(config.fold, part)?.into_iter().cloned().collect();
    if cases.is_empty() {
        return Err(TrainError::SplitEmpty { dataset: dataset.name.clone(), split: part.name() });
    }
    let augmentation = config.augmentation.clone();
    Ok(Arc::new(Crops {
        cases: CaseStore::new(cases, dataset.target_class, dataset.preprocessing, storage.clone()),
        augmentation: augmentation.unwrap_or_else(|| AugmentConfig::published(dataset.in_plane_augmentation)),
        side: config.model.config().crop,
        seed: config.seed,
    }))
}

impl Run<'_> {
    /// One pass over the training cases, and the validation if it is due.
    fn epoch(
        &self,
        epoch: u64,
        optimiser: &mut AdamW,
        observe: &mut dyn FnMut(&Event<'_>),
    ) -> Result<EpochRecord, TrainError> {
        let start = Instant::now();
        let factor = self.config.schedule().factor(epoch);
        let jobs = self.train.epoch(epoch, self.config.train.crops_per_case);
        let samples = self.train.load_training(jobs, self.config.train.loader());
        let reports = self.steps(epoch, factor, samples, optimiser, observe)?;
        let last = epoch + 1 == self.config.train.epochs;
        let due = last || (epoch + 1).is_multiple_of(self.config.train.validate_every);
        let validation_loss = if due { Some(self.validate()?) } else { None };
        let mean = |value: &dyn Fn(&StepReport) -> f64| {
            reports.iter().map(value).sum::<f64>() / reports.len() as f64
        };
        Ok(EpochRecord {
            epoch,
            train_loss: mean(&|report| report.loss),
            grad_norms: std::array::from_fn(|module| mean(&|report| report.grad_norms[module])),
            learning_rate: self.config.optimiser.learning_rate * factor,
            validation_loss,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    fn steps(
        &self,
        epoch: u64,
        factor: f64,
        samples: Loader<CropResult>,
        optimiser: &mut AdamW,
        observe: &mut dyn FnMut(&Event<'_>),
    ) -> Result<Vec<StepReport>, TrainError> {
        let step = StepConfig { loss: self.config.loss, recompute: self.config.train.recompute };
        let mut reports = Vec::new();
        for drawn in samples {
            let drawn = drawn?;
            let case = self.train.cases.id(drawn.job.case).as_str();
            let batch = self.batch(&drawn.sample).map_err(|error| error.in_case(case))?;
            let report = train_step(self.network, optimiser, &batch, &step, factor)?;
            if !report.loss.is_finite() {
                return Err(TrainError::LossNotFinite { epoch, case: case.to_owned(), loss: report.loss });
            }
            observe(&Event::Step { step: reports.len() as u64, case, report });
            reports.push(report);
        }
        Ok(reports)
    }

    /// Mean soft Dice loss over one crop of every validation case; the same crops and prompts in every epoch.
    fn validate(&self) -> Result<f64, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let count = self.validation.cases.len();
        let mut sum = 0.0;
        for drawn in self.validation.load_validation(self.config.train.loader()) {
            let drawn = drawn?;
            let id = self.validation.cases.id(drawn.job.case).as_str();
            let batch = self.batch(&drawn.sample).map_err(|error| error.in_case(id))?;
            let logits = self.network.forward(&batch.image, &batch.prompts)?;
            sum += soft_dice_loss(&logits, &batch.label).mean(Kind::Float).double_value(&[]);
        }
        Ok(sum / count as f64)
    }

    fn batch(&self, sample: &Sample) -> Result<Batch, TrainError> {
        let side = self.train.side;
        let extent = Extent::new([side; 3])?;
        let points = sample.points.iter().map(|index| Point::positive(*index)).collect();
        let prompts = vec![Prompt::new(points, extent)?];
        let side = side as i64;
        let image: Vec<f32> = sample.image.iter().copied().collect();
        let label: Vec<i64> = sample.label.iter().map(|value| i64::from(*value)).collect();
        let device = self.network.device();
        Ok(Batch {
            image: Tensor::from_slice(&image).view([1, 1, side, side, side]).to_device(device),
            label: Tensor::from_slice(&label).view([1, side, side, side]).to_device(device),
            prompts,
        })
    }

    fn metadata(&self, record: &EpochRecord) -> Metadata {
        Metadata {
            format_version: FORMAT_VERSION,
            model: self.network.config().clone(),
            preprocessing: Some(self.dataset.preprocessing),
            provenance: Provenance {
                written_by: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
                source: format!("trained on {} ({})", self.dataset.name, self.dataset.title),
                epoch: Some(record.epoch),
                validation_loss: record.validation_loss,
            },
        }
    }
}
