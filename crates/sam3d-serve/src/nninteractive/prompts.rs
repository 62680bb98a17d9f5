//! The routes of interactions.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::Response,
};
use ndarray::Array3;
use sam3d_geom::PointLabel;
use sam3d_infer::{Image, LogStep, MaskPart, MaskRuns, Prompt, grow::GrowLimits};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{self, Changed, not_run},
    array::{self, blocking},
    drawn::Drawing,
    json, lease,
    lease::{InUse, Interactions, Sign, Work},
    mask, meta, yes,
};
use crate::{
    names::Asker,
    prompts::PromptRules,
    refusal::{Refusal, sentence},
    state::{Shared, SharedState},
};

/// Most crops of a mask that is followed beyond its first one.
const AUTOZOOM: GrowLimits = GrowLimits { crops: 8, threshold: 0.5 };

#[derive(Debug, Deserialize)]
struct PointBody {
    coordinates: [f64; 3],
    include_interaction: bool,
    #[serde(default = "yes")]
    run_prediction: bool,
}

/// `POST /add_point_interaction`: a click, inside or outside.
pub(crate) async fn add_point(
    State(server): SharedState,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let PointBody { coordinates, include_interaction, run_prediction } = json(&body)?;
    let prompts = move |image: &Image| {
        let shape = image.grid().shape_kji();
        let voxel = coordinates.map(f64::round_ties_even);
        if (0..3).any(|axis| !(0.0..shape[axis] as f64).contains(&voxel[axis])) {
            let detail = format!("the point {coordinates:?} lies outside the image of {shape:?}");
            return Err(Refusal::bad_request(detail));
        }
        let [k, j, i] = voxel.map(|at| at as usize);
        Ok(vec![Prompt::click([i, j, k], label(include_interaction))])
    };
    add(&server, lease, run_prediction, prompts).await
}

#[derive(Debug, Deserialize)]
struct BoxBody {
    bbox_coords: [[f64; 2]; 3],
    include_interaction: bool,
    #[serde(default = "yes")]
    run_prediction: bool,
}

/// `POST /add_bbox_interaction`: a rectangle or a cuboid, half-open, cut to the image.
pub(crate) async fn add_bbox(
    State(server): SharedState,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let BoxBody { bbox_coords, include_interaction, run_prediction } = json(&body)?;
    let prompts = move |image: &Image| {
        let bounds = bounds(bbox_coords, image.grid().shape_kji())?;
        let [first, last] = [bounds.map(|[low, _]| low), bounds.map(|[_, high]| high - 1)];
        let [first, last] = [first, last].map(|[k, j, i]| [i, j, k]);
        Ok(vec![Prompt::Box { first, last, label: label(include_interaction) }])
    };
    add(&server, lease, run_prediction, prompts).await
}

#[derive(Debug, Deserialize)]
struct DrawingMeta {
    include_interaction: bool,
    #[serde(default = "yes")]
    run_prediction: bool,
    interaction_bbox: Option<[[f64; 2]; 3]>,
}

/// `POST /add_scribble_interaction`: a stroke as voxels.
pub(crate) async fn add_scribble(
    State(server): SharedState,
    headers: HeaderMap,
    asker: Asker,
    body: Body,
) -> Result<Response, Refusal> {
    add_drawing(&server, (&headers, &asker), body, |drawing, label, most| drawing.scribbles(label, most))
        .await
}

/// `POST /add_lasso_interaction`: an outline as voxels, filled or not.
pub(crate) async fn add_lasso(
    State(server): SharedState,
    headers: HeaderMap,
    asker: Asker,
    body: Body,
) -> Result<Response, Refusal> {
    add_drawing(&server, (&headers, &asker), body, Drawing::regions).await
}

async fn add_drawing(
    server: &Shared,
    (headers, asker): (&HeaderMap, &Asker),
    body: Body,
    prompts_of: impl FnOnce(Drawing, PointLabel, usize) -> Result<Vec<Prompt>, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    let lease = server.leases.find(headers, Sign::Use)?;
    let unpacked = array::read(server, asker, body).await?;
    let DrawingMeta { include_interaction, run_prediction, interaction_bbox } = meta(headers)?;
    let image = lease.work().await.image.clone().ok_or_else(lease::no_image)?;
    // A row of voxels has two ends.
    let most = server.rules.most_corners / 2;
    let shape = image.grid().shape_kji();
    let prompts = blocking(move || {
        let bounds = interaction_bbox.map(|given| bounds(given, shape)).transpose()?;
        let drawing = Drawing::new(&unpacked.array, bounds, shape)?;
        drop(unpacked);
        prompts_of(drawing, label(include_interaction), most)
    })
    .await?;
    add(server, lease, run_prediction, move |now: &Image| {
        lease::check_shape("the drawing's image", shape, now)?;
        Ok(prompts)
    })
    .await
}

#[derive(Debug, Deserialize)]
struct MaskMeta {
    #[serde(default)]
    run_prediction: bool,
}

/// `POST /add_initial_seg_interaction`: a mask to begin from, which the client holds already. What was said before is
/// forgotten.
pub(crate) async fn add_initial_seg(
    State(server): SharedState,
    headers: HeaderMap,
    asker: Asker,
    body: Body,
) -> Result<Response, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let unpacked = array::read(&server, &asker, body).await?;
    let MaskMeta { run_prediction } = meta(&headers)?;
    let mut work = lease.work().await;
    let (image, _) = work.ready()?;
    let rules = server.rules;
    let autozoom = work.autozoom;
    let next = blocking(move || {
        let &[k, j, i] = unpacked.array.shape() else {
            return Err(Refusal::bad_request("a mask to begin from needs 3 axes"));
        };
        lease::check_shape("the mask to begin from", [k, j, i], &image)?;
        let values = unpacked.array.is_set().map(u8::from).collect();
        let values = Array3::from_shape_vec([k, j, i], values);
        let values = values.map_err(|error| Refusal::internal("take the mask", &error))?;
        Ok(begun(values, rules, autozoom))
    })
    .await?;
    let can_run = run_prediction && !next.queued.is_empty();
    let undo = std::mem::replace(&mut work.now, next.clone());
    work.before = Some(undo);
    if can_run { answer::predict(&server, lease, work, next, None).await } else { Ok(not_run()) }
}

