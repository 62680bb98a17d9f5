//! A training run's settings: one TOML file.

use std::{path::PathBuf, sync::Arc};

use sam3d_data::{augment::AugmentConfig, cache::VolumeCache, case_store::Storage, loader::LoaderConfig};
use sam3d_model::{ModelConfig, Precision, Preset, Recompute};
use serde::{Deserialize, Serialize};

pub use crate::model_choice::ModelChoice;
use crate::{
    TrainError,
    baseline::BaselineConfig,
    interaction::InteractionConfig,
    loss::LossConfig,
    optimiser::AdamWConfig,
    schedule::{Decay, Schedule},
    variant::VariantConfig,
};

/// Every setting of a run. Settings that a file omits have their defaults: the published recipe on the demo data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Name of the dataset; decides the default of `data`.
    pub dataset: String,
    /// Directory of the prepared dataset; `data/<dataset>` if not given.
    pub data: Option<PathBuf>,
    /// Run directory; `runs/<dataset>` if not given, with `-fold<n>` for every fold but the first.
    pub out: Option<PathBuf>,
    /// Weights to start from (safetensors), where names and shapes agree.
    pub pretrained: Option<PathBuf>,
    /// Seed of initial weights and of every draw.
    pub seed: u64,
    /// Fold of the dataset's splits.
    pub fold: usize,
    /// A preset's name, or a table with every size.
    pub model: ModelChoice,
    /// Label points: a learned embedding of positive and of negative points is added to their features. The published
    /// method has no labels.
    pub point_labels: bool,
    /// Variants of the network that `model` names: prompt-free, another way of tuning, ablations.
    pub variant: VariantConfig,
    /// Length of the run, batches, validation and saving.
    pub train: LoopConfig,
    /// AdamW and clipping.
    pub optimiser: AdamWConfig,
    /// Weights of the loss.
    pub loss: LossConfig,
    /// Augmentation of training crops; the published chain for the dataset if not given.
    pub augmentation: Option<AugmentConfig>,
    /// Train a comparison network in place of `model`.
    pub baseline: Option<BaselineConfig>,
}

/// Length of a run, batches, validation and saving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoopConfig {
    /// Passes over the training cases.
    pub epochs: u64,
    /// Crops drawn from each case in an epoch.
    pub crops_per_case: u64,
    /// Crops in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are averaged before each step.
    pub accumulate: usize,
    /// Epochs from one validation to the next.
    pub validate_every: u64,
    /// Schedule of the learning rate over the epochs.
    pub schedule: Decay,
    /// Final learning rate as a fraction of the initial one.
    pub end_factor: f64,
    /// Warm-up steps, over which the learning rate rises linearly.
    pub warmup_steps: u64,
    /// Validations without a lower loss after which the run ends; 0 for never.
    pub patience: u64,
    /// Decay of an exponential moving average of the weights, which is then validated and kept in the checkpoints.
    pub ema_decay: Option<f64>,
    /// Number of steps with a loss or gradient that is not finite to skip before the run fails.
    pub max_skipped_steps: u64,
    /// Steps from one save to the next within an epoch; 0 for none but those by time.
    pub save_every_steps: u64,
    /// Minutes from one save to the next within an epoch; 0 for none but those by steps.
    pub save_every_minutes: f64,
    /// Keep every tensor in the checkpoints, not the trained ones alone.
    pub full_checkpoints: bool,
    /// Reproducible results, whatever the number of cores; operations that are not reproducible are refused.
    pub deterministic: bool,
    /// Minutes after which the run saves and stops; it can be resumed.
    pub max_minutes: Option<f64>,
    /// Minutes of training after which the run is complete, in place of `epochs`: the learning rate falls over this time.
    /// Steps count, over all starts of the run; reading and validation do not.
    pub minutes: Option<f64>,
    /// Epochs after which the run stops, to be resumed later; the schedule still spans all `epochs`.
    pub stop_after: Option<u64>,
    /// Disk space for prepared volumes in GiB; with 0 they are kept in memory only.
    pub cache_gib: f64,
    /// Directory of prepared volumes; `cache` in the dataset's directory if not given.
    pub cache_dir: Option<PathBuf>,
    /// Memory in GiB for prepared volumes that are not on the disk, for training and validation each; those beyond it are
    /// prepared whenever they are drawn from.
    pub memory_gib: f64,
    /// Threads that draw crops; 0 draws them between the steps. Half of the cores, at most 8, if not given. Their number
    /// changes no result.
    pub workers: Option<usize>,
    /// Activations to recompute in the backward pass to save memory; the gradients are the same.
    pub recompute: Recompute,
    /// Number format of matrix products and convolutions.
    pub precision: Precision,
    /// Train with a simulated user who corrects the network; the published recipe does not.
    pub interaction: Option<InteractionConfig>,
}

