use std::{num::NonZeroUsize, path::PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use sam3d_data::shard::Shard;
use sam3d_eval::{Position, WindowConfig};
use sam3d_infer::TestTimeAugmentation;
use sam3d_metrics::{ClickRule, Tolerance};
use sam3d_model::Precision;

use super::{
    WeightsArg,
    values::{augmentation, click_rule, precision, tolerance},
};

const NOTES: &str = "\
Clicks are drawn inside the target from a seed made of --seed and the case, so scores are
reproducible: the same command writes the same bytes. If truth and prediction are both empty the
scores are 1, if one is, 0.

Examples:
  The test cases with 1, 3 and 10 clicks, by the best checkpoint of a run:
    sam3d eval --run runs/kits21
  Five sets of clicks a case, one of eight jobs that share a directory; the last one writes the scores:
    sam3d eval --run runs/kits21 --clicks 5 --out runs/kits21/evaluation --shard 3/8
  Five corrective clicks after one in the target, each into the largest error that is left:
    sam3d eval --run runs/kits21 --corrections 5 --out runs/kits21/corrections
  One click, surface dice at 1 and 5 mm, compared with balls around the click, as JSON:
    sam3d eval --weights best.safetensors --dataset kits21 --data data/kits21 \\
      --points 1 --tolerance 1,5 --ball --json";

/// Score a network on a dataset by the published protocol
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES, group = ArgGroup::new("network").args(["run", "weights"]))]
pub struct EvalArgs {
    /// Directory of a training run: its best checkpoint, dataset and data
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,

    /// Which checkpoint of the run: best (lowest validation loss) or last
    #[arg(long, value_enum, default_value_t = RunCheckpoint::Best, conflicts_with = "weights", hide_possible_values = true)]
    pub checkpoint: RunCheckpoint,

    /// Checkpoint: a file, the name of built-in weights, or hf://OWNER/REPO/FILE; of several the probabilities are averaged
    /// [default: built-in weights]
    #[arg(long, value_name = "FILE|NAME|hf://...")]
    pub weights: Vec<WeightsArg>,

    /// File with the tensors that the checkpoint leaves out, if it is not where it was
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,

    /// Dataset: a name or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub dataset: Option<String>,

    /// Directory of the prepared dataset
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Which cases: train, val or test
    #[arg(long, value_enum, default_value_t = Split::Test, hide_possible_values = true)]
    pub split: Split,

    /// Numbers of clicks, one row of the result for each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,3,10")]
    pub points: Vec<NonZeroUsize>,

    /// Draw the clicks of every case this many times and average
    #[arg(long, value_name = "K", default_value_t = NonZeroUsize::MIN)]
    pub clicks: NonZeroUsize,

    /// Tolerances of the surface dice in mm
    #[arg(long, value_name = "MM,...", value_delimiter = ',', default_value = "5", value_parser = tolerance)]
    pub tolerance: Vec<Tolerance>,

    /// Add a row for the best ball of one fixed radius around the click
    #[arg(long)]
    pub ball: bool,

