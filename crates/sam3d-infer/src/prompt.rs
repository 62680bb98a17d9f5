//! What a user says of the target.

use sam3d_geom::{Point, PointLabel};
use sam3d_io::prepare::Frame;
use sam3d_model::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::InferError;

/// One prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prompt {
    /// A voxel that is, or is not, in the target.
    Click {
        /// The voxel.
        at: Position,
        /// Whether it is in the target.
        label: PointLabel,
    },
}

/// Where a click is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Position {
    /// A voxel `[i, j, k]` of the file as stored, counted from 0.
    Voxel([usize; 3]),
    /// A voxel `[D, H, W]` of the resampled volume, on which the published protocol draws its clicks.
    Resampled([usize; 3]),
}

impl Prompt {
    /// A click on the voxel `[i, j, k]` of the file.
    pub fn click(voxel: [usize; 3], label: PointLabel) -> Self {
        Self::Click { at: Position::Voxel(voxel), label }
    }

    /// A click on a voxel `[D, H, W]` of the resampled volume.
    pub fn resampled_click(point: Point) -> Self {
        Self::Click { at: Position::Resampled(point.index), label: point.label }
    }

    /// The click as a point of the resampled volume.
    pub(crate) fn point(self, frame: &Frame) -> Result<Point, InferError> {
        let Self::Click { at, label } = self;
        let index = match at {
            Position::Voxel(ijk) => frame.resampled_from_native_ijk(ijk)?,
            Position::Resampled(index) => {
                let extent = frame.resampled_extent();
                if !extent.contains(index) {
                    return Err(sam3d_geom::GeomError::PointOutside { index, extent }.into());
                }
                index
            }
        };
        Ok(Point { index, label })
    }
}

/// Which prompts weights understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accepts {
    /// Clicks in the target. Without them the weights are of the prompt-free variant, which segments the whole volume.
    pub clicks: bool,
    /// Clicks that are not in the target.
    pub negative_clicks: bool,
}

impl Accepts {
    /// What the network of `config` understands.
    pub fn of(config: &ModelConfig) -> Self {
        let prompt = config.prompt.as_ref();
        Self { clicks: prompt.is_some(), negative_clicks: prompt.is_some_and(|prompt| prompt.point_labels) }
    }

    /// Refuses a prompt that the weights do not understand: they would take it for something else.
    ///
    /// # Errors
    /// [`InferError::PromptRefused`] with the reason.
    pub fn check(self, prompt: &Prompt) -> Result<(), InferError> {
        let Prompt::Click { label, .. } = prompt;
        match (self.clicks, label) {
            (false, _) => Err(InferError::PromptRefused(Self::NO_PROMPTS)),
            (true, PointLabel::Negative) if !self.negative_clicks => {
                Err(InferError::PromptRefused(Self::NO_NEGATIVE_CLICKS))
            }
            _ => Ok(()),
        }
    }

    /// Why prompts are refused by weights of the prompt-free variant.
    pub const NO_PROMPTS: &str = "these weights are of the prompt-free variant, which takes no clicks";
    /// Why negative clicks are refused by weights that take any click for a positive one.
    pub const NO_NEGATIVE_CLICKS: &str = "negative clicks need weights trained with labelled points (point_labels = true), which these are not";
    /// Why the absence of prompts is refused.
    pub const PROMPT_NEEDED: &str = "these weights segment what is clicked: a click is needed";
}
