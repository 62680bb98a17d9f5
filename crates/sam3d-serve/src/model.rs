//! The thread that owns the network, its queue, and what it remembers.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ndarray::Array3;
use sam3d_geom::Point;
use sam3d_io::crop::CropWindow;
use sam3d_model::{Embedding, Sam3d};
use sam3d_train::{
    TrainError,
    predict::{self, Placement},
};
use tokio::sync::{mpsc, oneshot};

use crate::{ServeError, image::ContentId, image::Image, lru::Lru, refusal::Refusal};

/// What the network is doing for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Encoding a crop that was not seen before, or not lately.
    Encoding,
    /// Answering the clicks.
    Decoding,
}

/// The probability around some clicks.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// In the crop, `[P, P, P]`.
    pub(crate) probability: Arc<Array3<f32>>,
    /// Where the crop lies in the resampled volume.
    pub(crate) window: CropWindow,
    /// Clicks that lie outside the crop and were not used.
    pub(crate) outside: usize,
    /// Time the encoder took; `None` if the embedding was at hand.
    pub(crate) encoding: Option<Duration>,
    /// Time the decoder took; `None` if the probability was at hand.
    pub(crate) decoding: Option<Duration>,
}

/// A request to the network. A job whose asker has gone is not done.
struct Job {
    image: Arc<Image>,
    points: Vec<Point>,
    stages: mpsc::UnboundedSender<Stage>,
    reply: oneshot::Sender<Result<Found, Refusal>>,
}

/// An answer that is on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Requests that were before it in the queue.
    pub(crate) ahead: usize,
    /// What is being done for it.
    pub(crate) stages: mpsc::UnboundedReceiver<Stage>,
    reply: oneshot::Receiver<Result<Found, Refusal>>,
}

impl Pending {
    /// The answer.
    pub(crate) async fn found(self) -> Result<Found, Refusal> {
        match self.reply.await {
            Ok(found) => found,
            Err(_) => Err(Refusal::busy("the server is stopping")),
        }
    }
}

/// The queue to the thread that owns the network.
#[derive(Debug)]
pub(crate) struct Model {
    jobs: mpsc::Sender<Job>,
}

impl Model {
    /// Starts the thread. It ends when the model is dropped, after what it is at.
    pub(crate) fn start(
        network: Sam3d,
        queue: usize,
        cache_bytes: usize,
    ) -> Result<(Self, JoinHandle<()>), ServeError> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(queue);
        let thread = thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let mut predictor = Predictor { network, known: Lru::new(cache_bytes) };
                while let Some(job) = waiting.blocking_recv() {
                    predictor.work(job);
                }
            })
            .map_err(|source| ServeError::System { action: "start the network's thread", source })?;
        Ok((Self { jobs }, thread))
    }

    /// Requests that wait for the network.
    pub(crate) fn waiting(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    /// Puts a request into the queue, unless that is full.
    pub(crate) fn ask(&self, image: Arc<Image>, points: Vec<Point>) -> Result<Pending, Refusal> {
        let (reply, answer) = oneshot::channel();
        let (stages, progress) = mpsc::unbounded_channel();
        let ahead = self.waiting();
        self.jobs.try_send(Job { image, points, stages, reply }).map_err(|_| {
            Refusal::busy(format!("{} requests are waiting already; try again in a moment", ahead))
        })?;
        Ok(Pending { ahead, stages: progress, reply: answer })
    }
}

struct Predictor {
    network: Sam3d,
    known: Lru<Key, Known>,
}

/// The network is the same for a server's whole life, so it is no part of the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    content: ContentId,
    start: [i64; 3],
    /// The clicks in the crop, for a probability; none for an embedding.
    clicks: Vec<([usize; 3], bool)>,
}

enum Known {
    Embedding(Embedding),
    Probability(Arc<Array3<f32>>),
}

impl Predictor {
    fn work(&mut self, job: Job) {
        if job.reply.is_closed() {
            tracing::debug!("a client went away before its turn");
            return;
        }
        let found = self.predict(&job);
        // Nobody may be left to hear it.
        let _gone = job.reply.send(found);
    }

