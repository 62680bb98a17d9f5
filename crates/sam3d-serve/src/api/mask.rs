use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use sam3d_infer::{Image, MaskPart, Progress, SessionLog};
use serde::{Deserialize, Serialize};

use super::{Asked, ImageQuery, Sent, asked, sent};
use crate::{
    answer::{self, Answer},
    clicks::{self, Click},
    model::Pending,
    refusal::Refusal,
    state::SharedState,
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
    /// The session, to be replayed by `sam3d segment --session`.
    log: SessionLog,
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
    let steps = clicks::steps(&clicks, &image, server.rules)?;
    let pending = server.model.ask(Arc::clone(&image), steps)?;
    let waiting = Line::Waiting { ahead: pending.ahead };
    let progress = Answering { image, threshold, next: Next::Say(waiting, Some(pending)) };
    let lines = stream::unfold(progress, Answering::step);
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

struct Answering {
    image: Arc<Image>,
    threshold: f64,
    next: Next,
}

enum Next {
    Say(Line, Option<Pending>),
    Wait(Pending),
    End,
}

impl Answering {
    async fn step(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        let line = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return None,
            Next::Say(line, pending) => {
                self.next = pending.map_or(Next::End, Next::Wait);
                line
            }
            Next::Wait(mut pending) => match pending.progress.recv().await {
                Some(progress) => {
                    self.next = Next::Wait(pending);
                    match progress {
                        Progress::Encoding => Line::Encoding,
                        Progress::Decoding | Progress::Crops(..) => Line::Decoding,
                    }
                }
                None => {
                    let image = Arc::clone(&self.image);
                    match answer::finish(image, pending, self.threshold).await {
                        Ok(answer) => Line::Done(Mask::new(&answer, self.image.grid().shape_kji())),
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
    fn new(answer: &Answer, shape_kji: [usize; 3]) -> Self {
        let change = answer.answered.change;
        Self {
            runs: runs(&answer.mask, shape_kji),
            voxels: answer.voxels,
            volume_ml: answer.volume_ml,
            outside: change.map_or(0, |change| change.outside),
            encoding_seconds: change.and_then(|change| change.encoding).map(|time| time.as_secs_f64()),
            decoding_seconds: change.map(|change| change.decoding.as_secs_f64()),
            log: answer.answered.log.clone(),
        }
    }
}

/// Start and length, in voxels of a volume of shape `[k, j, i]` in C order, of each run of the mask along i. Runs that touch
/// at the end of a row are one.
fn runs(mask: &MaskPart, [_, rows, columns]: [usize; 3]) -> Vec<usize> {
    let mut runs: Vec<usize> = Vec::new();
    let [k0, j0, i0] = mask.start;
    for ((k, j, i), value) in mask.values.indexed_iter() {
        if *value == 0 {
            continue;
        }
        let at = ((k0 + k) * rows + j0 + j) * columns + i0 + i;
        match runs.as_mut_slice() {
            [.., start, length] if *start + *length == at => *length += 1,
            _ => runs.extend([at, 1]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn runs_of_a_mask() {
        let part = |start, shape, values: &[u8]| MaskPart {
            start,
            values: Array3::from_shape_vec(shape, values.to_vec()).unwrap(),
        };
        assert_eq!(runs(&part([0; 3], [1, 1, 5], &[0, 1, 1, 0, 1]), [1, 1, 5]), [1, 2, 4, 1]);
        // Two rows of a volume of 2 x 3 x 4 voxels: the first ends where the second begins.
        assert_eq!(runs(&part([1, 1, 0], [1, 2, 4], &[0, 0, 1, 1, 1, 0, 0, 1]), [2, 3, 4]), [18, 3, 23, 1]);
        assert!(runs(&part([0; 3], [1, 1, 2], &[0, 0]), [1, 1, 2]).is_empty());
        assert!(runs(&MaskPart::default(), [2, 2, 2]).is_empty());
    }

    #[test]
    fn thresholds_are_probabilities() {
        assert_eq!(checked_threshold(0.5), Ok(0.5));
        for bad in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(checked_threshold(bad).is_err(), "{bad}");
        }
    }
}
