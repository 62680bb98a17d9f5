//! The thread that owns the segmenter, its queue, and the sessions it remembers.

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
    Accepts, Answer, Change, Image, InferError, LogStep, Progress, Segmenter, Session, SessionLog,
};
use tokio::sync::{mpsc, oneshot};

use crate::{ServeError, refusal::Refusal};

/// Memory for the answers of sessions, bytes; one session is kept however large it is.
const SESSION_BYTES: usize = 512 << 20;

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
}

/// The queue to the thread that owns the segmenter.
#[derive(Debug)]
pub(crate) struct Model {
    jobs: mpsc::Sender<Job>,
    /// Whether the segmenter is open.
    is_open: Arc<AtomicBool>,
}

impl Model {
    /// Starts the thread and waits until the segmenter is open. The thread ends when the model is dropped, after what it is at.
    pub(crate) fn start(
        open: Arc<OpenSegmenter>,
        queue: usize,
    ) -> Result<(Self, Facts, JoinHandle<()>), ServeError> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(queue);
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
                let facts = Facts { accepts: segmenter.accepts(), preprocessing: *segmenter.preprocessing() };
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
            .map_err(|source| ServeError::System { action: "start the network's thread", source })?;
        let ended = || ServeError::System {
            action: "start the network's thread",
            source: std::io::Error::other("it ended before the weights were loaded"),
        };
        let facts = opened.recv().map_err(|_| ended())??;
        Ok((Self { jobs, is_open }, facts, thread))
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
}

struct Worker {
    segmenter: Segmenter,
    /// Sessions that were used, the last one last.
    sessions: Vec<Session>,
}

impl Worker {
    fn work_on(&mut self, waiting: &mut mpsc::Receiver<Job>) {
        while let Some(job) = waiting.blocking_recv() {
            if job.reply.is_closed() {
                tracing::debug!("a client went away before its turn");
                continue;
            }
            let reply = Guarded(Some(job.reply));
            let answered = self.answer(job.image, &job.steps, &job.progress);
            reply.send(answered.map_err(|error| Refusal::of_prediction(&error)));
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
            let same = Arc::ptr_eq(session.image(), &image) || session.image().sha256() == image.sha256();
            if same { session.steps().zip(steps).take_while(|(a, b)| a == b).count() } else { 0 }
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

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use ndarray::Array3;
    use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, PointLabel, Spacing};
    use sam3d_infer::Prompt;
    use sam3d_io::{Grid, ValueType, Volume};
    use sam3d_model::{ModelConfig, Sam3d};

    use super::*;

    fn preprocessing() -> Preprocessing {
        Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        }
    }

    fn image() -> Arc<Image> {
        let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
        let grid = Grid::from_affine([4, 4, 4], affine).unwrap();
        let data = Array3::zeros([4, 4, 4]);
        let volume = Volume { data, grid, nan_voxels: 0, value_type: ValueType::Int16, rescale: None };
        Arc::new(Image::new(volume, &preprocessing()).unwrap())
    }

    fn click() -> Vec<LogStep> {
        vec![LogStep::of([Prompt::click([1, 2, 3], PointLabel::Positive)])]
    }

    fn segmenter() -> Result<Segmenter, InferError> {
        let network = Sam3d::new(&ModelConfig::tiny(), tch::Device::Cpu, 0)?;
        Ok(Segmenter::new(network, preprocessing(), 1 << 30))
    }

    #[test]
    fn a_full_queue_refuses() {
        let (jobs, mut waiting) = mpsc::channel(2);
        let model = Model { jobs, is_open: Arc::default() };
        let image = image();
        let kept = [0, 1].map(|ahead| {
            let pending = model.ask(Arc::clone(&image), click()).unwrap();
            assert_eq!(pending.ahead, ahead);
            pending
        });
        let refused = model.ask(Arc::clone(&image), click()).unwrap_err();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.detail.starts_with("2 requests are waiting"), "{}", refused.detail);
        drop(waiting.blocking_recv());
        assert!(model.ask(image, click()).is_ok());
        drop(kept);
    }

    #[test]
    fn a_client_that_has_gone_is_not_answered_and_a_session_goes_on() {
        let (jobs, mut waiting) = mpsc::channel(4);
        let model = Model { jobs, is_open: Arc::default() };
        let image = image();
        drop(model.ask(Arc::clone(&image), click()).unwrap());
        let twice: Vec<LogStep> = click().into_iter().chain(click()).collect();
        let asked = [click(), click(), twice].map(|steps| model.ask(Arc::clone(&image), steps).unwrap());
        drop(model);
        let mut worker = Worker { segmenter: segmenter().unwrap(), sessions: Vec::new() };
        worker.work_on(&mut waiting);
        let changes = asked.map(|pending| pending.reply.blocking_recv().unwrap().unwrap().change);
        assert!(changes[0].unwrap().encoding.is_some(), "the one that had gone was not encoded");
        assert_eq!(changes[1], None, "answered before");
        assert_eq!(changes[2].unwrap().encoding, None, "encoded before");
        assert_eq!(worker.sessions.len(), 1);
    }

    #[test]
    fn a_panic_is_answered_and_the_thread_starts_again() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let open = move || {
            let segmenter = segmenter()?;
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                // A parameter of another shape, which no checkpoint can bring in, makes libtorch throw in the decoder.
                let _no_grad = tch::no_grad_guard();
                let parameters = segmenter.network().parameters();
                let _ = parameters["mask_decoder.cls.3.weight"].set_requires_grad(false).resize_([1, 2, 3]);
            }
            Ok(segmenter)
        };
        let (model, facts, thread) = Model::start(Arc::new(open), 4).unwrap();
        assert!(facts.accepts.clicks && !facts.accepts.negative_clicks);
        let refused = model.ask(image(), click()).unwrap().reply.blocking_recv().unwrap().unwrap_err();
        assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
        let answered = model.ask(image(), click()).unwrap().reply.blocking_recv().unwrap();
        assert!(answered.is_ok(), "{answered:?}");
        drop(model);
        thread.join().unwrap();
        assert_eq!(opened.load(Ordering::SeqCst), 2);
    }
}
