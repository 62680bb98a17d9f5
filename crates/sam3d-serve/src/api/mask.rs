use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{Asked, ImageQuery, Sent, asked, sent};
use crate::{
    answer::{self, Answer},
    clicks::{self, Click},
    image::Image,
    model::{Pending, Stage},
    refusal::Refusal,
    state::{Shared, SharedState},
};

/// What the page asks of one object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskRequest {
    clicks: Vec<Click>,
    threshold: f64,
}

/// One line of the answer.
#[derive(Debug, Serialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
enum Line {
    /// In the queue, behind so many.
    Waiting {
        ahead: usize,
    },
    Encoding,
    Decoding,
    Done(Mask),
    Failed {
        detail: String,
    },
}

/// A mask as runs of voxels in the file's order (i fastest): start and length of each.
#[derive(Debug, Serialize)]
struct Mask {
    runs: Vec<usize>,
    voxels: u64,
    volume_ml: f64,
    /// Clicks outside the crop, which were not used.
    outside: usize,
    /// Seconds of encoder and decoder, if they had to work.
    encoding_seconds: Option<f64>,
    decoding_seconds: Option<f64>,
}

/// `POST /api/mask`: the mask of one object, as lines of JSON that say how far it is.
///
/// What can be refused is refused before the first line, with a status of its own. A page that goes away closes the
/// stream, and with it goes the place in the queue.
pub(crate) async fn mask(
    State(server): SharedState,
    query: Asked<ImageQuery>,
    body: Sent<MaskRequest>,
) -> Result<Response, Refusal> {
    let name = asked(query)?.name()?;
    let MaskRequest { clicks, threshold } = sent(body)?;
    let threshold = checked_threshold(threshold)?;
    let image = server.open(&name).await?;
    let points = clicks::points(&clicks, &image, server.rules)?;
    let pending = server.model.ask(Arc::clone(&image), points)?;
    let waiting = Line::Waiting { ahead: pending.ahead };
    let progress = Progress { server, image, threshold, next: Next::Say(waiting, Some(pending)) };
    let lines = stream::unfold(progress, Progress::step);
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// A threshold that is neither certain nor impossible.
pub(crate) fn checked_threshold(threshold: f64) -> Result<f64, Refusal> {
    if threshold > 0.0 && threshold < 1.0 {
        Ok(threshold)
    } else {
        Err(Refusal::bad_request(format!("threshold {threshold}: expected a number between 0 and 1")))
    }
}

struct Progress {
    server: Shared,
    image: Arc<Image>,
    threshold: f64,
    next: Next,
}

enum Next {
    Say(Line, Option<Pending>),
    Wait(Pending),
    End,
}

impl Progress {
    async fn step(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        let line = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return None,
            Next::Say(line, pending) => {
                self.next = pending.map_or(Next::End, Next::Wait);
                line
            }
            Next::Wait(mut pending) => match pending.stages.recv().await {
                Some(stage) => {
                    self.next = Next::Wait(pending);
                    match stage {
                        Stage::Encoding => Line::Encoding,
                        Stage::Decoding => Line::Decoding,
                    }
                }
                None => {
                    let image = Arc::clone(&self.image);
                    match answer::finish(&self.server, image, pending, self.threshold).await {
                        Ok(answer) => Line::Done(Mask::new(&answer)),
                        Err(refusal) => Line::Failed { detail: refusal.detail },
                    }
                }
            },
        };
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        Some((Ok(bytes.into()), self))
    }
}

impl Mask {
    fn new(answer: &Answer) -> Self {
        Self {
            runs: runs(answer.mask.iter().copied()),
            voxels: answer.voxels,
            volume_ml: answer.volume_ml,
            outside: answer.found.outside,
            encoding_seconds: answer.found.encoding.map(|time| time.as_secs_f64()),
            decoding_seconds: answer.found.decoding.map(|time| time.as_secs_f64()),
        }
    }
}

/// Start and length of each run of values that are not 0.
fn runs(mask: impl Iterator<Item = u8>) -> Vec<usize> {
    let mut runs = Vec::new();
    let mut start = None;
    let mut count = 0;
    for (at, value) in mask.enumerate() {
        count = at + 1;
        match (value != 0, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                runs.extend([from, at - from]);
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        runs.extend([from, count - from]);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_mask() {
        assert_eq!(runs([0, 1, 1, 0, 1].into_iter()), [1, 2, 4, 1]);
        assert_eq!(runs([1].into_iter()), [0, 1]);
        assert!(runs([0, 0].into_iter()).is_empty() && runs([].into_iter()).is_empty());
    }

    #[test]
    fn thresholds_are_probabilities() {
        assert_eq!(checked_threshold(0.5), Ok(0.5));
        for bad in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(checked_threshold(bad).is_err(), "{bad}");
        }
    }
}
