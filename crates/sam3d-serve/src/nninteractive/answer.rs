//! From a client's interactions to the box of its mask that changed.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use sam3d_geom::PointLabel;
use sam3d_infer::{LogStep, MaskPart};
use sam3d_nnia::ElementType;
use serde::Serialize;
use tokio::{sync::OwnedMutexGuard, time::sleep};

use super::{
    META,
    array::blocking,
    lease::{InUse, Interactions, Work},
    mask::{self, VoxelBox},
    slow,
};
use crate::{answer, refusal::Refusal, state::Shared};

/// The probability above which a voxel belongs to the mask.
const THRESHOLD: f64 = 0.5;

/// The two masks between which a client's copy is to change.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) element: ElementType,
    pub(super) shape_kji: [usize; 3],
    pub(super) before: Arc<MaskPart>,
    pub(super) after: Arc<MaskPart>,
}

/// The description of an answer, in the order in which the protocol's own server writes it.
#[derive(Debug, Default, Serialize)]
struct Meta {
    ran_prediction: bool,
    bbox: Option<VoxelBox>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<[usize; 3]>,
}

/// The answer to what needs no prediction.
pub(super) fn not_run() -> Response {
    response(&Meta::default(), Bytes::new().into())
}

fn response(meta: &Meta, body: Body) -> Response {
    let meta = serde_json::to_string(meta).unwrap_or_default();
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(meta) = HeaderValue::from_str(&meta) {
        headers.insert(HeaderName::from_static(META), meta);
    }
    response
}

impl Changed {
    /// The smallest box with all that changed.
    pub(super) async fn response(self) -> Result<Response, Refusal> {
        blocking(move || {
            let Some(bounds) = mask::changed(&self.before, &self.after) else {
                return Ok(response(&Meta { ran_prediction: true, ..Meta::default() }, Bytes::new().into()));
            };
            Ok(response(&self.meta(bounds), Bytes::from(self.packed(bounds)).into()))
        })
        .await
    }

    /// The description of the box `bounds`.
    fn meta(&self, bounds: VoxelBox) -> Meta {
        Meta {
            ran_prediction: true,
            bbox: Some(bounds),
            dtype: Some(self.element.name()),
            shape: Some(bounds.map(|[first, end]| end - first)),
        }
    }

    /// The new mask in the box `bounds`.
    pub(super) fn packed(&self, bounds: VoxelBox) -> Vec<u8> {
        let is_set = mask::voxels(bounds).map(|voxel| mask::contains(&self.after, voxel));
        sam3d_nnia::pack(self.element, bounds.map(|[first, end]| end - first), is_set)
    }
}

/// The steps in the order in which they are given: the first is inside the target, later ones follow as they came. `None` as
/// long as none is inside.
fn in_order(done: &[Arc<LogStep>], queued: &[Arc<LogStep>]) -> Option<Vec<Arc<LogStep>>> {
    let mut steps: Vec<Arc<LogStep>> = done.iter().chain(queued).cloned().collect();
    let is_inside =
        |step: &Arc<LogStep>| step.prompts.iter().any(|prompt| prompt.label() == PointLabel::Positive);
    let first = steps.iter().position(is_inside)?;
    steps[..=first].rotate_right(1);
    Some(steps)
}

/// Predicts with `next`, whose queue is not empty, and answers with what changed in the client's mask. `undo` is the state that
/// an undo returns to; `None` leaves that one.
///
/// Nothing of the lease changes unless there is a prediction; the client's other requests wait for it.
pub(super) async fn predict(
    server: &Shared,
    lease: InUse,
    mut work: OwnedMutexGuard<Work>,
    mut next: Interactions,
    undo: Option<Interactions>,
) -> Result<Response, Refusal> {
    let (image, buffer) = work.ready()?;
    let Some(steps) = in_order(&next.steps, &next.queued) else {
        // Prompts outside the target alone: there is nothing yet to keep outside.
        work.now = next;
        work.before = undo.or_else(|| work.before.take());
        return Ok(not_run());
    };
    let most = server.rules.most;
    if steps.len() > most {
        return Err(Refusal::bad_request(format!(
            "more than {most} interactions with one object; reset them"
        )));
    }
    let shared = Arc::clone(server);
    let computing = async move {
        let given = steps.iter().map(|step| LogStep::clone(step)).collect();
        let pending = shared.model.ask_in_turn(Arc::clone(&image), given).await?;
        let answer = answer::finish(&shared, image, pending, THRESHOLD).await?;
        let base = next.base.clone();
        let log = Arc::new(answer.answered.log);
        let mask = answer.mask;
        let after = blocking(move || {
            let whole = base.map_or_else(|| mask.clone(), |base| mask::over(&mask, &base));
            Ok(Arc::new(mask::trimmed(&whole)))
        })
        .await?;
        let before = std::mem::replace(&mut next.held, Arc::clone(&after));
        (next.steps, next.queued, next.log) = (steps, Vec::new(), Some(log));
        work.now = next;
        work.before = undo.or_else(|| work.before.take());
        drop((work, lease));
        let (element, shape_kji) = (buffer.element, buffer.shape_kji);
        Ok(Changed { element, shape_kji, before, after })
    };
    let mut computing = Box::pin(computing);
    tokio::select! {
        biased;
        changed = &mut computing => changed?.response().await,
        () = sleep(server.config.limits.slow_answer) => {
            let whole = buffer.shape_kji.map(|size| [0, size]);
            let meta = Meta {
                ran_prediction: true,
                bbox: Some(whole),
                dtype: Some(buffer.element.name()),
                shape: Some(buffer.shape_kji),
            };
            let start = sam3d_nnia::known_start(buffer.element, buffer.shape_kji);
            let body = slow::body(computing, start, server.config.limits.slow_answer);
            Ok(response(&meta, body))
        }
    }
}

#[cfg(test)]
mod tests {
    use sam3d_infer::Prompt;

    use super::*;

    #[test]
    fn the_first_step_is_inside_the_target() {
        let step = |at, label| Arc::new(LogStep::of([Prompt::click([at, 0, 0], label)]));
        let (inside, outside) = (PointLabel::Positive, PointLabel::Negative);
        let [a, b] = [step(1, outside), step(2, outside)];
        let [c, d] = [step(3, inside), step(4, inside)];
        let queued = |steps: &[&Arc<LogStep>]| steps.iter().map(|step| Arc::clone(step)).collect::<Vec<_>>();
        assert_eq!(in_order(&[], &queued(&[&a, &b])), None);
        assert_eq!(in_order(&[], &queued(&[&a, &b, &c, &d])), Some(queued(&[&c, &a, &b, &d])));
        assert_eq!(in_order(&queued(&[&c]), &queued(&[&a, &d])), Some(queued(&[&c, &a, &d])));
    }
}
