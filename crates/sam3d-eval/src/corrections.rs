//! Corrective evaluation: a first prompt, then clicks that each correct the mask before them.
//!
//! The simulated user compares the mask with the truth on the file's own grid and clicks into the largest error
//! ([`sam3d_metrics::corrective_click`]). Weights without labelled points take no clicks outside the target: for them only
//! what is missing is corrected. Where no click is left to give, the mask and its score are carried forward.

use std::{sync::Arc, time::Duration};

use ndarray::Array3;
use rand::RngExt;
use sam3d_data::sampling::rng_for;
use sam3d_geom::{BoundingBox, PointLabel};
use sam3d_infer::Prompt;
use sam3d_metrics::{ClickRule, CorrectiveClick, corrective_click};
use serde::{Deserialize, Serialize};

use crate::{EvalError, EvaluationCase, score::Prompted, timings::PromptTiming};

/// What is corrected, and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionConfig {
    /// Corrective clicks after the first prompt.
    pub clicks: usize,
    /// The first prompt.
    pub first: FirstPrompt,
    /// Where corrective clicks lie.
    pub rule: ClickRule,
    /// Whether NSD counts as 0 where Dice is at most 0.2.
    pub gated_nsd: bool,
}

impl CorrectionConfig {
    /// This project's protocol: `clicks` corrective clicks into the largest error.
    pub fn new(clicks: usize, first: FirstPrompt) -> Self {
        Self { clicks, first, rule: ClickRule::Largest, gated_nsd: false }
    }

    /// The protocol of the CVPR 2025 challenge on interactive 3D segmentation: five clicks by its rule, NSD 0 where Dice is
    /// at most 0.2.
    pub fn imed3d(first: FirstPrompt) -> Self {
        Self { clicks: 5, first, rule: ClickRule::Imed3d, gated_nsd: true }
    }
}

/// What a session begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstPrompt {
    /// A click drawn in the target, as for the published protocol.
    Click,
    /// A click on the voxel of the target's largest part that is deepest in mm.
    Centre,
    /// The box around the target on the file's grid.
    Box,
    /// Nothing: the first corrective click corrects an empty mask.
    None,
}

impl FirstPrompt {
    /// Name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Centre => "centre",
            Self::Box => "box",
            Self::None => "none",
        }
    }
}

/// The corrective clicks of one case and one set of first clicks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionRun {
    /// Number of the set of first clicks, from 0.
    pub click_set: usize,
    /// One for each corrective click that was to be given.
    pub steps: Vec<CorrectionStep>,
}

/// One corrective click, or why there was none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CorrectionStep {
    /// A click was given.
    Click {
        /// Its voxel `[i, j, k]` of the file as stored.
        voxel_ijk: [usize; 3],
        /// Positive on what the mask missed.
        label: PointLabel,
        /// Voxels of the error component that holds it.
        component_voxels: u64,
        /// Its distance in mm to the nearest voxel outside that component.
        depth_mm: f64,
        /// Whether the new mask has the voxel as the click says.
        is_obeyed: bool,
        /// Whether the network alone would have contradicted it, so that the session made it hold.
        #[serde(default)]
        is_held: bool,
    },
    /// The mask was the truth; the score is carried forward.
    NoError,
    /// The mask had only too much, and the weights take no clicks outside the target; the score is carried forward.
    OnlyExcess,
}

/// The mask after a prompt, and the time it took.
pub(crate) struct CorrectedMask {
    /// 0 or 1 on the file's grid, `[D, H, W]`.
    pub(crate) mask: Array3<u8>,
    /// Whether a click had to be made to hold.
    pub(crate) is_held: bool,
    pub(crate) encoder: Duration,
    pub(crate) total: Duration,
}

/// A simulated user of one case.
pub(crate) struct Corrector<'a> {
    pub(crate) case: &'a EvaluationCase,
    pub(crate) config: CorrectionConfig,
    pub(crate) seed: u64,
    /// Whether clicks outside the target are understood.
    pub(crate) negative_clicks: bool,
}

/// A prompt, and if it is a click its voxel `[i, j, k]` of the file.
pub(crate) type PlacedPrompt = (Prompt, Option<[usize; 3]>);

