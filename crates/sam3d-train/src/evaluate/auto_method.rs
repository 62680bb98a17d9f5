//! This project's prompt-free variant, by sliding windows.

use sam3d_geom::{Point, Preprocessing};
use sam3d_model::Sam3d;

use super::{EvaluationCase, Method, Prediction, Prompting};
use crate::{TrainError, auto};

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
