//! What the server has done, for `/metrics`, in the text format of Prometheus.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    refusal::Refusal,
    state::{Core, Shared, SharedState},
};

/// Counters since the server started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Answers by the first digit of their status, from 1 on.
    answers: [AtomicU64; 5],
    answering_micros: AtomicU64,
    predictions: AtomicU64,
    failed_predictions: AtomicU64,
    encodings: AtomicU64,
    encoding_micros: AtomicU64,
    decoding_micros: AtomicU64,
}

impl Metrics {
    fn answered(&self, status: StatusCode, elapsed: Duration) {
        if let Some(count) = self.answers.get(usize::from(status.as_u16() / 100).saturating_sub(1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        add(&self.answering_micros, elapsed);
    }

    /// Counts an answer of the network: the time of encoder and decoder, if they had to work.
    pub(crate) fn predicted(&self, encoding: Option<Duration>, decoding: Option<Duration>) {
        self.predictions.fetch_add(1, Ordering::Relaxed);
        if let Some(encoding) = encoding {
            self.encoded(encoding);
        }
        add(&self.decoding_micros, decoding.unwrap_or_default());
    }

    /// Counts a crop that was encoded, for an answer or ahead of one.
    pub(crate) fn encoded(&self, time: Duration) {
        self.encodings.fetch_add(1, Ordering::Relaxed);
        add(&self.encoding_micros, time);
    }

    /// Counts a request that the network did not answer, by a fault of the server.
    pub(crate) fn not_predicted(&self, refusal: &Refusal) {
        if refusal.status.is_server_error() {
            self.failed_predictions.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn add(sum: &AtomicU64, elapsed: Duration) {
    sum.fetch_add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Counts a request, and logs it without its query, which may name a patient's study.
pub(crate) async fn counted(State(server): SharedState, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let (status, elapsed) = (response.status(), start.elapsed());
    server.metrics.answered(status, elapsed);
    tracing::debug!(%method, path, status = status.as_u16(), milliseconds = elapsed.as_millis() as u64, "request");
    response
}

/// `GET /healthz`: the server answers.
pub(crate) async fn healthy() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({ "ok": true }))
}

/// `GET /readyz`: whether the network answers, too: not while it is opened again after a panic.
pub(crate) async fn ready(State(server): SharedState) -> Result<&'static str, Refusal> {
    if server.model.is_ready() {
        return Ok("ready\n");
    }
    Err(Refusal::busy("the network is not ready"))
}

/// `GET /metrics`
pub(crate) async fn metrics(State(server): SharedState) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text(&server)).into_response()
}

fn text(server: &Shared) -> String {
    let Core { metrics, model, uploads, leases, memory, .. } = &**server;
    let mut text = String::new();
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64;
    let seconds = |of: &AtomicU64| count(of) / 1e6;
    let answers: Vec<(String, f64)> = metrics
        .answers
        .iter()
        .zip(1..)
        .map(|(of, digit)| (format!("{{class=\"{digit}xx\"}}"), count(of)))
        .collect();
    let one = |value: f64| vec![(String::new(), value)];
    for (name, kind, help, values) in [
        ("http_answers_total", "counter", "Answers by class of status.", answers),
        (
            "http_answering_seconds_total",
            "counter",
            "Time from a request's head to its answer's head.",
            one(seconds(&metrics.answering_micros)),
        ),
        ("predictions_total", "counter", "Masks that were computed.", one(count(&metrics.predictions))),
        (
            "prediction_failures_total",
            "counter",
            "Masks that could not be computed by a fault of the server.",
            one(count(&metrics.failed_predictions)),
        ),
        ("encodings_total", "counter", "Crops that were encoded.", one(count(&metrics.encodings))),
        ("encoding_seconds_total", "counter", "Time of the encoder.", one(seconds(&metrics.encoding_micros))),
        ("decoding_seconds_total", "counter", "Time of the decoder.", one(seconds(&metrics.decoding_micros))),
        ("network_ready", "gauge", "1 if the network answers.", one(f64::from(u8::from(model.is_ready())))),
        ("waiting_requests", "gauge", "Requests that wait for the network.", one(model.waiting() as f64)),
        ("upload_files", "gauge", "Files of clients on disk.", one(uploads.files() as f64)),
        ("upload_bytes", "gauge", "Bytes of those files.", one(uploads.bytes() as f64)),
        ("viewers", "gauge", "Clients of nnInteractive's protocol.", one(leases.count() as f64)),
        ("reading_bytes", "gauge", "Memory taken for reading volumes.", one(memory.taken() as f64)),
    ] {
        let _infallible = write!(text, "# HELP sam3d_{name} {help}\n# TYPE sam3d_{name} {kind}\n");
        for (labels, value) in values {
            let _infallible = writeln!(text, "sam3d_{name}{labels} {value}");
        }
    }
    text
}
