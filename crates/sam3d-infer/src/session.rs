//! A session: prompts and corrections for one object in one volume, and the mask.

mod crops;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use ndarray::Array3;
use sam3d_geom::{BoundingBox, Point, PointLabel};
use sam3d_io::crop::CropWindow;
use sam3d_model::{DenseChannel, DensePrompts};

use self::crops::{Located, Placed};
use crate::{
    Accepts, Answer, Change, Image, InferError, MaskPart, Progress, Prompt, Segmenter, SessionLog,
    correction::Places,
    ensemble::CropEmbeddings,
    grow::{self, GrowLimits},
    log::LogStep,
    placement::Placement,
    shape::{Shape, ShapeKind, places},
};

/// Number of steps whose answers are kept for undo; older ones are computed again from their prompts.
const ANSWERS_KEPT: usize = 32;
/// Memory for answers that are kept for undo, in bytes; those of the last two steps are kept however large they are.
const ANSWER_BYTES: usize = 512 << 20;

/// One object in one volume.
///
/// A step adds one prompt, or several clicks given together. The mask after a step is a function of the steps up to it, in their
/// order. A step that fails leaves the session unchanged.
#[derive(Debug)]
pub struct Session {
    segmenter: Segmenter,
    image: Arc<Image>,
    steps: Vec<Step>,
    /// Number of steps in effect; later ones were undone.
    done: usize,
    /// The crop that was encoded last.
    embedded: RefCell<Option<(CropWindow, Rc<CropEmbeddings>)>>,
    /// The crop that was encoded ahead last, until a step uses it.
    ahead: RefCell<Option<(CropWindow, Rc<CropEmbeddings>)>>,
}

#[derive(Debug)]
struct Step {
    log: LogStep,
    /// The clicks on the resampled grid.
    points: Vec<Point>,
    shapes: Vec<Shape>,
    /// The crop, and the box around all prompts up to this step. `None` for the prompt-free variant.
    placed: Option<(CropWindow, BoundingBox)>,
    answer: Option<Arc<Answer>>,
}

impl Session {
    pub(crate) fn new(segmenter: Segmenter, image: Arc<Image>) -> Self {
        let (embedded, ahead) = Default::default();
        Self { segmenter, image, steps: Vec::new(), done: 0, embedded, ahead }
    }

