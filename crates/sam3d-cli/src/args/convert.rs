use std::path::PathBuf;

use clap::Args;
use sam3d_baselines::Method;
use sam3d_model::Preset;

use super::values::{comparison, preset};

const NOTES: &str = "\
Only tensors are read: a file that would execute code is refused.

Examples:
  A published checkpoint of the adapted network:
    sam3d convert --in kidney.pth.tar --out kidney.safetensors
  SAM's own weights, to start training from:
    sam3d convert --in sam_vit_b_01ec64.pth --out sam_vit_b.safetensors
  A network of the published comparison, as its own program saved it:
    sam3d convert --method unetr_pp --in best.pth.tar --out unetr_pp.safetensors";

/// Convert PyTorch weights to this program's format
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ConvertArgs {
    /// Weights: .pth, .pth.tar or .safetensors
    #[arg(long = "in", value_name = "FILE")]
    pub input: PathBuf,

    /// Checkpoint to write (.safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Size of the network [default: by the tensors' shapes]
    #[arg(long, value_name = "NAME", value_parser = preset())]
    pub model: Option<Preset>,

    /// Add an untrained encoder of masks, regions and scribbles to weights without one
    #[arg(long)]
    pub dense_prompts: bool,

    /// The file holds a comparison network
    #[arg(long, value_name = "NAME", value_parser = comparison(), conflicts_with_all = ["model", "dense_prompts"])]
    pub method: Option<Method>,

    /// Comparison network trained without the published fault (swin_unetr, nnformer)
    #[arg(long, requires = "method")]
    pub corrected: bool,

    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
}
