//! What the thread that owns the segmenter does: it answers requests, and encodes crops ahead while nobody asks.

use std::sync::Arc;

use sam3d_infer::{Accepts, Ahead, Image, InferError, LogStep, Progress, Segmenter, Session};
use sam3d_io::crop::CropWindow;
use tokio::{
    runtime::Runtime,
    sync::{
        mpsc::{self, error::TryRecvError},
        oneshot,
    },
};

use super::{Answered, CropToEncode, Job};
use crate::{ServeError, refusal::Refusal};

/// Memory for the answers of sessions, bytes; one session is kept however large it is.
const SESSION_BYTES: usize = 512 << 20;

/// What waits for the thread.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) jobs: mpsc::Receiver<Job>,
    crops: mpsc::Receiver<CropToEncode>,
    /// A job that came while a crop was encoded ahead.
    pub(super) came: Option<Job>,
    /// The crop whose encoding gave way to that job.
    pub(super) gave_way: Option<CropToEncode>,
    runtime: Runtime,
}

/// What is next.
#[derive(Debug)]
enum Next {
    Job(Job),
    Crop(CropToEncode),
}

impl Waiting {
    pub(super) fn new(
        jobs: mpsc::Receiver<Job>,
        crops: mpsc::Receiver<CropToEncode>,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { jobs, crops, came: None, gave_way: None, runtime })
    }

    /// Waits for what is next: a job before a crop. `None` once nobody can ask any more.
    fn next(&mut self) -> Option<Next> {
        if let Some(job) = self.job_by_now() {
            return job.map(Next::Job);
        }
        if let Some(crop) = self.gave_way.take() {
            return Some(Next::Crop(crop));
        }
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                job = self.jobs.recv() => job.map(Next::Job),
                Some(crop) = self.crops.recv() => Some(Next::Crop(crop)),
            }
        })
    }

    /// A job that has come by now; `Some(None)` if none can come any more.
    fn job_by_now(&mut self) -> Option<Option<Job>> {
        if let Some(job) = self.came.take() {
            return Some(Some(job));
        }
        match self.jobs.try_recv() {
            Ok(job) => Some(Some(job)),
            Err(TryRecvError::Disconnected) => Some(None),
            Err(TryRecvError::Empty) => None,
        }
    }
}

pub(super) struct Worker {
    pub(super) segmenter: Segmenter,
    /// Sessions that were used, the last one last.
    pub(super) sessions: Vec<Session>,
}

impl Worker {
    pub(super) fn work_on(&mut self, waiting: &mut Waiting) {
        while let Some(next) = waiting.next() {
            match next {
                Next::Job(job) if job.reply.is_closed() => {
                    tracing::debug!("a client went away before its turn");
                }
                Next::Job(job) => self.reply_to(job),
                Next::Crop(crop) if crop.reply.is_closed() => {}
                Next::Crop(crop) => self.encode_ahead(crop, waiting),
            }
        }
    }

    pub(super) fn reply_to(&mut self, job: Job) {
        let reply = Guarded(Some(job.reply));
        let answered = self.answer(job.image, &job.steps, &job.progress);
        reply.send(answered.map_err(|error| Refusal::of_prediction(&error)));
    }

    /// Encodes a crop until nobody waits for it any more, or someone asks for another.
    pub(super) fn encode_ahead(&self, crop: CropToEncode, waiting: &mut Waiting) {
        let session = self.segmenter.session_on(Arc::clone(&crop.image));
        let window = session.crop_after(&crop.steps).ok().flatten();
        let mut go_on = || {
            waiting.came.take_if(|job| job.reply.is_closed());
            if waiting.came.is_none() {
                match waiting.jobs.try_recv() {
                    Ok(job) => waiting.came = Some(job),
                    Err(TryRecvError::Empty) => return !crop.reply.is_closed(),
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
            // A job in this very crop waits for it.
            waiting.came.as_ref().is_some_and(|job| {
                is_same(&job.image, &crop.image) && window_of(&self.segmenter, job) == window
            })
        };
        let done = session.encode_ahead(&crop.steps, &mut go_on);
        tracing::debug!(?done, "encoded ahead");
        match done {
            Ok(Ahead::Stopped) if !crop.reply.is_closed() => waiting.gave_way = Some(crop),
            done => {
                let _gone = crop.reply.send(done.map_err(|error| Refusal::of_prediction(&error)));
            }
        }
    }

    /// The answer to `steps`, going on with the session that has most of them behind it.
    fn answer(
        &mut self,
        image: Arc<Image>,
        steps: &[LogStep],
        progress: &mpsc::UnboundedSender<Progress>,
    ) -> Result<Answered, InferError> {
        let in_common = |session: &Session| {
            let is_same = is_same(session.image(), &image);
            if is_same { session.steps().zip(steps).take_while(|(a, b)| a == b).count() } else { 0 }
        };
        let best = (0..self.sessions.len()).max_by_key(|index| in_common(&self.sessions[*index]));
        let mut session = match best {
            Some(index) if in_common(&self.sessions[index]) > 0 => self.sessions.remove(index),
            _ => self.segmenter.session_on(image.clone()),
        };
        let known = in_common(&session);
        while session.steps().len() > known {
            session.undo()?;
        }
        let mut change = None;
        for step in &steps[known..] {
            let mut tell = |now| {
                let _unheard = progress.send(now);
            };
            change = Some(session.add_step(step.clone(), &mut tell)?);
        }
        let answer = session.answer()?.ok_or(InferError::PromptRefused(Accepts::PROMPT_NEEDED))?;
        let log = session.log()?;
        tracing::debug!(?change, "answered prompts");
        self.sessions.push(session);
        let mut bytes: usize = self.sessions.iter().map(Session::bytes).sum();
        while bytes > SESSION_BYTES && self.sessions.len() > 1 {
            bytes -= self.sessions.remove(0).bytes();
        }
        Ok(Answered { answer, change, log })
    }
}

fn is_same(a: &Arc<Image>, b: &Arc<Image>) -> bool {
    Arc::ptr_eq(a, b) || a.sha256() == b.sha256()
}

/// The crop that a job needs in the end.
fn window_of(segmenter: &Segmenter, job: &Job) -> Option<CropWindow> {
    segmenter.session_on(Arc::clone(&job.image)).crop_after(&job.steps).ok().flatten()
}

/// A reply that is sent even if what it waits for panics.
struct Guarded(Option<oneshot::Sender<Result<Answered, Refusal>>>);

impl Guarded {
    fn send(mut self, answered: Result<Answered, Refusal>) {
        if let Some(reply) = self.0.take() {
            // Nobody may be left to hear it.
            let _gone = reply.send(answered);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let _gone = reply.send(Err(Refusal::internal("compute the mask", &ServeError::NetworkPanicked)));
        }
    }
}
