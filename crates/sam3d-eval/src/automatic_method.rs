//! A comparison network under the evaluation protocol.

use sam3d_baselines::Baseline;
use sam3d_geom::{Point, Preprocessing};
use sam3d_io::sliding_window::SlidingWindow;

use crate::{
    EvalError, EvaluationCase, Method, Prediction, Prompting, WindowConfig, automatic_windows::target_logit,
    method::sigmoid,
};

/// A comparison network with its preprocessing: no clicks, the whole volume by overlapping windows.
#[derive(Debug)]
pub struct AutomaticMethod {
    network: Baseline,
    preprocessing: Preprocessing,
    windows: WindowConfig,
}

impl AutomaticMethod {
    /// The method of `network`, whose input is made by `preprocessing`.
    ///
    /// # Errors
    /// [`EvalError::Setting`] if windows cannot overlap like that.
    pub fn new(
        network: Baseline,
        preprocessing: Preprocessing,
        windows: WindowConfig,
    ) -> Result<Self, EvalError> {
        SlidingWindow::new(network.config().crop(), windows.overlap, windows.weighting)?;
        Ok(Self { network, preprocessing, windows })
    }
}

impl Method for AutomaticMethod {
    fn name(&self) -> &'static str {
        self.network.config().method().name()
    }

    fn details(&self) -> Option<String> {
        let WindowConfig { overlap, .. } = self.windows;
        Some(format!("sliding window, overlap {overlap}, {} weights", self.windows.weighting_name()))
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

    /// The mean logits of the windows are resized to the file's grid, and the larger one is the class, as published.
    fn predict(&self, case: &EvaluationCase, _clicks: &[Point]) -> Result<Prediction, EvalError> {
        let logit = target_logit(&self.network, case.image()?.view(), &self.windows)?;
        let frame = case.frame();
        let native = frame.axis_map().to_dhw(frame.to_native(logit.view())?.view())?;
        Ok(Prediction::Native(native.mapv_into(sigmoid)))
    }
}
