use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use sam3d_geom::PointLabel;
use sam3d_infer::{Image, MaskPart, Progress, Prompt, SessionLog};
use sam3d_io::Grid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{
    Asked, ImageQuery, Sent, asked,
    diameters::Diameters,
    object::{Drawn, Masked},
    sent,
};
use crate::{
    edits::Edit,
    model::Pending,
    prompts::{self, Click},
    refusal::Refusal,
    state::{Shared, SharedState},
};

/// What the page asks of one object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskRequest {
    /// Clicks, or prompts of every kind as the session log has them; each is given after the one before.
    clicks: Option<Vec<Click>>,
    prompts: Option<Vec<Prompt>>,
    /// What was painted by hand, which holds whatever the network answers. With edits, prompts may be left out.
    #[serde(default)]
    edits: Vec<Edit>,
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
    Done(Box<Mask>),
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
    /// Clicks outside the crop, which were not used in it.
    outside: usize,
    /// Clicks, by their number from 0 among the prompts, that the mask contradicts: inside and not in it, or outside and in it.
    missed: Vec<usize>,
    /// SHA-256 of the runs, by which a download is known to be what was shown.
    mask_sha256: String,
    /// Seconds of encoder and decoder, if they had to work.
    encoding_seconds: Option<f64>,
    decoding_seconds: Option<f64>,
    /// The longest axial diameter and its perpendicular; none for an empty mask.
    diameters: Option<Diameters>,
    /// The session, to be replayed by `sam3d segment --session`; none without prompts. It does not have the edits.
    log: Option<SessionLog>,
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
    let query = asked(query)?;
    let MaskRequest { clicks, prompts, edits, threshold } = sent(body)?;
    let image = query.open(&server).await?;
    let drawn = Drawn::new((clicks, prompts, edits), threshold, (&server, &image))?;
    let next = match drawn.ask(&server, &image)? {
        Some(pending) => Next::Say(Line::Waiting { ahead: pending.ahead }, pending),
        None => Next::Finish(None),
    };
    let progress = Answering { server, image, drawn, next };
    let lines = stream::unfold(progress, Answering::step);
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    Ok((kind, Body::from_stream(lines)).into_response())
}

struct Answering {
    server: Shared,
    image: Arc<Image>,
    drawn: Drawn,
    next: Next,
}

enum Next {
    Say(Line, Pending),
    Wait(Pending),
    Finish(Option<Pending>),
    End,
}

impl Answering {
    async fn step(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        let line = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return None,
            Next::Say(line, pending) => {
                self.next = Next::Wait(pending);
                line.bytes()
            }
            Next::Wait(mut pending) => match pending.progress.recv().await {
                Some(progress) => {
                    self.next = Next::Wait(pending);
                    let line = match progress {
                        Progress::Encoding => Line::Encoding,
                        Progress::Decoding | Progress::Crops(..) => Line::Decoding,
                    };
                    line.bytes()
                }
                None => self.last(Some(pending)).await,
            },
            Next::Finish(pending) => self.last(pending).await,
        };
        Some((Ok(line), self))
    }

    async fn last(&self, pending: Option<Pending>) -> Bytes {
        let done = self.done(pending).await;
        done.unwrap_or_else(|Refusal { detail, .. }| Line::Failed { detail }.bytes())
    }

    /// The last line. A large mask takes a while to measure and to write down.
    async fn done(&self, pending: Option<Pending>) -> Result<Bytes, Refusal> {
        let image = Arc::clone(&self.image);
        let masked = self.drawn.finish(&self.server, Arc::clone(&image), pending).await?;
        let prompts = self.drawn.prompts.clone();
        let work = move || Ok(Line::Done(Box::new(Mask::new(masked, &prompts, image.grid())?)).bytes());
        spawn_blocking(work).await.map_err(|error| Refusal::internal("send the mask", &error))?
    }
}

impl Line {
    fn bytes(&self) -> Bytes {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes.into()
    }
}

impl Mask {
    fn new(masked: Masked, prompts: &[Prompt], grid: &Grid) -> Result<Self, Refusal> {
        let Masked { mask, voxels, volume_ml, change, log } = masked;
        let runs = runs(&mask, grid.shape_kji());
        Ok(Self {
            mask_sha256: hash(&runs),
            missed: missed(&mask, prompts),
            diameters: Diameters::of(&mask, grid)?,
            runs,
            voxels,
            volume_ml,
            outside: change.map_or(0, |change| change.outside),
            encoding_seconds: change.and_then(|change| change.encoding).map(|time| time.as_secs_f64()),
            decoding_seconds: change.map(|change| change.decoding.as_secs_f64()),
            log,
        })
    }
}

/// Start and length, in voxels of a volume of shape `[k, j, i]` in C order, of each run of the mask along i. Runs that touch
/// at the end of a row are one.
pub(super) fn runs(mask: &MaskPart, [_, rows, columns]: [usize; 3]) -> Vec<usize> {
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

/// SHA-256 of runs, as numbers of eight bytes, the lowest first; in hexadecimal.
fn hash(runs: &[usize]) -> String {
    let mut hash = Sha256::new();
    runs.iter().for_each(|run| hash.update((*run as u64).to_le_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`Mask::mask_sha256`] says of `mask` in a volume of shape `[k, j, i]`.
pub(super) fn mask_sha256(mask: &MaskPart, shape_kji: [usize; 3]) -> String {
    hash(&runs(mask, shape_kji))
}

/// The clicks, by their number among `prompts`, that `mask` contradicts.
fn missed(mask: &MaskPart, prompts: &[Prompt]) -> Vec<usize> {
    let is_inside = |[i, j, k]: [usize; 3]| {
        let [k0, j0, i0] = mask.start;
        let within = (k.checked_sub(k0), j.checked_sub(j0), i.checked_sub(i0));
        let (Some(k), Some(j), Some(i)) = within else { return false };
        mask.values.get([k, j, i]).is_some_and(|value| *value != 0)
    };
    let contradicts = |prompt: &Prompt| {
        let clicked = prompts::clicked_voxel(prompt);
        clicked.is_some_and(|(ijk, label)| is_inside(ijk) != (label == PointLabel::Positive))
    };
    prompts.iter().enumerate().filter(|(_, prompt)| contradicts(prompt)).map(|(at, _)| at).collect()
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
    fn clicks_that_the_mask_contradicts_are_named() {
        let values = Array3::from_shape_vec([1, 1, 3], vec![0, 1, 1]).unwrap();
        let mask = MaskPart { start: [2, 1, 4], values };
        let (inside, outside) = (PointLabel::Positive, PointLabel::Negative);
        let clicks = [
            Prompt::click([5, 1, 2], inside),
            Prompt::click([4, 1, 2], inside),
            Prompt::click([0, 1, 2], inside),
            Prompt::click([7, 1, 2], outside),
            Prompt::Box { first: [0, 0, 0], last: [1, 1, 1], label: inside },
            Prompt::click([6, 1, 2], outside),
        ];
        assert_eq!(missed(&mask, &clicks), [1, 2, 5]);
        assert_eq!(missed(&MaskPart::default(), &clicks[..1]), [0]);
        assert_ne!(mask_sha256(&mask, [4, 4, 8]), mask_sha256(&MaskPart::default(), [4, 4, 8]));
    }
}
