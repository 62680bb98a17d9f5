//! A training run's settings: one TOML file.

use std::{path::PathBuf, sync::Arc};

use sam3d_io::{augment::AugmentConfig, cache::VolumeCache, case_store::Storage, loader::LoaderConfig};
use sam3d_model::{ModelConfig, Precision, Preset, Recompute};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{TrainError, loss::LossConfig, optimiser::AdamWConfig, schedule::LinearSchedule};

/// Everything that decides a run. What a file leaves out has its default: the published recipe on the demo data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Name of the dataset; decides the default of `data`.
    pub dataset: String,
    /// Directory of the prepared dataset; `data/<dataset>` if not given.
    pub data: Option<PathBuf>,
    /// Run directory; `runs/<dataset>` if not given.
    pub out: Option<PathBuf>,
    /// Weights to start from (safetensors), where names and shapes agree.
    pub pretrained: Option<PathBuf>,
    /// Seed of initial weights and of every draw.
    pub seed: u64,
    /// Fold of the dataset's splits.
    pub fold: usize,
    /// A preset's name, or a table with every size.
    pub model: ModelChoice,
    /// Length and rhythm.
    pub train: LoopConfig,
    /// AdamW and clipping.
    pub optimiser: AdamWConfig,
    /// Weights of the loss.
    pub loss: LossConfig,
    /// Augmentation of training crops; the published chain for the dataset if not given.
    pub augmentation: Option<AugmentConfig>,
}

/// Length and rhythm of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoopConfig {
    /// Passes over the training cases.
    pub epochs: u64,
    /// Crops drawn from each case in an epoch.
    pub crops_per_case: u64,
    /// Epochs from one validation to the next.
    pub validate_every: u64,
    /// The learning rate falls linearly to this share of itself over the epochs.
    pub end_factor: f64,
    /// Minutes after which no further epoch starts; the run can be resumed.
    pub max_minutes: Option<f64>,
    /// Epochs after which the run stops, to be resumed later; the schedule still spans all `epochs`.
    pub stop_after: Option<u64>,
    /// Room on the disk for prepared volumes in GiB; with 0 they are kept in memory only.
    pub cache_gib: f64,
    /// Directory of prepared volumes; `cache` in the dataset's directory if not given.
    pub cache_dir: Option<PathBuf>,
    /// Memory in GiB for prepared volumes that are not on the disk, for training and validation each; those beyond it are
    /// prepared whenever they are drawn from.
    pub memory_gib: f64,
    /// Threads that draw crops; 0 draws them between the steps. Half of the cores, at most 8, if not given. Their number
    /// changes no result.
    pub workers: Option<usize>,
    /// What is computed again in the backward pass to save memory; the gradients are the same.
    pub recompute: Recompute,
    /// In what matrix products and convolutions are computed.
    pub precision: Precision,
}

impl LoopConfig {
    /// How crops are drawn.
    pub fn loader(&self) -> LoaderConfig {
        self.workers.map_or_else(LoaderConfig::default, LoaderConfig::with_workers)
    }
}

impl Default for LoopConfig {
    fn default() -> Self {
        Self {
            epochs: 500,
            crops_per_case: 1,
            validate_every: 1,
            end_factor: 0.01,
            max_minutes: None,
            stop_after: None,
            cache_gib: 100.0,
            cache_dir: None,
            memory_gib: 4.0,
            workers: None,
            recompute: Recompute::None,
            precision: Precision::F32,
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
            train: LoopConfig::default(),
            optimiser: AdamWConfig::default(),
            loss: LossConfig::default(),
            augmentation: None,
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
        self.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&self.dataset))
    }

    /// Where prepared volumes are kept.
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
    pub fn schedule(&self) -> LinearSchedule {
        LinearSchedule { end_factor: self.train.end_factor, epochs: self.train.epochs }
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`TrainError::Setting`] or [`TrainError::Model`], naming the setting.
    pub fn validate(&self) -> Result<(), TrainError> {
        let counts = [
            ("train.epochs", self.train.epochs),
            ("train.crops_per_case", self.train.crops_per_case),
            ("train.validate_every", self.train.validate_every),
        ];
        for (field, count) in counts {
            if count == 0 {
                return Err(TrainError::Setting { field, found: "0".into(), expected: "at least 1" });
            }
        }
        let optimiser = &self.optimiser;
        let [beta1, beta2] = optimiser.betas;
        let numbers = [
            ("train.end_factor", self.train.end_factor, self.train.end_factor > 0.0, "above 0"),
            ("train.cache_gib", self.train.cache_gib, self.train.cache_gib >= 0.0, "0 or more"),
            ("train.memory_gib", self.train.memory_gib, self.train.memory_gib >= 0.0, "0 or more"),
            ("optimiser.learning_rate", optimiser.learning_rate, optimiser.learning_rate > 0.0, "above 0"),
            ("optimiser.max_grad_norm", optimiser.max_grad_norm, optimiser.max_grad_norm > 0.0, "above 0"),
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
        let model = self.model.config();
        if model.prompt.is_none() {
            let (found, expected) = ("none".into(), "a table: the prompt-free variant is not trained yet");
            return Err(TrainError::Setting { field: "model.prompt", found, expected });
        }
        Ok(model.validate()?)
    }
}

/// A preset by name or a configuration in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ModelChoice {
    /// A preset.
    Preset(Preset),
    /// A network with sizes of its own.
    Custom(Box<ModelConfig>),
}

impl ModelChoice {
    /// The configuration chosen.
    pub fn config(&self) -> ModelConfig {
        match self {
            Self::Preset(preset) => preset.config(),
            Self::Custom(config) => (**config).clone(),
        }
    }
}

impl<'de> Deserialize<'de> for ModelChoice {
    /// By hand, so that a mistake in a table names its field; an untagged enum would only say that nothing fits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ModelChoice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tiny, vit_b, vit_l, vit_h or a table of sizes")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ModelChoice, E> {
                Preset::deserialize(de::value::StrDeserializer::new(name)).map(ModelChoice::Preset)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ModelChoice, A::Error> {
                let config = ModelConfig::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ModelChoice::Custom(Box::new(config)))
            }
        }

        deserializer.deserialize_any(Visitor)
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
    fn mistakes_name_their_field() {
        let error = |text: &str| match toml::from_str::<TrainConfig>(text) {
            Err(error) => error.to_string(),
            Ok(config) => config.validate().unwrap_err().to_string(),
        };
        assert!(error("[optimiser]\nlearnin_rate = 1.0").contains("learnin_rate"));
        assert!(error("[optimiser]\nlearning_rate = 0.0").contains("optimiser.learning_rate is 0"));
        assert!(error("[train]\nepochs = 0").contains("train.epochs"));
        assert!(error("model = \"vit_x\"").contains("vit_x"));
        assert!(error("[model]\ncrop = 64\nencoders = 3").contains("encoders"));
    }
}
