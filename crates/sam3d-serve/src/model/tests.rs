//! The queue, the thread, and what is encoded ahead.

use axum::http::StatusCode;
use ndarray::Array3;
use sam3d_geom::{Affine, Intensity, Interpolation, Orientation, PointLabel, Spacing};
use sam3d_infer::Prompt;
use sam3d_io::{Grid, ValueType, Volume};
use sam3d_model::{ModelConfig, Sam3d};

use super::{
    worker::{Waiting, Worker},
    *,
};

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

/// A model without its thread.
fn model(queue: usize) -> (Model, Waiting) {
    let ((jobs, waiting_jobs), (crops, waiting_crops)) = (mpsc::channel(queue), mpsc::channel(queue));
    (Model { jobs, crops, is_open: Arc::default() }, Waiting::new(waiting_jobs, waiting_crops).unwrap())
}

#[test]
fn a_full_queue_refuses() {
    let (model, mut waiting) = model(2);
    let image = image();
    let kept = [0, 1].map(|ahead| {
        let pending = model.ask(Arc::clone(&image), click()).unwrap();
        assert_eq!(pending.ahead, ahead);
        pending
    });
    let refused = model.ask(Arc::clone(&image), click()).unwrap_err();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.detail.starts_with("2 requests are waiting"), "{}", refused.detail);
    drop(waiting.jobs.blocking_recv());
    assert!(model.ask(image, click()).is_ok());
    drop(kept);
}

#[test]
fn a_client_that_has_gone_is_not_answered_and_a_session_goes_on() {
    let (model, mut waiting) = model(4);
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

/// Whether the encoder ran for the request.
fn was_encoded(pending: Pending) -> bool {
    pending.reply.blocking_recv().unwrap().unwrap().change.unwrap().encoding.is_some()
}

/// A crop that the encoder has begun is finished for a click in it, and gives way to a click elsewhere; nothing is kept of one
/// that nobody waits for any more.
#[test]
fn a_crop_is_encoded_ahead_until_someone_needs_another() {
    let (model, mut waiting) = model(4);
    let mut worker = Worker { segmenter: segmenter().unwrap(), sessions: Vec::new() };
    let image = image();
    let click = |i: usize| vec![LogStep::of([Prompt::click([i, 2, 3], PointLabel::Positive)])];
    let ask = |i: usize| model.ask(Arc::clone(&image), click(i)).unwrap();
    let crop = |i: usize| {
        let (reply, done) = oneshot::channel();
        (CropToEncode { image: Arc::clone(&image), steps: click(i), reply }, done)
    };

    let (abandoned, gone) = crop(2);
    drop(gone);
    worker.encode_ahead(abandoned, &mut waiting);

    let (begun, mut done) = crop(0);
    let elsewhere = ask(1);
    worker.encode_ahead(begun, &mut waiting);
    assert!(done.try_recv().is_err(), "it gave way");
    worker.reply_to(waiting.came.take().unwrap());
    assert!(was_encoded(elsewhere));

    let begun = waiting.gave_way.take().unwrap();
    let (there, at_the_abandoned) = (ask(0), ask(2));
    worker.encode_ahead(begun, &mut waiting);
    assert!(matches!(done.blocking_recv(), Ok(Ok(Ahead::Encoded(_)))), "a click in the crop waits for it");
    drop(model);
    worker.work_on(&mut waiting);
    assert!(!was_encoded(there), "encoded ahead");
    assert!(was_encoded(at_the_abandoned));
}
