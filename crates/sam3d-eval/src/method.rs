//! Methods: from a case, and clicks if the method takes any, to the target's probability.

use std::{cell::RefCell, sync::Arc};

use ndarray::Array3;
use sam3d_geom::{Point, Preprocessing};
use sam3d_infer::{Accepts, Answer, Prompt, Segmenter, Session, TestTimeAugmentation};

use crate::{EvalError, EvaluationCase};

/// The clicks that a method takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompting {
    /// N clicks in the target.
    PerVolume,
    /// N clicks in the target of every slice along D that has target, slice after slice.
    PerSlice,
    /// No clicks: the method predicts once for a case, and its scores have 0 points.
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

    /// The method's own settings that affect its scores, in a few words for reports.
    fn details(&self) -> Option<String> {
        None
    }

    /// The clicks that [`predict`](Self::predict) takes.
    fn prompting(&self) -> Prompting;

    /// The preprocessing that makes [`EvaluationCase::image`] of a file's voxels. Clicks are drawn on the same grid.
    fn preprocessing(&self) -> &Preprocessing;

    /// The number of trained parameters; `None` if unknown.
    fn tuned_parameters(&self) -> Option<u64>;

    /// Predicts the target of `case` from `clicks`: voxels `[D, H, W]` of [`EvaluationCase::image`], all positive, in the
    /// order in which they were drawn; as many as [`prompting`](Self::prompting) says. All of a case's sets of clicks come
    /// one after the other.
    ///
    /// # Errors
    /// [`EvalError`]; the case is then reported as failed, and the next one is tried.
    fn predict(&self, case: &EvaluationCase, clicks: &[Point]) -> Result<Prediction, EvalError>;

    /// A session on `case` for corrective prompts; `None` for a method that cannot be corrected.
    fn session(&self, _case: &EvaluationCase) -> Option<(Session, Accepts)> {
        None
    }
}

/// A probability and its grid. A method without probabilities gives 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// On a box of the resampled grid; 0 outside.
    Part(Arc<Answer>),
    /// On the whole resampled grid, `[D, H, W]` as [`EvaluationCase::image`].
    Resampled(Array3<f32>),
    /// On the file's own grid, `[D, H, W]` of [`sam3d_io::prepare::Frame::native_extent`].
    Native(Array3<f32>),
    /// The mask (0 or 1) on the file's own grid, `[D, H, W]`.
    Mask(Arc<Array3<u8>>),
}

/// The probability of a logit.
pub(crate) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// This project's method: clicks in the volume, one crop around them.
#[derive(Debug)]
pub struct ClickMethod {
    segmenter: Segmenter,
    /// The session of the last case, which keeps the crop it encoded: sets of clicks often share one where they are drawn
    /// from the middle of the target.
    session: RefCell<Option<(String, Session)>>,
}

impl ClickMethod {
    /// The method of `segmenter`, whose weights take clicks.
    pub fn new(segmenter: Segmenter) -> Self {
        Self { segmenter, session: RefCell::new(None) }
    }
}

impl Method for ClickMethod {
    fn name(&self) -> &'static str {
        "sam3d"
    }

    fn details(&self) -> Option<String> {
        averages(&self.segmenter)
    }

    fn prompting(&self) -> Prompting {
        Prompting::PerVolume
    }

    fn preprocessing(&self) -> &Preprocessing {
        self.segmenter.preprocessing()
    }

    fn tuned_parameters(&self) -> Option<u64> {
        Some(tuned(&self.segmenter))
    }

    fn predict(&self, case: &EvaluationCase, clicks: &[Point]) -> Result<Prediction, EvalError> {
        let mut last = self.session.borrow_mut();
        let mut session = match last.take() {
            Some((id, session)) if id == case.id() => session,
            _ => self.segmenter.session_on(Arc::clone(case.shared_image())),
        };
        session.reset();
        let prompts: Vec<Prompt> = clicks.iter().copied().map(Prompt::resampled_click).collect();
        session.add_together(&prompts)?;
        let answer = session.answer()?.ok_or(EvalError::Internal("a session without an answer"))?;
        *last = Some((case.id().to_owned(), session));
        Ok(Prediction::Part(answer))
    }

    fn session(&self, case: &EvaluationCase) -> Option<(Session, Accepts)> {
        Some((self.segmenter.session_on(Arc::clone(case.shared_image())), self.segmenter.accepts()))
    }
}

/// Number of trained parameters of a segmenter's networks.
pub(crate) fn tuned(segmenter: &Segmenter) -> u64 {
    segmenter.networks().iter().map(|network| network.count_parameters().trained as u64).sum()
}

/// What a segmenter averages; `None` for one network without augmentation.
pub(crate) fn averages(segmenter: &Segmenter) -> Option<String> {
    let networks = match segmenter.networks().len() {
        1 => None,
        count => Some(format!("mean of {count} networks")),
    };
    let augmentation = match segmenter.augmentation() {
        TestTimeAugmentation::None => None,
        TestTimeAugmentation::Flips => Some("mean over 8 flips".to_owned()),
    };
    let parts: Vec<String> = [networks, augmentation].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
