//! What is evaluated: a way from a case, and perhaps clicks, to the target's probability.

use std::cell::RefCell;

use ndarray::Array3;
use sam3d_geom::{Point, Preprocessing};
use sam3d_io::crop::CropWindow;
use sam3d_model::{Embedding, Sam3d};

use super::EvaluationCase;
use crate::{
    TrainError,
    predict::{embed, place, probability_in_crop},
};

/// Which clicks a method is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompting {
    /// N clicks in the target.
    PerVolume,
    /// N clicks in the target of every slice along D that has target, slice after slice.
    PerSlice,
    /// None. The method predicts once for a case, whatever the numbers of clicks asked for; its scores have 0 points.
    None,
}

/// A method under the published protocol. Everything else (reading and resampling the case, drawing clicks, the resize to
/// the file's grid, the threshold, scores, reports) is the same for all methods.
///
/// A method is used on the thread that owns it and is not asked for two cases at once; cases are prepared, and predictions
/// scored, on other threads meanwhile. To add one: implement this trait, and name it in `sam3d eval --method`.
pub trait Method {
    /// Short name, as typed and as written into results.
    fn name(&self) -> &'static str;

    /// Settings of the method's own that decide its numbers, in a few words for reports.
    fn details(&self) -> Option<String> {
        None
    }

    /// Which clicks [`predict`](Self::predict) is given.
    fn prompting(&self) -> Prompting;

    /// How a file's voxels become [`EvaluationCase::image`]. Clicks are drawn on the same grid.
    fn preprocessing(&self) -> &Preprocessing;

    /// How many parameters training changes; `None` if it is not known.
    fn tuned_parameters(&self) -> Option<u64>;

    /// Predicts the target of `case` from `clicks`: voxels `[D, H, W]` of [`EvaluationCase::image`], all positive, in the
    /// order in which they were drawn; as many as [`prompting`](Self::prompting) says. All of a case's sets of clicks come
    /// one after the other.
    ///
    /// # Errors
    /// [`TrainError`]; the case is then reported as failed, and the next one is tried.
    fn predict(&self, case: &EvaluationCase, clicks: &[Point]) -> Result<Prediction, TrainError>;
}

/// A probability, and the grid it is on. A method that has a mask only gives 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// On a crop of the resampled grid; 0 outside.
    Crop {
        /// Where the crop lies in [`EvaluationCase::image`].
        window: CropWindow,
        /// `[P, P, P]`, `P` the window's side.
        probability: Array3<f32>,
    },
    /// On the whole resampled grid, `[D, H, W]` as [`EvaluationCase::image`].
    Resampled(Array3<f32>),
    /// On the file's own grid, `[D, H, W]` of [`sam3d_io::prepare::Frame::native_extent`].
    Native(Array3<f32>),
}

/// The probability of a logit.
pub(crate) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// This project's method: clicks in the volume, one crop around them.
#[derive(Debug)]
pub struct ClickMethod {
    network: Sam3d,
    preprocessing: Preprocessing,
    /// The last crop encoded: sets of clicks often share one where they are drawn from the middle of the target.
    last: RefCell<Option<Encoded>>,
}

#[derive(Debug)]
struct Encoded {
    case: String,
    window: CropWindow,
    embedding: Embedding,
}

impl ClickMethod {
    /// The method of `network`, whose input is made by `preprocessing`.
    pub fn new(network: Sam3d, preprocessing: Preprocessing) -> Self {
        Self { network, preprocessing, last: RefCell::new(None) }
    }
}

impl Method for ClickMethod {
    fn name(&self) -> &'static str {
        "sam3d"
    }

    fn prompting(&self) -> Prompting {
        Prompting::PerVolume
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn tuned_parameters(&self) -> Option<u64> {
        Some(self.network.trained_parameters().values().map(|tensor| tensor.numel() as u64).sum())
    }

    fn predict(&self, case: &EvaluationCase, clicks: &[Point]) -> Result<Prediction, TrainError> {
        let placement = place(clicks, case.frame().resampled_extent(), self.network.config().crop)?;
        let window = placement.window;
        let mut last = self.last.borrow_mut();
        let encoded = match last.take() {
            Some(encoded) if encoded.case == case.id() && encoded.window == window => encoded,
            _ => {
                let embedding = embed(&self.network, case.image(), window)?;
                Encoded { case: case.id().to_owned(), window, embedding }
            }
        };
        let probability = probability_in_crop(&self.network, &encoded.embedding, &placement)?;
        *last = Some(encoded);
        Ok(Prediction::Crop { window, probability })
    }
}
