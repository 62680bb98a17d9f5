//! Clicks as clients send them become the steps of a session.

use sam3d_geom::PointLabel;
use sam3d_infer::{Accepts, Image, LogStep, Prompt};
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

/// What a server accepts as clicks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClickRules {
    /// Most clicks of one request.
    pub(crate) most: usize,
    /// Which prompts the weights understand.
    pub(crate) accepts: Accepts,
}

/// The steps of a session on `image` for `clicks`, each given after the one before.
pub(crate) fn steps(clicks: &[Click], image: &Image, rules: ClickRules) -> Result<Vec<LogStep>, Refusal> {
    if clicks.len() > rules.most {
        return Err(Refusal::bad_request(format!(
            "{} clicks, at most {} are accepted",
            clicks.len(),
            rules.most
        )));
    }
    let prompts = clicks.iter().map(|click| prompt(click, image)).collect::<Result<Vec<_>, _>>()?;
    for prompt in &prompts {
        rules.accepts.check(prompt).map_err(|error| Refusal::bad_request(error.to_string()))?;
    }
    if !clicks.iter().any(|click| click.label == PointLabel::Positive) {
        return Err(Refusal::bad_request("no click inside the target: send one or more"));
    }
    Ok(prompts.into_iter().map(|prompt| LogStep::of([prompt])).collect())
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
