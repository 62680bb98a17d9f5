//! Evaluates many cases: reads and prepares them on several threads, predicts on the caller's, scores on another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Instant,
};

use ndarray::ArrayView3;
use sam3d_data::dataset::Case;
use sam3d_infer::{Prompt, Session};
use sam3d_io::{Grid, IoError, ReadLimits};

use crate::EvalError;
use crate::{
    CaseEvaluation, ClickScore, EvalConfig, EvaluationCase, Method, Prediction, THRESHOLD,
    clicks::prompt_sets,
    corrections::{CorrectedMask, CorrectionConfig, CorrectionRun, Corrector, FirstPrompt, PlacedPrompt},
    score::{self, Prompted, ScoredPrediction, native_ijk},
    timings::{CaseTimings, PromptTiming},
};

/// Takes a score and its mask (0 or 1) in the file's own grid, `[k, j, i]`.
pub type KeepMask<'a> = dyn Fn(&ClickScore, ArrayView3<'_, u8>, &Grid) -> Result<(), IoError> + Sync + 'a;

/// The settings shared by all cases.
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    /// The method.
    pub method: &'a dyn Method,
    /// The label's class that is the target.
    pub target_class: u32,
    /// The protocol.
    pub config: &'a EvalConfig,
    /// How volumes are read.
    pub limits: ReadLimits,
    /// How many cases are read and prepared in parallel; at most two more are in memory. Does not affect the
    /// result.
    pub readers: usize,
}

/// A message to the scoring thread, in the order of predictions.
enum ScoringJob {
    Prediction(Arc<EvaluationCase>, Prompted, Prediction),
    /// The corrective clicks of a run and their times.
    Corrections(CorrectionRun, Vec<PromptTiming>),
    /// All predictions of the case with this index have been sent.
    Done(usize),
    /// The case with this index failed while it was predicted.
    Failed(usize, EvalError),
}

/// The scores of a case, and the times of its prompts in a corrective evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseResult {
    /// The scores.
    pub evaluation: CaseEvaluation,
    /// In the order of the prompts; empty for the published protocol.
    pub timings: Vec<PromptTiming>,
}

type Outcome = Result<CaseResult, EvalError>;

