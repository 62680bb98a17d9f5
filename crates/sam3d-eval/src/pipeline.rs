//! Many cases: read and prepared on some threads, predicted on the caller's, scored on another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use ndarray::ArrayView3;
use sam3d_data::dataset::Case;
use sam3d_io::{Grid, IoError, ReadLimits};

use crate::EvalError;
use crate::{
    CaseEvaluation, ClickScore, EvalConfig, EvaluationCase, Method, Prediction, PromptSet,
    clicks::prompt_sets,
    score::{self, Scored},
};

/// Takes a score and its mask (0 or 1) in the file's own grid, `[k, j, i]`.
pub type KeepMask<'a> = dyn Fn(&ClickScore, ArrayView3<'_, u8>, &Grid) -> Result<(), IoError> + Sync + 'a;

/// What stays the same from case to case.
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    /// What is evaluated.
    pub method: &'a dyn Method,
    /// The label's class that is the target.
    pub target_class: u32,
    /// The protocol.
    pub config: &'a EvalConfig,
    /// How volumes are read.
    pub limits: ReadLimits,
    /// How many cases are read and prepared at the same time. As many, and two more, are in memory at most. Changes no
    /// result.
    pub readers: usize,
}

/// What the scoring thread is given, in the order of predictions.
enum Work {
    Prediction(Arc<EvaluationCase>, PromptSet, Prediction),
    /// All of the case with this index are there.
    Done(usize),
    /// The case with this index failed while it was predicted.
    Failed(usize, EvalError),
}

type Outcome = Result<CaseEvaluation, EvalError>;

impl Pipeline<'_> {
    /// Evaluates `cases`. `done(index, outcome)` is called on this thread for each of them as they are finished, in any
    /// order; a case that fails does not stop the others.
    ///
    /// `keep` is given every score with its mask.
    ///
    /// # Errors
    /// [`EvalError::Internal`] if a thread ended early. What happens to a case is in its outcome.
    pub fn run(
        &self,
        cases: &[&Case],
        keep: &KeepMask<'_>,
        done: &mut dyn FnMut(usize, Outcome),
    ) -> Result<(), EvalError> {
        let next = AtomicUsize::new(0);
        // Nobody's preprocessing may be asked for on the readers' threads: the method need not be shared.
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
        work: SyncSender<Work>,
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
                Ok(()) => Work::Done(index),
                Err(error) => Work::Failed(index, error),
            };
            work.send(last).map_err(|_| gone())?;
            outcomes.try_iter().for_each(&mut finish);
        }
        drop(work);
        outcomes.iter().for_each(&mut finish);
        if finished == cases { Ok(()) } else { Err(gone()) }
    }

    fn predict_case(&self, case: EvaluationCase, work: &SyncSender<Work>) -> Result<(), EvalError> {
        let case = Arc::new(case);
        for prompts in prompt_sets(&case, self.method.prompting(), self.config)? {
            let prediction = self.method.predict(&case, &prompts.clicks)?;
            let sent = work.send(Work::Prediction(Arc::clone(&case), prompts, prediction));
            sent.map_err(|_| EvalError::Internal("the scoring thread ended early"))?;
        }
        Ok(())
    }
}

/// Scores what comes until nothing more does.
fn score_all(
    work: &Receiver<Work>,
    outcomes: &Sender<(usize, Outcome)>,
    config: &EvalConfig,
    keep: &KeepMask<'_>,
) {
    let mut current: Result<Vec<Scored>, EvalError> = Ok(Vec::new());
    for item in work {
        match item {
            Work::Prediction(case, prompts, prediction) => {
                if let Ok(scores) = &mut current {
                    match scored_and_kept(&case, &prompts, &prediction, config, keep) {
                        Ok(scored) => scores.push(scored),
                        Err(error) => current = Err(error),
                    }
                }
            }
            Work::Done(index) => {
                let outcome = std::mem::replace(&mut current, Ok(Vec::new())).map(evaluation_of);
                // The receiver is gone only if the caller's thread is.
                let _ = outcomes.send((index, outcome));
            }
            Work::Failed(index, error) => {
                current = Ok(Vec::new());
                let _ = outcomes.send((index, Err(error)));
            }
        }
    }
}

fn scored_and_kept(
    case: &EvaluationCase,
    prompts: &PromptSet,
    prediction: &Prediction,
    config: &EvalConfig,
    keep: &KeepMask<'_>,
) -> Result<Scored, EvalError> {
    let (scored, mask) = score::score(case, prompts, prediction, config)?;
    keep(&scored.score, mask.view(), case.frame().grid())?;
    Ok(scored)
}

fn evaluation_of(scored: Vec<Scored>) -> CaseEvaluation {
    let mut evaluation = CaseEvaluation { case: String::new(), scores: Vec::new(), balls: Vec::new() };
    for Scored { score, ball } in scored {
        evaluation.case.clone_from(&score.case);
        evaluation.scores.push(score);
        evaluation.balls.extend(ball);
    }
    evaluation
}