impl LoopConfig {
    /// The loader's settings.
    pub fn loader(&self) -> LoaderConfig {
        self.workers.map_or_else(LoaderConfig::default, LoaderConfig::with_workers)
    }
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            epochs: 500,
            crops_per_case: 1,
            batch_size: 1,
            accumulate: 1,
            validate_every: 1,
            schedule: Decay::Linear,
            end_factor: 0.01,
            warmup_steps: 0,
            patience: 0,
            ema_decay: None,
            max_skipped_steps: 10,
            save_every_steps: 0,
            save_every_minutes: 10.0,
            full_checkpoints: false,
            deterministic: false,
            max_minutes: None,
            minutes: None,
            stop_after: None,
            cache_gib: 100.0,
            cache_dir: None,
            memory_gib: 4.0,
            workers: None,
            recompute: Recompute::None,
            precision: Precision::F32,
            interaction: None,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            dataset: "demo".to_owned(),
            data: None,
            out: None,
            pretrained: None,
            seed: 0,
            fold: 0,
            model: ModelChoice::Preset(Preset::Tiny),
            point_labels: false,
            variant: VariantConfig::default(),
            train: LoopConfig::default(),
            optimiser: AdamWConfig::default(),
            loss: LossConfig::default(),
            augmentation: None,
            baseline: None,
        }
    }
}

