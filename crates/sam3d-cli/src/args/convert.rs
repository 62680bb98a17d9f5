use std::path::PathBuf;

use clap::Args;
use sam3d_baselines::Method;
use sam3d_model::Preset;

use super::values::{comparison, preset};

const NOTES: &str = "\
Nothing in the file is executed: only tensors and plain data are read, anything else is refused.

Examples:
  A published checkpoint of the adapted network:
    sam3d convert --in kidney.pth.tar --out kidney.safetensors
  SAM's own weights, as initial weights for training:
    sam3d convert --in sam_vit_b_01ec64.pth --out sam_vit_b.safetensors
  A run's best checkpoint as one small file to share, with its card:
    sam3d convert --in runs/a/best.safetensors --half --card card.toml --out shared.safetensors
  A network of the published comparison, as saved by its own program:
    sam3d convert --method unetr_pp --in best.pth.tar --out unetr_pp.safetensors";

/// Convert PyTorch weights to a checkpoint
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ConvertArgs {
    /// Weights: .pth, .pth.tar or .safetensors
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,

    /// Checkpoint to write (.safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Size of the network [default: from the tensors' shapes]
    #[arg(long, value_name = "NAME", value_parser = preset())]
    pub model: Option<Preset>,

    /// Add an untrained encoder for masks, regions and scribbles, if the weights have none
    #[arg(long)]
    pub dense_prompts: bool,

    /// Comparison network in the file
    #[arg(long, value_name = "NAME", value_parser = comparison(), conflicts_with_all = ["model", "dense_prompts"])]
    pub method: Option<Method>,

    /// The network was trained without the published fault (swin_unetr, nnformer)
    #[arg(long, requires = "method")]
    pub corrected: bool,

    /// Round weights to float16: half the size, and still computed in float32
    #[arg(long, conflicts_with = "method")]
    pub half: bool,

    /// Card to store in the checkpoint (.toml or .json): data, licence, training, scores, use [default: that of the input]
    #[arg(long, value_name = "FILE", conflicts_with = "method")]
    pub card: Option<PathBuf>,

    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}
