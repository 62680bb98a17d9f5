//! Prompts, and which of them weights understand.

use std::fmt;

use ndarray::ArrayView3;
use sam3d_geom::{GeomError, Point, PointLabel};
use sam3d_io::prepare::Frame;
use sam3d_model::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::{Image, InferError, shape::Shape};

/// One prompt. Coordinates are voxels `[i, j, k]` of the file as stored, counted from 0, unless noted otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prompt {
    /// A voxel inside or outside the target.
    Click {
        /// The voxel.
        at: Position,
        /// Whether it is inside the target.
        label: PointLabel,
    },
    /// A cuboid, or a rectangle in one slice, that contains the target or, if negative, excludes it.
    Box {
        /// Its first voxel.
        first: [usize; 3],
        /// Its last voxel.
        last: [usize; 3],
        /// Whether the target is in it.
        label: PointLabel,
    },
    /// A closed outline in one slice that contains the target there or, if negative, excludes it.
    Lasso {
        /// Its corners, at least three, with one coordinate in common: that of the slice.
        outline: Vec<[f64; 3]>,
        /// Whether the target is in it.
        label: PointLabel,
    },
    /// A stroke in one slice, inside or outside the target.
    Scribble {
        /// Its voxels, at least one, with one coordinate in common: that of the slice.
        path: Vec<[usize; 3]>,
        /// Width in voxels.
        #[serde(default = "default_width")]
        width: f64,
        /// Whether it is in the target.
        label: PointLabel,
    },
    /// An initial mask, which is the answer until another prompt corrects it.
    Mask(MaskRuns),
}

/// Default width of a scribble in voxels.
pub const SCRIBBLE_WIDTH: f64 = 3.0;

fn default_width() -> f64 {
    SCRIBBLE_WIDTH
}

/// A mask as runs of voxels of the file in C order of `[k, j, i]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskRuns {
    /// Size of the file, `[i, j, k]`.
    pub shape_ijk: [usize; 3],
    /// First voxel and number of voxels of each run, in ascending order.
    pub runs: Vec<[usize; 2]>,
}

impl MaskRuns {
    /// The nonzero voxels of `mask` (`[k, j, i]`).
    pub fn of(mask: ArrayView3<'_, u8>) -> Self {
        let (depth, rows, columns) = mask.dim();
        let mut runs: Vec<[usize; 2]> = Vec::new();
        for (at, _) in mask.iter().enumerate().filter(|(_, value)| **value != 0) {
            match runs.last_mut() {
                Some([start, length]) if *start + *length == at => *length += 1,
                _ => runs.push([at, 1]),
            }
        }
        Self { shape_ijk: [columns, rows, depth], runs }
    }
}

/// The position of a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Position {
    /// A voxel `[i, j, k]` of the file.
    Voxel([usize; 3]),
    /// A voxel `[D, H, W]` of the resampled volume, where the published protocol draws its clicks.
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

    /// Whether the target is inside the prompt or outside; an initial mask is inside.
    pub fn label(&self) -> PointLabel {
        match self {
            Self::Click { label, .. }
            | Self::Box { label, .. }
            | Self::Lasso { label, .. }
            | Self::Scribble { label, .. } => *label,
            Self::Mask(_) => PointLabel::Positive,
        }
    }

    /// Checks that the prompt is valid on `image`, as a session on it does.
    ///
    /// # Errors
    /// [`InferError::Geometry`] or [`InferError::Io`] if it lies outside the volume; [`InferError::PromptRefused`] if its shape
    /// is invalid.
    pub fn check(&self, image: &Image) -> Result<(), InferError> {
        self.resolve(image.frame()).map(drop)
    }

    /// The prompt on the grids of `frame`.
    pub(crate) fn resolve(&self, frame: &Frame) -> Result<ResolvedPrompt, InferError> {
        let Self::Click { at, label } = self else {
            return Ok(ResolvedPrompt::Shape(Shape::of(self, frame)?));
        };
        let index = match *at {
            Position::Voxel(ijk) => frame.resampled_from_native_ijk(ijk)?,
            Position::Resampled(index) => {
                let extent = frame.resampled_extent();
                if !extent.contains(index) {
                    return Err(GeomError::PointOutside { index, extent }.into());
                }
                index
            }
        };
        Ok(ResolvedPrompt::Point(Point { index, label: *label }))
    }
}

/// A prompt on the grids of a volume.
#[derive(Debug)]
pub(crate) enum ResolvedPrompt {
    /// A voxel of the resampled volume.
    Point(Point),
    /// A prompt that is drawn into the network's dense channels.
    Shape(Shape),
}

/// Which prompts weights understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accepts {
    /// Clicks inside the target. Weights without them are of the prompt-free variant, which segments the whole volume.
    pub clicks: bool,
    /// Negative clicks, outside the target.
    pub negative_clicks: bool,
    /// Boxes, lassos, scribbles and initial masks.
    pub shapes: bool,
}

impl Accepts {
    /// The prompts that the network of `config` understands.
    pub fn of(config: &ModelConfig) -> Self {
        let prompt = config.prompt.as_ref();
        Self {
            clicks: prompt.is_some(),
            negative_clicks: prompt.is_some_and(|prompt| prompt.point_labels),
            shapes: prompt.is_some_and(|prompt| prompt.dense_prompts),
        }
    }

    /// Checks that the weights understand a prompt: others would be misinterpreted.
    ///
    /// # Errors
    /// [`InferError::PromptRefused`] with the reason.
    pub fn check(self, prompt: &Prompt) -> Result<(), InferError> {
        let reason = match prompt {
            _ if !self.clicks => Self::NO_PROMPTS,
            Prompt::Click { label: PointLabel::Negative, .. } if !self.negative_clicks => {
                Self::NO_NEGATIVE_CLICKS
            }
            Prompt::Click { .. } => return Ok(()),
            _ if self.shapes => return Ok(()),
            _ => Self::NO_SHAPES,
        };
        Err(InferError::PromptRefused(reason))
    }

    /// Why prompts are refused by weights of the prompt-free variant.
    pub const NO_PROMPTS: &str = "these weights are of the prompt-free variant, which takes no clicks";
    /// Why negative clicks are refused by weights that treat every click as positive.
    pub const NO_NEGATIVE_CLICKS: &str =
        "negative clicks need weights trained with labelled points (point_labels = true); these were not";
    /// Why boxes, lassos, scribbles and masks are refused.
    pub const NO_SHAPES: &str = "boxes, lassos, scribbles and masks need weights trained with dense prompts \
                                 (dense_prompts = true); these were not";
    /// Why a step without prompts is refused.
    pub const PROMPT_NEEDED: &str = "these weights need at least one prompt";
}

impl fmt::Display for Accepts {
    /// The kinds of prompts, as in "these weights accept clicks inside the target".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.clicks {
            return f.write_str("no prompts");
        }
        let sides = if self.negative_clicks { "inside and outside" } else { "inside" };
        let shapes = if self.shapes { ", boxes, lassos, scribbles and masks" } else { "" };
        write!(f, "clicks {sides} the target{shapes}")
    }
}