impl Pipeline<'_> {
    /// Evaluates `cases`. `done(index, outcome)` is called on this thread for each of them as they are finished, in any
    /// order; a case that fails does not stop the others.
    ///
    /// `keep` is given every score with its mask.
    ///
    /// # Errors
    /// [`EvalError::Internal`] if a thread ended early. The failure of a case is part of its outcome.
    pub fn run(
        &self,
        cases: &[&Case],
        keep: &KeepMask<'_>,
        done: &mut dyn FnMut(usize, Outcome),
    ) -> Result<(), EvalError> {
        let next = AtomicUsize::new(0);
        // Copied here, because the method cannot be shared with the readers' threads.
        let preprocessing = *self.method.preprocessing();
        let (target_class, limits, config) = (self.target_class, self.limits, self.config);
        thread::scope(|scope| {
            let (prepared_in, prepared) = sync_channel(0);
            for _ in 0..self.readers.clamp(1, cases.len().max(1)) {
                let (next, prepared_in) = (&next, prepared_in.clone());
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(index) else { break };
                        let read = EvaluationCase::read(case, target_class, &preprocessing, limits);
                        // The receiver is gone only if the caller's thread is.
                        if prepared_in.send((index, read)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(prepared_in);
            let (work_in, work) = sync_channel(1);
            let (outcome_in, outcomes) = channel();
            scope.spawn(move || score_all(&work, &outcome_in, config, keep));
            self.predict_all(cases.len(), &prepared, work_in, &outcomes, done)
        })
    }

    fn predict_all(
        &self,
        cases: usize,
        prepared: &Receiver<(usize, Result<EvaluationCase, EvalError>)>,
        work: SyncSender<ScoringJob>,
        outcomes: &Receiver<(usize, Outcome)>,
        done: &mut dyn FnMut(usize, Outcome),
    ) -> Result<(), EvalError> {
        let gone = || EvalError::Internal("a thread of the evaluation ended early");
        let mut finished = 0;
        let mut finish = |(index, outcome): (usize, Outcome)| {
            finished += 1;
            done(index, outcome);
        };
        for (index, case) in prepared {
            let last = match case.and_then(|case| self.predict_case(case, &work)) {
                Ok(()) => ScoringJob::Done(index),
                Err(error) => ScoringJob::Failed(index, error),
            };
            work.send(last).map_err(|_| gone())?;
            outcomes.try_iter().for_each(&mut finish);
        }
        drop(work);
        outcomes.iter().for_each(&mut finish);
        if finished == cases { Ok(()) } else { Err(gone()) }
    }

    fn predict_case(&self, case: EvaluationCase, work: &SyncSender<ScoringJob>) -> Result<(), EvalError> {
        let case = Arc::new(case);
        if let Some(corrections) = self.config.corrections {
            return self.correct_case(&case, corrections, work);
        }
        for prompts in prompt_sets(&case, self.method.prompting(), self.config)? {
            let prediction = self.method.predict(&case, &prompts.clicks)?;
            let prompted = Prompted::of(&case, &prompts, self.config);
            send(work, ScoringJob::Prediction(Arc::clone(&case), prompted, prediction))?;
        }
        Ok(())
    }

    /// First prompts and corrections, all in one session.
    fn correct_case(
        &self,
        case: &Arc<EvaluationCase>,
        config: CorrectionConfig,
        work: &SyncSender<ScoringJob>,
    ) -> Result<(), EvalError> {
        let (mut session, accepts) = self.method.session(case).ok_or_else(|| EvalError::Setting {
            field: "the method",
            found: self.method.name().to_owned(),
            expected: "one that answers clicks one after another",
        })?;
        let negative_clicks = accepts.negative_clicks;
        let corrector = Corrector { case, config, seed: self.config.seed, negative_clicks };
        let firsts: Vec<Option<PlacedPrompt>> = match config.first {
            FirstPrompt::None => vec![None],
            FirstPrompt::Centre => vec![Some(corrector.centre()?)],
            FirstPrompt::Box => vec![Some(corrector.target_box()?)],
            FirstPrompt::Click => prompt_sets(case, self.method.prompting(), self.config)?
                .iter()
                .map(|set| {
                    let point = set.clicks.first()?;
                    Some((Prompt::resampled_click(*point), Some(native_ijk(case.frame(), point.index))))
                })
                .collect(),
        };
        for (click_set, first) in firsts.into_iter().enumerate() {
            session.reset();
            let mut seen = |prompted: Prompted, mask| {
                send(work, ScoringJob::Prediction(Arc::clone(case), prompted, Prediction::Mask(mask)))
            };
            let (run, timings) =
                corrector.run(click_set, first, &mut |prompt| corrected(&mut session, prompt), &mut seen)?;
            send(work, ScoringJob::Corrections(run, timings))?;
        }
        Ok(())
    }
}

fn send(work: &SyncSender<ScoringJob>, item: ScoringJob) -> Result<(), EvalError> {
    work.send(item).map_err(|_| EvalError::Internal("the scoring thread ended early"))
}

/// The mask of `session` after one more prompt.
fn corrected(session: &mut Session, prompt: Prompt) -> Result<CorrectedMask, EvalError> {
    let start = Instant::now();
    let change = session.add(prompt)?;
    let (is_held, encoder) = (change.held > 0, change.encoding.unwrap_or_default());
    let stored = session.mask(f64::from(THRESHOLD))?;
    let mask = session.image().frame().axis_map().to_dhw(stored.view())?;
    Ok(CorrectedMask { mask, is_held, encoder, total: start.elapsed() })
}

/// Scores predictions until the channel closes.
fn score_all(
    work: &Receiver<ScoringJob>,
    outcomes: &Sender<(usize, Outcome)>,
    config: &EvalConfig,
    keep: &KeepMask<'_>,
) {
    let mut current: Result<CaseResult, EvalError> = Ok(CaseResult::nothing());
    for item in work {
        match item {
            ScoringJob::Prediction(case, prompted, prediction) => {
                if let Ok(evaluated) = &mut current {
                    match scored_and_kept(&case, prompted, &prediction, config, keep) {
                        Ok(scored) => evaluated.add(scored),
                        Err(error) => current = Err(error),
                    }
                }
            }
            ScoringJob::Corrections(run, timings) => {
                if let Ok(CaseResult { evaluation, timings: all }) = &mut current {
                    evaluation.corrections.push(run);
                    all.extend(timings);
                }
            }
            ScoringJob::Done(index) => {
                let outcome = std::mem::replace(&mut current, Ok(CaseResult::nothing()));
                // The receiver is gone only if the caller's thread is.
                let _ = outcomes.send((index, outcome));
            }
            ScoringJob::Failed(index, error) => {
                current = Ok(CaseResult::nothing());
                let _ = outcomes.send((index, Err(error)));
            }
        }
    }
}

fn scored_and_kept(
    case: &EvaluationCase,
    prompted: Prompted,
    prediction: &Prediction,
    config: &EvalConfig,
    keep: &KeepMask<'_>,
) -> Result<ScoredPrediction, EvalError> {
    let (scored, mask) = score::score(case, prompted, prediction, config)?;
    keep(&scored.score, mask.view(), case.frame().grid())?;
    Ok(scored)
}

impl CaseResult {
    /// How long the prompts took, with the case's name.
    pub fn case_timings(&self) -> CaseTimings {
        CaseTimings { case: self.evaluation.case.clone(), prompts: self.timings.clone() }
    }

    fn nothing() -> Self {
        let (case, scores) = (String::new(), Vec::new());
        let evaluation = CaseEvaluation { case, scores, balls: Vec::new(), corrections: Vec::new() };
        Self { evaluation, timings: Vec::new() }
    }

    fn add(&mut self, ScoredPrediction { score, ball }: ScoredPrediction) {
        self.evaluation.case.clone_from(&score.case);
        self.evaluation.scores.push(score);
        self.evaluation.balls.extend(ball);
    }
}
