//! Settings of a run that trains a comparison network.

use std::path::PathBuf;

use sam3d_baselines::{Method, NetworkConfig, Size};
use sam3d_data::{augment::ComparisonAugment, dataset::Dataset};
use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::{
    config::{LoopConfig, TrainConfig},
    loss::LossConfig,
    optimiser::AdamWConfig,
};

/// Which comparison network a run trains, in place of this project's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineConfig {
    /// The network.
    pub method: Method,
    /// How large it is.
    #[serde(default)]
    pub size: Size,
    /// Correct the published code's fault, for networks where that is possible.
    #[serde(default)]
    pub corrected: bool,
    /// Augmentation of training crops; the published chain for the dataset if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<ComparisonAugment>,
    /// MONAI's self-supervised weights of Swin-UNETR's encoder, to start from as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swin_encoder: Option<PathBuf>,
    /// Every size, instead of those that `size` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfig>,
}

impl BaselineConfig {
    /// The network of `method` at `size`, with the published recipe.
    pub fn new(method: Method, size: Size) -> Self {
        Self { method, size, corrected: false, augmentation: None, swin_encoder: None, network: None }
    }

    /// The network's sizes.
    ///
    /// # Errors
    /// [`ModelError`] if they do not fit each other, are another method's, or there is no fault to correct.
    pub fn network(&self) -> Result<NetworkConfig, ModelError> {
        let mut network = self.network.clone().unwrap_or_else(|| self.method.config(self.size));
        if network.method() != self.method {
            let (found, rule) = (network.method().name().to_owned(), self.method.name().to_owned());
            return Err(ModelError::Config { field: "baseline.network.method", found, rule });
        }
        if self.corrected {
            network.correct()?;
        }
        network.validate()?;
        Ok(network)
    }

    /// The augmentation of training crops of `dataset`.
    pub fn augmentation(&self, dataset: &Dataset) -> ComparisonAugment {
        let published = || ComparisonAugment::published(dataset.in_plane_augmentation);
        self.augmentation.clone().unwrap_or_else(published)
    }
}

impl TrainConfig {
    /// The published recipe of the comparison networks: AdamW at 4e-4 with weight decay, no clipping, batches of two, 400
    /// epochs with a validation every 4, Dice and cross-entropy 1 : 1.
    pub fn comparison(method: Method) -> Self {
        let published = Self::default();
        Self {
            baseline: Some(BaselineConfig::new(method, Size::Published)),
            train: LoopConfig { epochs: 400, batch_size: 2, validate_every: 4, ..published.train },
            optimiser: AdamWConfig {
                weight_decay: 1e-5,
                max_grad_norm: Some(f64::INFINITY),
                ..published.optimiser
            },
            loss: LossConfig { dice_weight: 1.0, cross_entropy_weight: 1.0 },
            ..published
        }
    }
}