    fn predict(&mut self, job: &Job) -> Result<Found, Refusal> {
        let side = self.network.config().crop;
        let placement = predict::place_steadily(&job.points, job.image.frame().resampled_extent(), side)
            .map_err(refused)?;
        let key = Key::new(job.image.content, &placement);
        let found = |probability, encoding, decoding| Found {
            probability,
            window: placement.window,
            outside: placement.outside,
            encoding,
            decoding,
        };
        if let Some(Known::Probability(probability)) = self.known.get(&key) {
            return Ok(found(Arc::clone(probability), None, None));
        }
        let encoding = self.embed(job, &key, placement.window)?;
        let _unheard = job.stages.send(Stage::Decoding);
        let start = Instant::now();
        let embedding = match self.known.get(&key.of_embedding()) {
            Some(Known::Embedding(embedding)) => embedding,
            _ => return Err(refused(TrainError::Internal("an embedding that was just made is gone"))),
        };
        let probability = predict::probability_in_crop(&self.network, embedding, &placement);
        let probability = Arc::new(probability.map_err(refused)?);
        let decoding = start.elapsed();
        let bytes = probability.len() * size_of::<f32>();
        self.known.insert(key, Known::Probability(Arc::clone(&probability)), bytes);
        tracing::debug!(?encoding, ?decoding, cached_bytes = self.known.used_bytes(), "answered clicks");
        Ok(found(probability, encoding, Some(decoding)))
    }

    /// Sees to it that the embedding of `key` is known; the time that took, if it was not.
    fn embed(&mut self, job: &Job, key: &Key, window: CropWindow) -> Result<Option<Duration>, Refusal> {
        let key = key.of_embedding();
        if self.known.get(&key).is_some() {
            return Ok(None);
        }
        let _unheard = job.stages.send(Stage::Encoding);
        let start = Instant::now();
        let embedding =
            predict::embed(&self.network, job.image.prepared.image.view(), window).map_err(refused)?;
        let elapsed = start.elapsed();
        let bytes = embedding.bytes();
        self.known.insert(key, Known::Embedding(embedding), bytes);
        Ok(Some(elapsed))
    }
}

fn refused(error: TrainError) -> Refusal {
    Refusal::of_prediction(&error)
}

impl Key {
    fn new(content: ContentId, placement: &Placement) -> Self {
        let clicks = placement
            .prompt
            .points()
            .iter()
            .map(|point| (point.index, point.label == sam3d_geom::PointLabel::Positive))
            .collect();
        Self { content, start: placement.window.start(), clicks }
    }

    fn of_embedding(&self) -> Self {
        Self { clicks: Vec::new(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, Preprocessing, Spacing};
    use sam3d_io::{Grid, ReadLimits, atomic::Overwrite};
    use sam3d_model::ModelConfig;

    use super::*;

    fn image() -> Arc<Image> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ct.nii");
        let affine = Affine::new([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]).unwrap();
        let grid = Grid::from_affine([4, 4, 4], affine).unwrap();
        sam3d_io::write_i16(&path, Array3::zeros([4, 4, 4]).view(), &grid, Overwrite::Refuse).unwrap();
        let preprocessing = Preprocessing {
            intensity: Intensity::new([-50.0, 150.0], 60.0, 30.0).unwrap(),
            spacing_mm: Spacing::new([1.0; 3]).unwrap(),
            orientation: Orientation::Lps,
            interpolation: Interpolation::Trilinear,
        };
        Arc::new(Image::load(&path, ReadLimits::default(), &preprocessing).unwrap())
    }

    fn click() -> Vec<Point> {
        vec![Point::positive([1, 2, 3])]
    }

    #[test]
    fn a_full_queue_refuses() {
        let (jobs, mut waiting) = mpsc::channel(2);
        let model = Model { jobs };
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
    fn what_nobody_waits_for_is_not_computed() {
        let network = Sam3d::new(&ModelConfig::tiny(), tch::Device::Cpu, 0).unwrap();
        let mut predictor = Predictor { network, known: Lru::new(1 << 30) };
        let job = |reply| Job { image: image(), points: click(), stages: mpsc::unbounded_channel().0, reply };
        let (reply, asker) = oneshot::channel();
        drop(asker);
        predictor.work(job(reply));
        assert_eq!(predictor.known.used_bytes(), 0);
        let (reply, asker) = oneshot::channel();
        predictor.work(job(reply));
        assert!(asker.blocking_recv().unwrap().unwrap().encoding.is_some());
        assert!(predictor.known.used_bytes() > 0);
    }
}
