//! The file a run is resumed from.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use sam3d_model::TensorFile;
use tch::Tensor;

use super::Progress;
use crate::{
    TrainError,
    ema::Ema,
    optimiser::AdamW,
    trainable::{Trainable, TrainableNetwork},
};

const KEY: &str = "sam3d_run";
const WEIGHT: &str = "weight/";
const MOMENT: &str = "moment/";
const AVERAGE: &str = "average/";

/// The part of a run that changes from step to step.
#[derive(Debug)]
pub struct RunState<'a> {
    /// The network; its trained tensors belong to the state.
    pub network: &'a mut TrainableNetwork,
    /// The optimiser with its moments.
    pub optimiser: &'a mut AdamW,
    /// The average of the weights, if one is kept.
    pub ema: Option<&'a mut Ema>,
}

impl RunState<'_> {
    /// Writes the state and `progress` to `path`, completely or not at all.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the file cannot be written; an earlier file is then unchanged.
    pub fn write(&self, progress: &Progress, path: &Path) -> Result<(), TrainError> {
        let prefixed = |prefix: &'static str, tensors: BTreeMap<String, Tensor>| {
            tensors.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        };
        let average = self.ema.as_ref().map(|ema| ema.tensors()).unwrap_or_default();
        let tensors = prefixed(WEIGHT, self.network.state())
            .chain(prefixed(MOMENT, self.optimiser.moments()))
            .chain(prefixed(AVERAGE, average))
            .collect();
        // TOML, because its numbers come back to the last bit.
        let text = toml::to_string(progress)
            .map_err(|error| TrainError::RunFile { path: path.to_owned(), detail: error.to_string() })?;
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        Ok(TensorFile { tensors, metadata }.write(path)?)
    }

    /// Restores the state written to `path`, and returns the run's progress.
    ///
    /// # Errors
    /// [`TrainError`] if the file is missing, damaged or of another configuration.
    pub fn read(&mut self, path: &Path) -> Result<Progress, TrainError> {
        let state = TensorFile::read(path)?;
        let broken = |detail: String| TrainError::RunFile { path: path.to_owned(), detail };
        let text = state.metadata.get(KEY).ok_or_else(|| broken("not the state of a run".to_owned()))?;
        let progress: Progress = toml::from_str(text).map_err(|error| broken(error.to_string()))?;
        let part = |prefix: &str| -> BTreeMap<String, Tensor> {
            let strip = |(name, tensor): (&String, &Tensor)| {
                name.strip_prefix(prefix).map(|name| (name.to_owned(), tensor.shallow_clone()))
            };
            state.tensors.iter().filter_map(strip).collect()
        };
        let weights = part(WEIGHT);
        if let Some(name) =
            self.network.trained_parameters().into_keys().find(|name| !weights.contains_key(name))
        {
            return Err(broken(format!(
                "{name} is trained by this configuration but was not when the run was saved"
            )));
        }
        self.network.restore(&weights)?;
        self.optimiser.restore(&part(MOMENT), progress.steps)?;
        if let Some(ema) = &mut self.ema {
            let average = part(AVERAGE);
            // A run may begin to average when it goes on.
            if average.is_empty() {
                ema.restore(&weights)?;
            } else {
                ema.restore(&average)?;
            }
        }
        Ok(progress)
    }
}
