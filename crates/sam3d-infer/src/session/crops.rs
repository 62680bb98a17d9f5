//! In which crop a step is answered, and the embedding of that crop: computed for the step, or ahead of it.

use std::{rc::Rc, time::Instant};

use sam3d_geom::{BoundingBox, Point};
use sam3d_io::crop::CropWindow;

use super::Session;
use crate::{
    Accepts, Ahead, Change, InferError, LogStep, Progress, ensemble::CropEmbeddings, placement,
    prompt::ResolvedPrompt, shape::Shape,
};

/// The prompts of a step on the resampled grid.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) points: Vec<Point>,
    pub(super) shapes: Vec<Shape>,
    /// `None` for a step without prompts.
    pub(super) crop: Option<Placed>,
}

/// The crop of a step.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) window: CropWindow,
    /// The box around the step's prompts.
    pub(super) bounds: BoundingBox,
    /// The box around all prompts up to this step.
    pub(super) all: BoundingBox,
}

impl Session {
    /// The crop that the last of `steps` would be answered in if they were added now; `None` without prompts.
    ///
    /// # Errors
    /// [`InferError::Geometry`] or [`InferError::Io`] if a prompt lies outside the volume.
    pub fn crop_after(&self, steps: &[LogStep]) -> Result<Option<CropWindow>, InferError> {
        let mut current = self.done.checked_sub(1).and_then(|last| self.steps[last].placed);
        for step in steps {
            if let Some(placed) = self.locate(step, current)?.crop {
                current = Some((placed.window, placed.all));
            }
        }
        Ok(current.map(|(window, _)| window))
    }

    /// Encodes the crop that the last of `steps` would be answered in if they were added now, so that the step need not wait for
    /// it. The session is not changed. `go_on` is asked after each block of the encoder whether to go on.
    ///
    /// Only the last crop that was encoded ahead is kept until a step uses it; with a budget for embeddings
    /// ([`SegmenterOptions::embedding_bytes`](crate::SegmenterOptions::embedding_bytes)) several are, for all sessions.
    ///
    /// # Errors
    /// As [`crop_after`](Self::crop_after); [`InferError::PromptRefused`] if there is no prompt; [`InferError::Model`] if the network
    /// fails.
    pub fn encode_ahead(
        &self,
        steps: &[LogStep],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Ahead, InferError> {
        let window = self.crop_after(steps)?;
        let window = window.ok_or(InferError::PromptRefused(Accepts::PROMPT_NEEDED))?;
        let is_in = |kept: &Option<(CropWindow, _)>| kept.as_ref().is_some_and(|(known, _)| *known == window);
        if is_in(&self.embedded.borrow()) || is_in(&self.ahead.borrow()) {
            return Ok(Ahead::Known);
        }
        let (done, embedding) = self.segmenter.embed_ahead(&self.image, window, go_on)?;
        if let Some(embedding) = embedding.filter(|_| !self.segmenter.keeps_embeddings()) {
            *self.ahead.borrow_mut() = Some((window, embedding));
        }
        Ok(done)
    }

    /// Where the prompts of `step` lie, after steps whose crop, and the box around whose prompts, are `current`.
    pub(super) fn locate(
        &self,
        step: &LogStep,
        current: Option<(CropWindow, BoundingBox)>,
    ) -> Result<Located, InferError> {
        let (mut points, mut shapes) = (Vec::new(), Vec::new());
        for prompt in &step.prompts {
            match prompt.resolve(self.image.frame())? {
                ResolvedPrompt::Point(point) => points.push(point),
                ResolvedPrompt::Shape(shape) => shapes.push(shape),
            }
        }
        let boxes = placement::deciding_box(&points).into_iter();
        let bounds = boxes.chain(shapes.iter().map(|shape| shape.bounds)).reduce(placement::union);
        let crop = bounds.map(|bounds| Placed {
            window: placement::window(current, bounds, self.segmenter.network().config().crop),
            all: current.map_or(bounds, |(_, earlier)| placement::union(earlier, bounds)),
            bounds,
        });
        Ok(Located { points, shapes, crop })
    }

    /// The embedding of `window`, which is encoded unless it is known.
    pub(super) fn embed(
        &self,
        window: CropWindow,
        change: &mut Change,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Rc<CropEmbeddings>, InferError> {
        if let Some((known, embedding)) = &*self.embedded.borrow()
            && *known == window
        {
            return Ok(Rc::clone(embedding));
        }
        let ahead = self.ahead.borrow_mut().take_if(|(known, _)| *known == window);
        let (embedding, encoding) = match ahead {
            Some((_, embedding)) => (embedding, None),
            None => {
                progress(Progress::Encoding);
                let start = Instant::now();
                let (embedding, worked) = self.segmenter.embed(&self.image, window)?;
                (embedding, worked.then(|| start.elapsed()))
            }
        };
        change.encoding = encoding;
        // With a budget it is the segmenter that decides what is kept.
        let kept = (!self.segmenter.keeps_embeddings()).then(|| (window, Rc::clone(&embedding)));
        *self.embedded.borrow_mut() = kept;
        Ok(embedding)
    }
}
