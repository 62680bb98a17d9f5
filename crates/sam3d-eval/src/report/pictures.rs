//! Pictures of predictions, for the report: of the best and the worst, or of one case click by click.

use std::path::{Path, PathBuf};

use ndarray::{Array3, s};
use sam3d_data::dataset::Case;
use sam3d_geom::{BoundingBox, Extent, Orientation, Spacing};
use sam3d_io::{
    ReadLimits,
    orient::AxisMap,
    overlay::{self, Overlay},
    prepare::native_label,
};

use super::Picture;
use crate::{CaseEvaluation, ClickScore, EvalError, scores::Scores};

/// Number of worst and of best cases with pictures.
const EACH: usize = 3;
/// Tissue shown around truth and prediction, mm.
const MARGIN_MM: f64 = 20.0;
const LONGEST_SIDE_PIXELS: f64 = 320.0;

/// Corrective clicks after which the case in the middle is shown.
const SHOWN_CLICKS: [usize; 4] = [1, 2, 3, 5];

/// Pictures of the cases with the lowest and the highest Dice at the first number of clicks, or, of a corrective evaluation, of
/// the case with the middle Dice at the end, after some of its clicks; from the masks that were kept. A case whose files
/// are missing is left out of the pictures.
pub fn draw<'a>(
    scores: &'a Scores,
    cases: &[&Case],
    mask_path: &dyn Fn(&ClickScore) -> PathBuf,
) -> Vec<Picture<'a>> {
    let chosen = match scores.identity.config.corrections {
        Some(_) => click_by_click(scores),
        None => worst_and_best(scores),
    };
    chosen
        .into_iter()
        .filter_map(|(score, reason)| {
            let case = cases.iter().find(|case| case.id.as_str() == score.case)?;
            let mask = mask_path(score);
            match mask.exists().then(|| views(scores, case, score, &mask)) {
                Some(Ok(views)) => Some(Picture { score, reason, views }),
                Some(Err(error)) => {
                    tracing::warn!("no picture of {}: {error}", score.case);
                    None
                }
                None => None,
            }
        })
        .collect()
}

type Shown<'a> = (&'a ClickScore, &'static str);

fn by_dice(mut scores: Vec<&ClickScore>) -> Vec<&ClickScore> {
    scores.sort_by(|a, b| a.dice.total_cmp(&b.dice).then(a.case.cmp(&b.case)));
    scores
}

fn worst_and_best(scores: &Scores) -> Vec<Shown<'_>> {
    let firsts = by_dice(scores.cases.iter().filter_map(|case| case.scores.first()).collect());
    let worst = firsts.len().min(EACH);
    let best = (firsts.len() - worst).min(EACH);
    let highest = firsts.iter().rev().take(best).map(|score| (*score, "among the highest Dice"));
    firsts[..worst].iter().map(|score| (*score, "among the lowest Dice")).chain(highest).collect()
}

fn last_of_first_set(case: &CaseEvaluation) -> Option<&ClickScore> {
    case.scores.iter().rfind(|score| score.click_set == 0)
}

fn click_by_click(scores: &Scores) -> Vec<Shown<'_>> {
    let lasts = by_dice(scores.cases.iter().filter_map(last_of_first_set).collect());
    let Some(middle) = lasts.get(lasts.len() / 2) else { return Vec::new() };
    let of_middle = scores.cases.iter().filter(|case| case.case == middle.case).flat_map(|case| &case.scores);
    of_middle
        .filter(|score| score.click_set == 0 && SHOWN_CLICKS.contains(&score.points))
        .map(|score| (score, "the case in the middle"))
        .collect()
}

/// Axial, coronal and sagittal slices through the first click, as PNG files.
fn views(scores: &Scores, case: &Case, score: &ClickScore, mask: &Path) -> Result<[Vec<u8>; 3], EvalError> {
    let limits = ReadLimits::default();
    let image = sam3d_io::read(&case.image, limits)?;
    let axes = AxisMap::new(&image.grid, Orientation::Lps);
    let label = case.read_label(&image.grid, limits)?;
    let truth = axes.to_dhw(native_label(&label, scores.identity.target_class).view())?;
    let prediction = axes.to_dhw(native_label(&sam3d_io::read(mask, limits)?, 1).view())?;
    let hounsfield = axes.view(image.data.view())?;
    let spacing = axes.spacing(&image.grid)?;
    let extent = axes.extent()?;
    let click = match score.clicks_ijk.first() {
        Some(ijk) => axes.dhw_from_ijk(*ijk),
        None => middle_of(&truth).unwrap_or(extent.sizes().map(|n| n / 2)),
    };
    let (start, end) = region(&truth, &prediction, click, spacing, extent);
    let cut = s![start[0]..end[0], start[1]..end[1], start[2]..end[2]];
    let (truth, prediction) = (truth.slice(cut), prediction.slice(cut));
    Ok(overlay::pngs(
        &Overlay {
            image: hounsfield.slice(cut),
            spacing,
            window_hu: overlay::window_around(scores.identity.preprocessing.intensity),
            click: std::array::from_fn(|axis| click[axis] - start[axis]),
            truth: Some(truth),
            prediction,
        },
        LONGEST_SIDE_PIXELS,
    )?)
}

fn voxels(mask: &Array3<u8>) -> impl Iterator<Item = [usize; 3]> {
    mask.indexed_iter().filter(|(_, value)| **value != 0).map(|((d, h, w), _)| [d, h, w])
}

fn middle_of(mask: &Array3<u8>) -> Option<[usize; 3]> {
    BoundingBox::around(voxels(mask)).map(|bounds| bounds.midpoint().map(|n| n as usize))
}

/// First voxel and one past the last of the box shown.
fn region(
    truth: &Array3<u8>,
    prediction: &Array3<u8>,
    click: [usize; 3],
    spacing: Spacing,
    extent: Extent,
) -> ([usize; 3], [usize; 3]) {
    let shown = voxels(truth).chain(voxels(prediction)).chain([click]);
    let (mut start, mut end) = (click, click);
    for voxel in shown {
        start = std::array::from_fn(|axis| start[axis].min(voxel[axis]));
        end = std::array::from_fn(|axis| end[axis].max(voxel[axis] + 1));
    }
    let margin = spacing.mm().map(|mm| (MARGIN_MM / mm).ceil() as usize);
    (
        std::array::from_fn(|axis| start[axis].saturating_sub(margin[axis])),
        std::array::from_fn(|axis| (end[axis] + margin[axis]).min(extent.sizes()[axis])),
    )
}
