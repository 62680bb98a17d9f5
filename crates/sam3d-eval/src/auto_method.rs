//! This project's prompt-free variant, by sliding windows.

use std::sync::Arc;

use sam3d_geom::{Point, Preprocessing};
use sam3d_infer::Segmenter;

use crate::{
    EvalError, EvaluationCase, Method, Prediction, Prompting,
    method::{averages, tuned},
};

/// The prompt-free variant.
#[derive(Debug)]
pub struct AutoMethod {
    segmenter: Segmenter,
}

impl AutoMethod {
    /// The method of `segmenter`, whose weights take no clicks.
    ///
    /// # Errors
    /// [`EvalError::Setting`] if it takes some.
    pub fn new(segmenter: Segmenter) -> Result<Self, EvalError> {
        if segmenter.accepts().clicks {
            let found = "sam3d weights, which take clicks".to_owned();
            return Err(EvalError::Setting {
                field: "the network",
                found,
                expected: "weights of the prompt-free variant",
            });
        }
        Ok(Self { segmenter })
    }
}

impl Method for AutoMethod {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn details(&self) -> Option<String> {
        averages(&self.segmenter)
    }

    fn prompting(&self) -> Prompting {
        Prompting::None
    }

    fn preprocessing(&self) -> &Preprocessing {
        self.segmenter.preprocessing()
    }

    fn tuned_parameters(&self) -> Option<u64> {
        Some(tuned(&self.segmenter))
    }

    fn predict(&self, case: &EvaluationCase, _: &[Point]) -> Result<Prediction, EvalError> {
        Ok(Prediction::Part(Arc::new(self.segmenter.segment_whole(case.shared_image(), &mut |_, _| ())?)))
    }
}