    /// Clicks after the first prompt that each correct the mask before them; 0 is the published protocol
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with_all = ["points", "ball"])]
    pub corrections: usize,

    /// What corrections begin with: click (drawn as without corrections), centre (of the target), box or none [default: click;
    /// of imed3d: none]
    #[arg(long, value_enum, value_name = "PROMPT", hide_possible_values = true)]
    pub first: Option<FirstArg>,

    /// Where corrective clicks lie: largest (the middle of the largest error), deepest (the deepest of all that is missing or
    /// too much), imed3d (as largest, by depth in voxels) or random (anywhere in the error) [default: largest]
    #[arg(long, value_name = "NAME", value_parser = click_rule(), hide_possible_values = true, conflicts_with = "protocol")]
    pub click_rule: Option<ClickRule>,

    /// A published protocol of corrections: imed3d (five clicks, surface dice at 2 mm and 0 where Dice is at most 0.2)
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["corrections", "points", "tolerance", "ball"], hide_possible_values = true)]
    pub protocol: Option<ProtocolArg>,

    /// What the network multiplies in: f32, or bf16 (rounded, faster where the processor can)
    #[arg(long, value_name = "NAME", default_value_t = Precision::F32, value_parser = precision(), hide_possible_values = true)]
    pub precision: Precision,

    /// Test-time augmentation: none, or flips (the mean over the crop and its seven mirror images, at eight times the cost)
    #[arg(long, value_name = "NAME", default_value_t = TestTimeAugmentation::None, value_parser = augmentation(), hide_possible_values = true)]
    pub tta: TestTimeAugmentation,

    /// What is evaluated: sam3d, auto (without clicks), sam2d (clicks in each slice), or a comparison network (nnunet,
    /// transbts, nnformer, swin_unetr, unetr_pp or ux_net)
    #[arg(long, value_enum, default_value_t = MethodName::Sam3d, hide_possible_values = true)]
    pub method: MethodName,

    /// Comparison networks: share of its side that a window has in common with the next
    #[arg(long, value_name = "SHARE", default_value_t = WindowConfig::TEST.overlap)]
    pub overlap: f64,

    /// Comparison networks: how a voxel of a window counts, constant (published) or gaussian
    #[arg(long, value_enum, value_name = "NAME", default_value_t = WindowWeights::Constant, hide_possible_values = true)]
    pub window_weights: WindowWeights,

    /// Where in the target clicks are drawn: uniform, or by depth centre, surrounding or margin
    #[arg(long, value_enum, default_value_t = PositionArg::Uniform, hide_possible_values = true)]
    pub position: PositionArg,

    /// Cases read and prepared at the same time; each takes memory for its volume
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    pub readers: NonZeroUsize,

    /// Directory for scores.json, cases.csv, report.html, a record of each case, and masks
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Which masks to keep: of the first set of clicks, all, or none
    #[arg(long, value_enum, default_value_t = KeepMasks::First, requires = "out", hide_possible_values = true)]
    pub masks: KeepMasks,

    /// Go on with the evaluation in --out, from the cases that are done
    #[arg(long, requires = "out")]
    pub resume: bool,

    /// Replace the evaluation in --out
    #[arg(long, requires = "out", conflicts_with_all = ["resume", "shard"])]
    pub force: bool,

    /// Evaluate the I-th of N shards of the cases into --out, which is the same for all shards
    #[arg(long, value_name = "I/N", requires = "out")]
    pub shard: Option<Shard>,
}

/// What corrections begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirstArg {
    /// A click drawn in the target
    Click,
    /// The target's deepest voxel
    Centre,
    /// The box around the target
    Box,
    /// Nothing
    None,
}

/// A checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunCheckpoint {
    /// That with the lowest validation loss
    Best,
    /// The latest
    Last,
}

/// A published protocol of corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProtocolArg {
    /// The CVPR 2025 challenge on interactive 3D segmentation
    Imed3d,
}

/// Which masks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeepMasks {
    /// Those of the first set of clicks, from which the report's pictures are drawn
    First,
    /// Those of every set of clicks
    All,
    /// None
    None,
}

/// The methods that can be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    /// Clicks in the volume, one crop around them
    Sam3d,
    /// The prompt-free variant, by sliding windows
    Auto,
    /// The 2D SAM, with clicks in each slice that has target
    Sam2d,
    /// nnU-Net's network
    Nnunet,
    /// TransBTS
    Transbts,
    /// nnFormer
    Nnformer,
    /// Swin-UNETR
    #[value(name = "swin_unetr")]
    SwinUnetr,
    /// UNETR++
    #[value(name = "unetr_pp")]
    UnetrPp,
    /// 3D UX-Net
    #[value(name = "ux_net")]
    UxNet,
}

/// How much a voxel of a window counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WindowWeights {
    /// The same everywhere
    Constant,
    /// Less towards the window's border
    Gaussian,
}

/// Where in the target clicks are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PositionArg {
    /// Anywhere: the published protocol
    Uniform,
    /// The third of the depth that is furthest inside
    Centre,
    /// The third in between
    Surrounding,
    /// The third at the border
    Margin,
}

impl From<PositionArg> for Position {
    fn from(position: PositionArg) -> Self {
        match position {
            PositionArg::Uniform => Self::Uniform,
            PositionArg::Centre => Self::Centre,
            PositionArg::Surrounding => Self::Surrounding,
            PositionArg::Margin => Self::Margin,
        }
    }
}

/// Part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// Cases trained on
    Train,
    /// Cases that choose the best checkpoint
    Val,
    /// Cases never looked at in training
    Test,
}
