//! The methods without clicks: this project's prompt-free variant and the comparison networks, by sliding windows.

use std::path::Path;

use sam3d_baselines::{Baseline, BaselineCheckpoint};
use sam3d_geom::{Point, Preprocessing};
use sam3d_model::{Provenance, Sam3d};
use tch::Device;

use super::{EvaluationCase, Method, Prediction, Prompting, method::sigmoid};
use crate::{
    TrainError, auto,
    baseline::{WindowConfig, target_logit},
};

/// The prompt-free variant.
#[derive(Debug)]
pub struct AutoMethod {
    network: Sam3d,
    preprocessing: Preprocessing,
}

impl AutoMethod {
    /// The method of `network`, which takes no clicks.
    ///
    /// # Errors
    /// [`TrainError::Setting`] if it takes some.
    pub fn new(network: Sam3d, preprocessing: Preprocessing) -> Result<Self, TrainError> {
        if network.config().prompt.is_some() {
            let found = "sam3d weights, which take clicks".to_owned();
            return Err(TrainError::Setting {
                field: "the network",
                found,
                expected: "weights of the prompt-free variant",
            });
        }
        Ok(Self { network, preprocessing })
    }
}

impl Method for AutoMethod {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn prompting(&self) -> Prompting {
        Prompting::None
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn tuned_parameters(&self) -> Option<u64> {
        Some(self.network.trained_parameters().values().map(|tensor| tensor.numel() as u64).sum())
    }

    fn predict(&self, case: &EvaluationCase, _: &[Point]) -> Result<Prediction, TrainError> {
        Ok(Prediction::Resampled(auto::probability(&self.network, case.image(), &mut |_, _| ())?))
    }
}

/// A comparison network.
#[derive(Debug)]
pub struct BaselineMethod {
    network: Baseline,
    preprocessing: Preprocessing,
}

impl BaselineMethod {
    /// The method of the checkpoint at `path`, with what it says of its origin. `preprocessing` stands in for what the
    /// checkpoint does not say, and overrides what it does.
    ///
    /// # Errors
    /// [`TrainError::Model`] if it cannot be read, [`TrainError::Setting`] if nothing says how volumes are preprocessed.
    pub fn open(
        path: &Path,
        preprocessing: Option<Preprocessing>,
        device: Device,
    ) -> Result<(Self, Provenance), TrainError> {
        let checkpoint = BaselineCheckpoint::read(path)?;
        let provenance = checkpoint.metadata.provenance.clone();
        let known = preprocessing.or(checkpoint.metadata.preprocessing);
        let preprocessing = known.ok_or_else(|| TrainError::Setting {
            field: "the checkpoint's preprocessing",
            found: "unknown".to_owned(),
            expected: "the dataset it was trained on, by --dataset",
        })?;
        Ok((Self { network: checkpoint.into_network(device)?, preprocessing }, provenance))
    }
}

impl Method for BaselineMethod {
    fn name(&self) -> &'static str {
        self.network.config().method().name()
    }

    fn prompting(&self) -> Prompting {
        Prompting::None
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn tuned_parameters(&self) -> Option<u64> {
        Some(self.network.count_parameters() as u64)
    }

    fn predict(&self, case: &EvaluationCase, _: &[Point]) -> Result<Prediction, TrainError> {
        let logit = target_logit(&self.network, case.image(), &WindowConfig::TEST)?;
        Ok(Prediction::Resampled(logit.mapv_into(sigmoid)))
    }
}
