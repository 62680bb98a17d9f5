//! Prompts as clients send them become the steps of a session.

use sam3d_geom::PointLabel;
use sam3d_infer::{Accepts, Image, LogStep, Position, Prompt};
use serde::Deserialize;

use crate::refusal::Refusal;

/// A click of a client: the voxel `i, j, k` of the file as stored, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Click {
    pub(crate) ijk: [f64; 3],
    #[serde(default)]
    pub(crate) label: PointLabel,
}

/// What a server accepts as prompts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PromptRules {
    /// Most prompts of one request.
    pub(crate) most: usize,
    /// Most corners of outlines and voxels of strokes in one request.
    pub(crate) most_corners: usize,
    /// Most runs of masks in one request.
    pub(crate) most_runs: usize,
    /// Which prompts the weights understand.
    pub(crate) accepts: Accepts,
}

/// The prompts of a request: clicks, or prompts of every kind in the form of the session log.
pub(crate) fn read(
    clicks: Option<Vec<Click>>,
    prompts: Option<Vec<Prompt>>,
    image: &Image,
    rules: PromptRules,
) -> Result<Vec<Prompt>, Refusal> {
    let prompts = match (clicks, prompts) {
        (Some(clicks), None) => return of_clicks(&clicks, image, rules),
        (None, Some(prompts)) => prompts,
        _ => return Err(Refusal::bad_request("send one of clicks and prompts")),
    };
    if let Some(first) = prompts.first()
        && is_outside(first)
        && prompts.iter().any(|prompt| !is_outside(prompt))
    {
        return Err(Refusal::bad_request("the first prompt is outside the target: begin with one inside"));
    }
    checked(prompts, "prompt", image, rules)
}

/// The prompts of clicks.
pub(crate) fn of_clicks(clicks: &[Click], image: &Image, rules: PromptRules) -> Result<Vec<Prompt>, Refusal> {
    if clicks.len() > rules.most {
        return Err(too_many(clicks.len(), "clicks", rules.most));
    }
    let prompts = clicks.iter().map(|click| prompt(click, image)).collect::<Result<_, _>>()?;
    checked(prompts, "click", image, rules)
}

/// The steps of a session for `prompts`, each given after the one before.
pub(crate) fn steps(prompts: &[Prompt]) -> Vec<LogStep> {
    prompts.iter().map(|prompt| LogStep::of([prompt.clone()])).collect()
}

/// The voxel of a click, `[i, j, k]` of the file.
pub(crate) fn clicked_voxel(prompt: &Prompt) -> Option<([usize; 3], PointLabel)> {
    match prompt {
        Prompt::Click { at: Position::Voxel(ijk), label } => Some((*ijk, *label)),
        _ => None,
    }
}

/// Checks number and size of the prompts, whether the weights understand them, and whether one is inside the target.
fn checked(
    prompts: Vec<Prompt>,
    noun: &str,
    image: &Image,
    rules: PromptRules,
) -> Result<Vec<Prompt>, Refusal> {
    if prompts.len() > rules.most {
        return Err(too_many(prompts.len(), "prompts", rules.most));
    }
    let (mut corners, mut runs) = (0, 0);
    for prompt in &prompts {
        match prompt {
            Prompt::Click { .. } | Prompt::Box { .. } => {}
            Prompt::Lasso { outline, .. } => corners += outline.len(),
            Prompt::Scribble { path, .. } => corners += path.len(),
            Prompt::Mask(mask) => runs += mask.runs.len(),
        }
    }
    if corners > rules.most_corners {
        return Err(too_many(corners, "corners of outlines and voxels of strokes", rules.most_corners));
    }
    if runs > rules.most_runs {
        return Err(too_many(runs, "runs of voxels", rules.most_runs));
    }
    for prompt in &prompts {
        let refused = |error: sam3d_infer::InferError| Refusal::bad_request(error.to_string());
        rules.accepts.check(prompt).map_err(refused)?;
        prompt.check(image).map_err(refused)?;
    }
    if prompts.iter().all(is_outside) {
        return Err(Refusal::bad_request(format!("no {noun} inside the target: send one or more")));
    }
    Ok(prompts)
}

/// Whether the target lies outside of a prompt.
fn is_outside(prompt: &Prompt) -> bool {
    prompt.label() == PointLabel::Negative
}

fn too_many(found: usize, what: &str, most: usize) -> Refusal {
    Refusal::bad_request(format!("{found} {what}, at most {most} are accepted"))
}

fn prompt(click: &Click, image: &Image) -> Result<Prompt, Refusal> {
    if click.ijk.iter().any(|index| index.fract() != 0.0 || !index.is_finite()) {
        return Err(Refusal::bad_request(format!("click {:?}: voxel indices are whole numbers", click.ijk)));
    }
    // Saturates beyond every index, which is then outside.
    let signed = click.ijk.map(|index| index as i64);
    let outside = |error: sam3d_io::IoError| Refusal::bad_request(format!("click: {error}"));
    Ok(Prompt::click(image.grid().voxel(signed).map_err(outside)?, click.label))
}
