//! Clicks as clients send them become points on the prepared image.

use sam3d_geom::{Point, PointLabel};
use serde::Deserialize;

use crate::{image::Image, refusal::Refusal};

/// Why clicks outside the target are refused.
pub(crate) const NEGATIVE_REFUSED: &str = "negative clicks need weights trained with labelled points (point_labels = true), which these are not; leave them out";

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
    /// Whether the weights were trained with labelled points.
    pub(crate) negative: bool,
}

/// The points on the grid of `image` for `clicks`.
pub(crate) fn points(clicks: &[Click], image: &Image, rules: ClickRules) -> Result<Vec<Point>, Refusal> {
    if clicks.len() > rules.most {
        return Err(Refusal::bad_request(format!(
            "{} clicks, at most {} are taken",
            clicks.len(),
            rules.most
        )));
    }
    if !rules.negative && clicks.iter().any(|click| click.label == PointLabel::Negative) {
        return Err(Refusal::bad_request(NEGATIVE_REFUSED));
    }
    if !clicks.iter().any(|click| click.label == PointLabel::Positive) {
        return Err(Refusal::bad_request(
            "no click inside the target: this network answers to clicks; send one or more",
        ));
    }
    clicks.iter().map(|click| point(click, image)).collect()
}

fn point(click: &Click, image: &Image) -> Result<Point, Refusal> {
    if click.ijk.iter().any(|index| index.fract() != 0.0 || !index.is_finite()) {
        return Err(Refusal::bad_request(format!("click {:?}: voxel indices are whole numbers", click.ijk)));
    }
    // Saturates beyond every index, which is then outside.
    let signed = click.ijk.map(|index| index as i64);
    let outside = |error: sam3d_io::IoError| Refusal::bad_request(format!("click: {error}"));
    let ijk = image.grid().voxel(signed).map_err(outside)?;
    let index = image.frame().resampled_from_native_ijk(ijk).map_err(outside)?;
    Ok(Point { index, label: click.label })
}
