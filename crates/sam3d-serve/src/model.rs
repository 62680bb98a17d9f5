//! The thread that owns the segmenter, its queue, and the sessions it remembers.

mod worker;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use sam3d_geom::Preprocessing;
use sam3d_infer::{
    Accepts, Ahead, Answer, Change, Image, InferError, LogStep, Progress, Segmenter, SessionLog,
};
use tokio::sync::{mpsc, oneshot};

use self::worker::{Waiting, Worker};
use crate::{ServeError, refusal::Refusal};

/// Opens the segmenter on the thread that will own it; called again after a panic.
pub(crate) type OpenSegmenter = dyn Fn() -> Result<Segmenter, InferError> + Send + Sync;

/// The answer to the prompts of one object.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    pub(crate) answer: Arc<Answer>,
    /// What the last step did; `None` if all steps had been answered before.
    pub(crate) change: Option<Change>,
    pub(crate) log: SessionLog,
}

/// A request to the network. A job whose asker has gone is not done.
#[derive(Debug)]
struct Job {
    image: Arc<Image>,
    steps: Vec<LogStep>,
    progress: mpsc::UnboundedSender<Progress>,
    reply: oneshot::Sender<Result<Answered, Refusal>>,
}

impl Job {
    /// A job, and its answer on the way, behind `ahead` others.
    fn new(image: Arc<Image>, steps: Vec<LogStep>, ahead: usize) -> (Self, Pending) {
        let (reply, answer) = oneshot::channel();
        let (progress_in, progress) = mpsc::unbounded_channel();
        (Self { image, steps, progress: progress_in, reply }, Pending { ahead, progress, reply: answer })
    }
}

/// A crop to encode before anyone needs it: that of the last of `steps`. Not done once its asker has gone.
#[derive(Debug)]
struct CropToEncode {
    image: Arc<Image>,
    steps: Vec<LogStep>,
    reply: oneshot::Sender<Result<Ahead, Refusal>>,
}

/// An answer that is on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Requests that were before it in the queue.
    pub(crate) ahead: usize,
    /// What is being done for it.
    pub(crate) progress: mpsc::UnboundedReceiver<Progress>,
    reply: oneshot::Receiver<Result<Answered, Refusal>>,
}

impl Pending {
    /// The answer.
    pub(crate) async fn answered(self) -> Result<Answered, Refusal> {
        match self.reply.await {
            Ok(answered) => answered,
            Err(_) => Err(Refusal::busy("the server is stopping")),
        }
    }
}

/// What of the segmenter the server needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) accepts: Accepts,
    pub(crate) preprocessing: Preprocessing,
    pub(crate) keeps_embeddings: bool,
}

/// The queue to the thread that owns the segmenter.
#[derive(Debug)]
pub(crate) struct Model {
    jobs: mpsc::Sender<Job>,
    /// Crops to encode while there is no job.
    crops: mpsc::Sender<CropToEncode>,
    /// Whether the segmenter is open.
    is_open: Arc<AtomicBool>,
}

impl Model {
    /// Starts the thread and waits until the segmenter is open. The thread ends when the model is dropped, after what it is at.
    pub(crate) fn start(
        open: Arc<OpenSegmenter>,
        queue: usize,
    ) -> Result<(Self, Facts, JoinHandle<()>), ServeError> {
        let (jobs, waiting_jobs) = mpsc::channel(queue);
        let (crops, waiting_crops) = mpsc::channel(queue);
        let failed = |source| ServeError::System { action: "start the network's thread", source };
        let mut waiting = Waiting::new(waiting_jobs, waiting_crops).map_err(failed)?;
        let (ready, opened) = std::sync::mpsc::channel();
        let is_open = Arc::new(AtomicBool::new(true));
        let is_open_now = Arc::clone(&is_open);
        let thread = thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let mut segmenter = match open() {
                    Ok(segmenter) => segmenter,
                    Err(error) => {
                        let _nobody_waits = ready.send(Err(error));
                        return;
                    }
                };
                let facts = Facts {
                    accepts: segmenter.accepts(),
                    preprocessing: *segmenter.preprocessing(),
                    keeps_embeddings: segmenter.keeps_embeddings(),
                };
                let _nobody_waits = ready.send(Ok(facts));
                loop {
                    let mut worker = Worker { segmenter, sessions: Vec::new() };
                    // What a panic leaves behind is dropped with the worker.
                    if catch_unwind(AssertUnwindSafe(|| worker.work_on(&mut waiting))).is_ok() {
                        return;
                    }
                    drop(worker);
                    is_open_now.store(false, Ordering::Release);
                    tracing::error!("the network's thread panicked; the weights are loaded again");
                    segmenter = match open() {
                        Ok(segmenter) => segmenter,
                        Err(error) => {
                            tracing::error!("the weights cannot be loaded again: {error}");
                            return;
                        }
                    };
                    is_open_now.store(true, Ordering::Release);
                }
            })
            .map_err(failed)?;
        let ended = || failed(std::io::Error::other("it ended before the weights were loaded"));
        let facts = opened.recv().map_err(|_| ended())??;
        Ok((Self { jobs, crops, is_open }, facts, thread))
    }

    /// Whether a request would be answered: not while the segmenter is opened again.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_open.load(Ordering::Acquire) && !self.jobs.is_closed()
    }

    /// Requests that wait for the network.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Puts a request into the queue, unless that is full.
    pub(crate) fn ask(&self, image: Arc<Image>, steps: Vec<LogStep>) -> Result<Pending, Refusal> {
        let ahead = self.waiting();
        let (job, pending) = Job::new(image, steps, ahead);
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Refusal::busy(format!("{ahead} requests are waiting already; try again in a moment"))
            }
            mpsc::error::TrySendError::Closed(_) => {
                Refusal::internal("use the network", &ServeError::NetworkLost)
            }
        })?;
        Ok(pending)
    }

    /// Puts a request into the queue once there is a place in it.
    pub(crate) async fn ask_in_turn(
        &self,
        image: Arc<Image>,
        steps: Vec<LogStep>,
    ) -> Result<Pending, Refusal> {
        let lost = |_| Refusal::internal("use the network", &ServeError::NetworkLost);
        let place = self.jobs.reserve().await.map_err(lost)?;
        let (job, pending) = Job::new(image, steps, self.waiting());
        place.send(job);
        Ok(pending)
    }

    /// Encodes the crop of the last of `steps` once there is nothing else to do. Dropped, the future takes its request back.
    pub(crate) async fn encode_ahead(
        &self,
        image: Arc<Image>,
        steps: Vec<LogStep>,
    ) -> Result<Ahead, Refusal> {
        let (reply, done) = oneshot::channel();
        let crop = CropToEncode { image, steps, reply };
        self.crops
            .try_send(crop)
            .map_err(|_| Refusal::busy("too many crops are waiting to be encoded ahead"))?;
        done.await
            .unwrap_or_else(|_| Err(Refusal::busy("the server is stopping, or loads its weights again")))
    }
}

#[cfg(test)]
mod tests;