/// The state of a session that begins with the mask `values`.
fn begun(values: Array3<u8>, rules: PromptRules, autozoom: bool) -> Interactions {
    let runs = MaskRuns::of(values.view());
    let held = Arc::new(mask::trimmed(&MaskPart { start: [0; 3], values }));
    let mut next = Interactions { held: Arc::clone(&held), ..Interactions::default() };
    if runs.runs.is_empty() {
        return next;
    }
    if rules.accepts.shapes && runs.runs.len() <= rules.most_runs {
        next.queued.push(step(vec![Prompt::Mask(runs)], autozoom));
    } else {
        tracing::info!(
            "the weights do not see the mask to begin from: it counts outside of what they answer"
        );
        next.base = Some(held);
    }
    next
}

/// `POST /predict`: an answer to what was queued.
pub(crate) async fn predict(State(server): SharedState, headers: HeaderMap) -> Result<Response, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let work = lease.work().await;
    work.ready()?;
    let next = work.now.clone();
    if next.queued.is_empty() {
        return Ok(not_run());
    }
    answer::predict(&server, lease, work, next, None).await
}

/// `POST /undo`: the state before the last interaction.
pub(crate) async fn undo(State(server): SharedState, headers: HeaderMap) -> Result<Response, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let mut work = lease.work().await;
    let (_, buffer) = work.ready()?;
    let Some(before) = work.before.take() else { return Ok(not_run()) };
    let undone = std::mem::replace(&mut work.now, before);
    let changed = Changed {
        element: buffer.element,
        shape_kji: buffer.shape_kji,
        before: undone.held,
        after: Arc::clone(&work.now.held),
    };
    changed.response().await
}

/// `POST /reset_interactions`: nothing was said, and the client's mask is empty.
pub(crate) async fn reset(State(server): SharedState, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let mut work = lease.work().await;
    (work.now, work.before) = (Interactions::default(), None);
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
struct AutozoomBody {
    do_autozoom: bool,
}

/// `POST /set_do_autozoom`: whether the mask is followed beyond its crop, by the steps that follow.
pub(crate) async fn set_autozoom(
    State(server): SharedState,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let lease = server.leases.find(&headers, Sign::Use)?;
    let AutozoomBody { do_autozoom } = json(&body)?;
    lease.work().await.autozoom = do_autozoom;
    Ok(Json(json!({})))
}

/// Adds the prompts of one interaction, which are given together.
async fn add(
    server: &Shared,
    lease: InUse,
    run: bool,
    prompts: impl FnOnce(&Image) -> Result<Vec<Prompt>, Refusal>,
) -> Result<Response, Refusal> {
    let mut work = lease.work().await;
    let (image, _) = work.ready()?;
    let prompts = prompts(&image)?;
    for prompt in &prompts {
        let checked = server.rules.accepts.check(prompt).and_then(|()| prompt.check(&image));
        checked.map_err(|error| Refusal::bad_request(sentence(&error)))?;
    }
    if prompts.is_empty() {
        return Ok(not_run());
    }
    let undo = work.now.clone();
    let mut next = undo.clone();
    next.queued.push(step(prompts, work.autozoom));
    if run {
        return answer::predict(server, lease, work, next, Some(undo)).await;
    }
    if next.steps.len() + next.queued.len() > server.rules.most {
        let most = server.rules.most;
        return Err(Refusal::bad_request(format!(
            "more than {most} interactions with one object; reset them"
        )));
    }
    let Work { now, before, .. } = &mut *work;
    (*now, *before) = (next, Some(undo));
    Ok(not_run())
}

fn step(prompts: Vec<Prompt>, autozoom: bool) -> Arc<LogStep> {
    Arc::new(LogStep { prompts, grow: autozoom.then_some(AUTOZOOM) })
}

fn label(is_inside: bool) -> PointLabel {
    if is_inside { PointLabel::Positive } else { PointLabel::Negative }
}

/// A box of a client in whole voxels, cut to the image.
fn bounds(given: [[f64; 2]; 3], shape_kji: [usize; 3]) -> Result<mask::VoxelBox, Refusal> {
    let mut bounds = [[0; 2]; 3];
    for axis in 0..3 {
        let size = shape_kji[axis] as f64;
        // NaN becomes 0.
        bounds[axis] = given[axis].map(|at| at.round_ties_even().clamp(0.0, size) as usize);
        if bounds[axis][0] >= bounds[axis][1] {
            let detail = format!("the box {given:?} is empty or lies outside the image of {shape_kji:?}");
            return Err(Refusal::bad_request(detail));
        }
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_rounded_half_to_even_and_cut() {
        let given = [[-3.0, 2.5], [10.5, 11.5], [0.4, 99.0]];
        assert_eq!(bounds(given, [5, 20, 30]).unwrap(), [[0, 2], [10, 12], [0, 30]]);
        for bad in [[2.0, 2.0], [3.0, 2.0], [40.0, 50.0], [f64::NAN, f64::NAN], [-5.0, -1.0]] {
            assert!(bounds([bad, [0.0, 1.0], [0.0, 1.0]], [5, 20, 30]).is_err(), "{bad:?}");
        }
    }
}