    /// The image.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The steps in effect.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &LogStep> {
        self.steps[..self.done].iter().map(|step| &step.log)
    }

    /// Memory of the answers of all steps, in bytes.
    pub fn bytes(&self) -> usize {
        self.steps.iter().filter_map(|step| step.answer.as_ref()).map(|answer| answer.bytes()).sum()
    }

    /// Adds one prompt.
    ///
    /// # Errors
    /// As [`add_step`](Self::add_step).
    pub fn add(&mut self, prompt: Prompt) -> Result<Change, InferError> {
        self.add_step(LogStep::of([prompt]), &mut |_| ())
    }

    /// Adds prompts given together: the first crop is centred on their middle.
    ///
    /// # Errors
    /// As [`add_step`](Self::add_step).
    pub fn add_together(&mut self, prompts: &[Prompt]) -> Result<Change, InferError> {
        self.add_step(LogStep::of(prompts.iter().cloned()), &mut |_| ())
    }

    /// Adds a step and discards undone ones. For weights of the prompt-free variant the step has no prompts.
    ///
    /// # Errors
    /// [`InferError::PromptRefused`] if the weights do not understand a prompt or need one; [`InferError::Geometry`] or
    /// [`InferError::Io`] if one lies outside the volume; [`InferError::ClicksTooFarApart`] if the first clicks, given
    /// together, do not fit a crop; [`InferError::Model`] if the network fails.
    pub fn add_step(
        &mut self,
        step: LogStep,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Change, InferError> {
        let accepts = self.segmenter.accepts();
        step.prompts.iter().try_for_each(|prompt| accepts.check(prompt))?;
        if accepts.clicks && step.prompts.is_empty() {
            return Err(InferError::PromptRefused(Accepts::PROMPT_NEEDED));
        }
        let before = self.answer()?;
        let (step, mut change) = self.compute(step, self.done, before.as_deref(), progress)?;
        change.region =
            Answer::native_box_of_both([before.as_deref(), step.answer.as_deref()], self.image.frame());
        self.steps.truncate(self.done);
        self.steps.push(step);
        self.done += 1;
        let newest_first =
            self.steps.iter().rev().map(|step| step.answer.as_ref().map_or(0, |answer| answer.bytes()));
        let kept = answers_kept(newest_first);
        self.steps.iter_mut().rev().skip(kept).for_each(|step| step.answer = None);
        Ok(change)
    }

    /// Undoes the last step.
    ///
    /// # Errors
    /// [`InferError::NoStep`] if there is none; [`InferError::Model`] if an answer that is no longer kept cannot be computed
    /// again.
    pub fn undo(&mut self) -> Result<(), InferError> {
        self.done = self.done.checked_sub(1).ok_or(InferError::NoStep("undo"))?;
        self.answer().map(drop)
    }

    /// Redoes the last step that was undone.
    ///
    /// # Errors
    /// [`InferError::NoStep`] if no step was undone since the last one was added.
    pub fn redo(&mut self) -> Result<(), InferError> {
        if self.done == self.steps.len() {
            return Err(InferError::NoStep("redo"));
        }
        self.done += 1;
        self.answer().map(drop)
    }

    /// Removes all steps.
    pub fn reset(&mut self) {
        self.steps.clear();
        self.done = 0;
    }

    /// The probability after the steps in effect; `None` before the first one.
    ///
    /// # Errors
    /// [`InferError::Model`] if an answer that is no longer kept cannot be computed again.
    pub fn answer(&mut self) -> Result<Option<Arc<Answer>>, InferError> {
        let Some(last) = self.done.checked_sub(1) else { return Ok(None) };
        let kept = (0..=last).rev().find(|index| self.steps[*index].answer.is_some());
        for index in kept.map_or(0, |index| index + 1)..=last {
            let before = index.checked_sub(1).and_then(|index| self.steps[index].answer.clone());
            let log = self.steps[index].log.clone();
            self.steps[index] = self.compute(log, index, before.as_deref(), &mut |_| ())?.0;
        }
        Ok(self.steps[last].answer.clone())
    }

    /// The mask of the voxels whose probability is above `threshold`, as the part of the file's grid in which it can be nonzero.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn mask_part(&mut self, threshold: f64) -> Result<MaskPart, InferError> {
        match self.answer()? {
            Some(answer) => answer.mask(self.image.frame(), threshold),
            None => Ok(MaskPart::default()),
        }
    }

    /// The mask (0 or 1) in the file's whole grid, `[k, j, i]`.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn mask(&mut self, threshold: f64) -> Result<Array3<u8>, InferError> {
        let mut mask = Array3::zeros(self.image.grid().shape_kji());
        self.mask_part(threshold)?.paint(&mut mask, 1)?;
        Ok(mask)
    }

    /// The log of the steps in effect.
    ///
    /// # Errors
    /// [`InferError::Model`] if the weights' file can no longer be read.
    pub fn log(&self) -> Result<SessionLog, InferError> {
        let steps = self.steps().cloned().collect();
        SessionLog::new(&self.image, &self.segmenter, steps)
    }

    /// Adds the steps of `log`. The mask is the same, bit for bit, as when it was recorded. Returns the change of the last step;
    /// `None` if the log has no steps.
    ///
    /// # Errors
    /// As [`add_step`](Self::add_step); [`InferError::LogMismatch`] unless `log` was recorded on this image and with these
    /// weights, or `force` is set.
    pub fn replay(
        &mut self,
        log: &SessionLog,
        force: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Change>, InferError> {
        if !force {
            log.check(&self.image, &self.segmenter)?;
        }
        let mut change = None;
        for step in log.steps() {
            change = Some(self.add_step(step.clone(), progress)?);
        }
        Ok(change)
    }

    /// Computes step `index` from those before it, the last of which has the answer `before`.
    fn compute(
        &self,
        log: LogStep,
        index: usize,
        before: Option<&Answer>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Step, Change), InferError> {
        let start = Instant::now();
        let mut change = Change {
            region: None,
            outside: 0,
            crops: 1,
            held: 0,
            is_cut_off: false,
            encoding: None,
            decoding: Duration::ZERO,
        };
        let frame = self.image.frame();
        let extent = frame.resampled_extent();
        let current = index.checked_sub(1).and_then(|index| self.steps[index].placed);
        let Located { points: new, shapes, crop } = self.locate(&log, current)?;
        let Some(Placed { window, all, bounds }) = crop else {
            let answer = self.segmenter.segment_whole(&self.image, &mut |done, all| {
                change.crops = all;
                progress(Progress::Crops(done, all));
            })?;
            change.decoding = start.elapsed();
            let answer = Some(Arc::new(answer));
            return Ok((Step { log, points: new, shapes, placed: None, answer }, change));
        };
        let placed = Some((window, all));
        let masks = shapes.iter().filter(|shape| shape.kind() == ShapeKind::Mask);
        let begun = masks.map(|shape| shape.answer(frame)).reduce(|earlier, later| later.over(&earlier));
        // Around a mask to begin from there is nothing, which is as known as the mask.
        let nothing = Answer::of_crop(window, Array3::zeros([window.side(); 3]).view(), extent)?;
        let begun = begun.map(|mask| mask.over(&nothing));
        if let (Some(begun), true) = (&begun, new.is_empty() && log.prompts.len() == 1) {
            // A mask alone is the answer: the network corrects it when it is told what is wrong.
            (change.crops, change.decoding) = (0, start.elapsed());
            let answer = Some(Arc::new(begun.clone()));
            return Ok((Step { log, points: new, shapes, placed, answer }, change));
        }
        let mut points: Vec<Point> =
            self.steps[..index].iter().flat_map(|step| step.points.iter().copied()).collect();
        points.extend(&new);
        let placement = Placement::of(&points, window);
        change.outside = placement.outside;
        let drawn: Vec<&Shape> =
            self.steps[..index].iter().flat_map(|step| &step.shapes).chain(&shapes).collect();
        let previous = begun.as_ref().or(before);
        let dense = self.dense(&drawn, previous, window)?;
        if placement.clicks.is_empty() && dense.is_empty() {
            let span = bounds.sizes().into_iter().max().unwrap_or_default();
            return Err(InferError::ClicksTooFarApart { span, side: window.side() });
        }
        let embedding = self.embed(window, &mut change, progress)?;
        progress(Progress::Decoding);
        let limits = log.grow.unwrap_or(GrowLimits::ONE_CROP);
        let (segmenter, image) = (&self.segmenter, &self.image);
        let mut predict = |placement: &Placement| {
            if placement.window == window {
                return segmenter.decode(&embedding, placement, &dense);
            }
            let embedding = segmenter.embed(image, placement.window)?.0;
            segmenter.decode(&embedding, placement, &self.dense(&drawn, None, placement.window)?)
        };
        let mut tell = |done| {
            if limits.crops > 1 {
                progress(Progress::Crops(done, limits.crops));
            }
        };
        let grown = grow::grow(extent, placement, &points, limits, &mut predict, &mut tell)?;
        (change.crops, change.is_cut_off) = (grown.crops.len(), grown.is_cut_off);
        let mut answer = match previous {
            Some(previous) => grown.answer.over(previous),
            None => grown.answer,
        };
        if self.segmenter.accepts().negative_clicks {
            let earlier = self.steps[..index].iter().map(|step| (&step.points[..], &step.shapes[..]));
            let earlier: Vec<Point> =
                earlier.flat_map(|(clicks, shapes)| places(clicks, shapes, frame)).collect();
            let is_local =
                shapes.iter().all(|shape| shape.kind() == ShapeKind::Scribble) && limits.crops == 1;
            let places = Places { earlier: &earlier, new: &places(&new, &shapes, frame) };
            let spacing = self.segmenter.preprocessing().spacing_mm;
            let held = places.correct(&mut answer, previous.filter(|_| is_local), spacing);
            change.held = held.iter().take(new.len()).filter(|held| **held).count();
        }
        change.decoding = start.elapsed().saturating_sub(change.encoding.unwrap_or_default());
        Ok((Step { log, points: new, shapes, placed, answer: Some(Arc::new(answer)) }, change))
    }

    /// The dense prompts of the crop `window`: the shapes drawn so far, a later one over an earlier one that says the
    /// opposite, and the mask before. Nothing for weights that do not understand them.
    fn dense(
        &self,
        shapes: &[&Shape],
        previous: Option<&Answer>,
        window: CropWindow,
    ) -> Result<DensePrompts, InferError> {
        use DenseChannel::{PreviousMask, RegionInside, RegionOutside, ScribbleInside, ScribbleOutside};
        let mut dense = DensePrompts::default();
        if !self.segmenter.accepts().shapes {
            return Ok(dense);
        }
        let voxels = window.side().pow(3);
        for (kind, channels) in [
            (ShapeKind::Region, [RegionInside, RegionOutside]),
            (ShapeKind::Scribble, [ScribbleInside, ScribbleOutside]),
        ] {
            if !shapes.iter().any(|shape| shape.kind() == kind) {
                continue;
            }
            let mut values = [vec![0.0; voxels], vec![0.0; voxels]];
            for shape in shapes.iter().filter(|shape| shape.kind() == kind) {
                let own = usize::from(shape.label == PointLabel::Negative);
                shape.draw(self.image.frame(), window, &mut values[own], 1.0);
                if kind == ShapeKind::Scribble {
                    shape.draw(self.image.frame(), window, &mut values[1 - own], 0.0);
                }
            }
            for (channel, values) in channels.into_iter().zip(&values) {
                dense = dense.with(channel, values)?;
            }
        }
        if let Some(previous) = previous {
            dense = dense.with(PreviousMask, &previous.mask_in(window))?;
        }
        Ok(dense)
    }
}

/// How many answers, given their sizes in bytes from the newest on, are kept.
fn answers_kept(newest_first: impl Iterator<Item = usize>) -> usize {
    let sums = newest_first.scan(0usize, |sum, bytes| {
        *sum = sum.saturating_add(bytes);
        Some(*sum)
    });
    sums.take(ANSWERS_KEPT).take_while(|bytes| *bytes <= ANSWER_BYTES).count().max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_answers_give_way_by_number_and_by_size() {
        let kept = |bytes: usize, steps: usize| answers_kept(std::iter::repeat_n(bytes, steps));
        assert_eq!((kept(1 << 20, 10), kept(1 << 20, 40)), (10, 32));
        assert_eq!((kept(100 << 20, 40), kept(1 << 30, 40)), (5, 2));
    }
}