impl Corrector<'_> {
    /// The deepest voxel of the target's largest part.
    pub(crate) fn centre(&self) -> Result<PlacedPrompt, EvalError> {
        let empty = Array3::zeros(self.case.truth.raw_dim());
        let (truth, spacing) = (self.case.truth.view(), self.case.native_spacing);
        let click = corrective_click(truth, empty.view(), spacing, ClickRule::Largest, |_| 0)?;
        let (prompt, voxel_ijk) = self.placed(&click.ok_or(EvalError::NoTarget)?);
        Ok((prompt, Some(voxel_ijk)))
    }

    /// The box around the target.
    pub(crate) fn target_box(&self) -> Result<PlacedPrompt, EvalError> {
        let inside = self.case.truth.indexed_iter().filter(|(_, value)| **value != 0);
        let bounds =
            BoundingBox::around(inside.map(|((d, h, w), _)| [d, h, w])).ok_or(EvalError::NoTarget)?;
        let corners = [bounds.start(), bounds.end().map(|n| n - 1)]
            .map(|corner| self.case.frame().axis_map().ijk_from_dhw(corner.map(|n| n as usize)));
        let [first, last] = [usize::min, usize::max]
            .map(|pick| std::array::from_fn(|axis| pick(corners[0][axis], corners[1][axis])));
        Ok((Prompt::Box { first, last, label: PointLabel::Positive }, None))
    }

    /// Prompts and corrects. `answer` gives the mask after one more prompt; `seen` is told of the mask after `first` and
    /// after each corrective click.
    pub(crate) fn run(
        &self,
        click_set: usize,
        first: Option<PlacedPrompt>,
        answer: &mut dyn FnMut(Prompt) -> Result<CorrectedMask, EvalError>,
        seen: &mut dyn FnMut(Prompted, Arc<Array3<u8>>) -> Result<(), EvalError>,
    ) -> Result<(CorrectionRun, Vec<PromptTiming>), EvalError> {
        let mut mask = Arc::new(Array3::zeros(self.case.truth.raw_dim()));
        let (mut clicks_ijk, mut timings, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        let mut ask = |points: usize, (prompt, voxel_ijk): PlacedPrompt, clicks_ijk: &mut Vec<[usize; 3]>| {
            let CorrectedMask { mask, is_held, encoder, total } = answer(prompt)?;
            clicks_ijk.extend(voxel_ijk);
            timings.push(PromptTiming {
                click_set,
                corrections: points,
                encoder_seconds: encoder.as_secs_f64(),
                other_seconds: total.saturating_sub(encoder).as_secs_f64(),
            });
            Ok::<_, EvalError>((Arc::new(mask), is_held))
        };
        if let Some(first) = first {
            mask = ask(0, first, &mut clicks_ijk)?.0;
        }
        let prompted = |points: usize, clicks_ijk: &[[usize; 3]]| Prompted {
            points,
            click_set,
            clicks_ijk: clicks_ijk.to_vec(),
            ball_centre: None,
        };
        seen(prompted(0, &clicks_ijk), Arc::clone(&mask))?;
        let mut rng = rng_for(self.seed, click_set as u64, &format!("{}/corrections", self.case.id()));
        for points in 1..=self.config.clicks {
            // Without a click the mask stays, and so does the reason.
            let carried = steps.last().copied().filter(|step| !matches!(step, CorrectionStep::Click { .. }));
            let next = match carried {
                Some(carried) => Err(carried),
                None => self.next(&mask, &mut |n| rng.random_range(0..n))?,
            };
            steps.push(match next {
                Ok(click) => {
                    let (prompt, voxel_ijk) = self.placed(&click);
                    let is_held;
                    (mask, is_held) = ask(points, (prompt, Some(voxel_ijk)), &mut clicks_ijk)?;
                    let CorrectiveClick { point, component_voxels, depth_mm } = click;
                    let is_obeyed = (mask[point.index] != 0) == (point.label == PointLabel::Positive);
                    CorrectionStep::Click {
                        voxel_ijk,
                        label: point.label,
                        component_voxels,
                        depth_mm,
                        is_obeyed,
                        is_held,
                    }
                }
                Err(carried) => carried,
            });
            seen(prompted(points, &clicks_ijk), Arc::clone(&mask))?;
        }
        Ok((CorrectionRun { click_set, steps }, timings))
    }

    fn placed(&self, click: &CorrectiveClick) -> (Prompt, [usize; 3]) {
        let voxel_ijk = self.case.frame().axis_map().ijk_from_dhw(click.point.index);
        (Prompt::click(voxel_ijk, click.point.label), voxel_ijk)
    }

    /// The next corrective click, or why there is none.
    fn next(
        &self,
        mask: &Array3<u8>,
        below: &mut dyn FnMut(u64) -> u64,
    ) -> Result<Result<CorrectiveClick, CorrectionStep>, EvalError> {
        let (truth, spacing, rule) = (&self.case.truth, self.case.native_spacing, self.config.rule);
        let click = if self.negative_clicks {
            corrective_click(truth.view(), mask.view(), spacing, rule, below)?
        } else {
            // Of the prediction only what is in the truth is looked at: what is left of the error is what is missing.
            let found = mask & truth;
            corrective_click(truth.view(), found.view(), spacing, rule, below)?
        };
        let reason = if mask == truth { CorrectionStep::NoError } else { CorrectionStep::OnlyExcess };
        Ok(click.ok_or(reason))
    }
}

#[cfg(test)]
mod tests;