impl TrainConfig {
    /// Directory of the prepared dataset.
    pub fn data_directory(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("data").join(&self.dataset))
    }

    /// Run directory.
    pub fn run_directory(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let fold = if self.fold == 0 { String::new() } else { format!("-fold{}", self.fold) };
            PathBuf::from("runs").join(format!("{}{fold}", self.dataset))
        })
    }

    /// The cache of prepared volumes.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the cache's directory cannot be made.
    pub fn storage(&self) -> Result<Storage, TrainError> {
        let bytes = |gib: f64| (gib * f64::from(1 << 30)) as u64;
        let train = &self.train;
        let cache = (train.cache_gib > 0.0).then(|| {
            let default = || self.data_directory().join("cache");
            let directory = train.cache_dir.clone().unwrap_or_else(default);
            VolumeCache::open(&directory, bytes(train.cache_gib)).map(Arc::new)
        });
        Ok(Storage { cache: cache.transpose()?, memory_bytes: bytes(train.memory_gib) as usize })
    }

    /// The learning rate's schedule.
    pub fn schedule(&self) -> Schedule {
        let LoopConfig { schedule: decay, end_factor, epochs, warmup_steps, .. } = self.train;
        Schedule { decay, end_factor, epochs, warmup_steps }
    }

    /// The network, with the configured variants.
    pub fn network(&self) -> ModelConfig {
        let mut model = self.model.config();
        self.variant.apply(&mut model);
        if let Some(prompt) = &mut model.prompt {
            prompt.point_labels |= self.point_labels;
        }
        model
    }

    /// Checks the settings of a comparison network.
    fn validate_baseline(&self, baseline: &BaselineConfig) -> Result<(), TrainError> {
        let plain = LoopConfig::default();
        let only_ours = [
            ("train.recompute", self.train.recompute == plain.recompute),
            ("train.precision", self.train.precision == plain.precision),
            ("train.interaction", self.train.interaction.is_none()),
            ("point_labels", !self.point_labels),
            ("augmentation", self.augmentation.is_none()),
        ];
        if let Some((field, _)) = only_ours.into_iter().find(|(_, holds)| !holds) {
            let (found, expected) = ("set".into(), "the default: comparison networks do not support it");
            return Err(TrainError::Setting { field, found, expected });
        }
        baseline.network()?;
        Ok(())
    }

    /// Checks the settings that types do not.
    ///
    /// # Errors
    /// [`TrainError::Setting`] or [`TrainError::Model`], naming the setting.
    pub fn validate(&self) -> Result<(), TrainError> {
        let counts = [
            ("train.epochs", self.train.epochs),
            ("train.crops_per_case", self.train.crops_per_case),
            ("train.validate_every", self.train.validate_every),
            ("train.batch_size", self.train.batch_size as u64),
            ("train.accumulate", self.train.accumulate as u64),
        ];
        for (field, count) in counts {
            if count == 0 {
                return Err(TrainError::Setting { field, found: "0".into(), expected: "at least 1" });
            }
        }
        let optimiser = &self.optimiser;
        let [beta1, beta2] = optimiser.betas;
        let ema_decay = self.train.ema_decay.unwrap_or(0.5);
        let minutes = self.train.save_every_minutes;
        let max_grad_norm = optimiser.max_grad_norm.filter(|norm| *norm != f64::INFINITY).unwrap_or(1.0);
        let max_minutes = self.train.max_minutes.unwrap_or(0.0);
        let training_minutes = self.train.minutes.unwrap_or(1.0);
        let numbers = [
            ("train.ema_decay", ema_decay, ema_decay > 0.0 && ema_decay < 1.0, "above 0 and below 1"),
            ("train.save_every_minutes", minutes, minutes >= 0.0, "0 or more"),
            ("train.max_minutes", max_minutes, max_minutes >= 0.0, "0 or more"),
            ("train.minutes", training_minutes, training_minutes > 0.0, "above 0"),
            ("train.end_factor", self.train.end_factor, self.train.end_factor > 0.0, "above 0"),
            ("train.cache_gib", self.train.cache_gib, self.train.cache_gib >= 0.0, "0 or more"),
            ("train.memory_gib", self.train.memory_gib, self.train.memory_gib >= 0.0, "0 or more"),
            ("optimiser.learning_rate", optimiser.learning_rate, optimiser.learning_rate > 0.0, "above 0"),
            ("optimiser.max_grad_norm", max_grad_norm, max_grad_norm > 0.0, "above 0; inf for no clipping"),
            ("optimiser.weight_decay", optimiser.weight_decay, optimiser.weight_decay >= 0.0, "0 or more"),
            ("optimiser.eps", optimiser.eps, optimiser.eps > 0.0, "above 0"),
            ("optimiser.betas", beta1, (0.0..1.0).contains(&beta1), "two numbers from 0 to below 1"),
            ("optimiser.betas", beta2, (0.0..1.0).contains(&beta2), "two numbers from 0 to below 1"),
            ("loss.dice_weight", self.loss.dice_weight, self.loss.dice_weight >= 0.0, "0 or more"),
            (
                "loss.cross_entropy_weight",
                self.loss.cross_entropy_weight,
                self.loss.cross_entropy_weight >= 0.0,
                "0 or more",
            ),
        ];
        for (field, value, holds, expected) in numbers {
            if !holds || !value.is_finite() {
                return Err(TrainError::Setting { field, found: value.to_string(), expected });
            }
        }
        if let Some(baseline) = &self.baseline {
            return self.validate_baseline(baseline);
        }
        let model = self.network();
        if model.prompt.is_none() {
            let variant = &self.variant;
            let settings = [
                ("variant.dense_prompts", variant.dense_prompts),
                ("variant.clicks_as_scribbles", variant.clicks_as_scribbles),
            ];
            if let Some((field, _)) = settings.into_iter().find(|(_, on)| *on) {
                let expected = "false for the prompt-free network";
                return Err(TrainError::Setting { field, found: "true".to_owned(), expected });
            }
        }
        if let Some(interaction) = &self.train.interaction {
            interaction.validate()?;
            if !model.prompt.as_ref().is_some_and(|prompt| prompt.dense_prompts) {
                let (field, found) = ("variant.dense_prompts", "false".to_owned());
                let expected =
                    "true with train.interaction, whose prompts are masks, regions and scribbles too";
                return Err(TrainError::Setting { field, found, expected });
            }
        }
        Ok(model.validate()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_published_recipe() {
        let config: TrainConfig = toml::from_str("").unwrap();
        config.validate().unwrap();
        assert_eq!((config.optimiser.learning_rate, config.train.epochs), (4e-4, 500));
        assert_eq!(config.model.config(), ModelConfig::tiny());
        assert_eq!(config.data_directory(), PathBuf::from("data/demo"));
        assert_eq!(config.schedule(), Schedule::PUBLISHED);
        assert_eq!(config.run_directory(), PathBuf::from("runs/demo"));
        let config = TrainConfig { fold: 2, ..config };
        assert_eq!(config.run_directory(), PathBuf::from("runs/demo-fold2"));
    }

    #[test]
    fn a_variant_changes_the_preset() {
        let config: TrainConfig = toml::from_str("model = 'vit_b'\n[variant]\nauto = true").unwrap();
        config.validate().unwrap();
        assert_eq!(config.network(), ModelConfig::vit_b().auto(256));
        let lost: TrainConfig = toml::from_str("[variant]\naggregated_levels = [1, 2]").unwrap();
        assert!(lost.validate().unwrap_err().to_string().contains("decoder.levels"));
        let dense: TrainConfig = toml::from_str("[variant]\nauto = true\ndense_prompts = true").unwrap();
        assert!(dense.validate().unwrap_err().to_string().contains("variant.dense_prompts"));
        let drawn: TrainConfig =
            toml::from_str("[variant]\nauto = true\nclicks_as_scribbles = true").unwrap();
        assert!(drawn.validate().unwrap_err().to_string().contains("variant.clicks_as_scribbles is true"));
    }

    #[test]
    fn labelled_points_are_asked_for_beside_the_preset() {
        let config: TrainConfig = toml::from_str("point_labels = true").unwrap();
        assert!(config.network().prompt.is_some_and(|prompt| prompt.point_labels));
        assert!(TrainConfig::default().network().prompt.is_some_and(|prompt| !prompt.point_labels));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let custom = ModelChoice::Custom(Box::new(ModelConfig { crop: 96, ..ModelConfig::tiny() }));
        for model in [ModelChoice::Preset(Preset::VitB), custom] {
            let config = TrainConfig { model, ..TrainConfig::default() };
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn interaction_needs_dense_prompts_and_sensible_numbers() {
        let config = |interaction: &str| -> TrainConfig {
            let text = format!("variant.dense_prompts = true\n[train.interaction]\n{interaction}");
            toml::from_str(&text).unwrap()
        };
        let valid = config("rounds = 3\nfirst = { lasso = 0.0 }");
        valid.validate().unwrap();
        assert_eq!(toml::from_str::<TrainConfig>(&toml::to_string(&valid).unwrap()).unwrap(), valid);
        let error = |config: TrainConfig| config.validate().unwrap_err().to_string();
        assert!(error(config("rounds = 0")).contains("train.interaction.rounds is 0, expected 1 to 100"));
        assert!(error(config("rounds = 2\nscribble_share = 1.5")).contains("scribble_share is 1.5"));
        assert!(error(config("rounds = 2\nclick_weight = -0.5")).contains("click_weight is -0.5"));
        assert!(error(config("rounds = 2\nfirst = { click = -1.0 }")).contains("train.interaction.first"));
        let plain = TrainConfig { variant: VariantConfig::default(), ..valid };
        assert!(error(plain).contains("variant.dense_prompts is false"));
        assert_eq!(TrainConfig::default().train.interaction, None);
    }

    #[test]
    fn mistakes_name_their_field() {
        let error = |text: &str| match toml::from_str::<TrainConfig>(text) {
            Err(error) => error.to_string(),
            Ok(config) => config.validate().unwrap_err().to_string(),
        };
        assert!(error("[optimiser]\nlearnin_rate = 1.0").contains("learnin_rate"));
        assert!(error("[optimiser]\nlearning_rate = 0.0").contains("optimiser.learning_rate is 0"));
        assert!(error("[train]\nepochs = 0").contains("train.epochs"));
        assert!(error("[train]\nbatch_size = 0").contains("train.batch_size"));
        assert!(error("[train]\nema_decay = 1.0").contains("train.ema_decay"));
        assert!(error("[train]\nmax_minutes = nan").contains("train.max_minutes is NaN"));
        assert!(error("[optimiser]\nmax_grad_norm = nan").contains("optimiser.max_grad_norm is NaN"));
        assert!(error("[train]\nschedule = \"step\"").contains("cosine"));
        assert!(error("model = \"vit_x\"").contains("vit_x"));
        assert!(error("[model]\ncrop = 64\nencoders = 3").contains("encoders"));
    }
}
