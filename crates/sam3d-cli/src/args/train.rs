use std::path::PathBuf;

use clap::Args;
use sam3d_baselines::{Method, Size};
use sam3d_model::Preset;

use super::{
    Setting,
    values::{comparison, preset, size},
};

const NOTES: &str = "\
Settings come from, in order of increasing precedence: defaults, the configuration file, the other
options, --set. The resolved configuration is written beside the checkpoints.

Examples:
  The default configuration on the default data:
    sam3d train
  The published network from SAM's weights, with another learning rate:
    sam3d train --dataset kits21 --model vit_b --pretrained sam_vit_b.safetensors \\
      --set optimiser.learning_rate=2e-4 --out runs/kits21
  The memory and time it would take, without starting it:
    sam3d train --dataset kits21 --model vit_b --dry-run
  A network of the published comparison, by its own recipe:
    sam3d train --dataset kits21 --method unetr_pp --out runs/kits21-unetr_pp
  Resume an interrupted run:
    sam3d train --out runs/kits21 --resume";

/// Train on a prepared dataset
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct TrainArgs {
    /// Configuration (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Dataset: a name or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub dataset: Option<String>,

    /// Directory of the prepared dataset
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Initial weights (.safetensors, or SAM's .pth)
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub pretrained: Option<PathBuf>,

    /// Size of the network
    #[arg(long, value_name = "NAME", value_parser = preset())]
    pub model: Option<Preset>,

    /// Train a comparison network instead, by its published recipe
    #[arg(long, value_name = "NAME", value_parser = comparison(), conflicts_with = "model")]
    pub method: Option<Method>,

    /// Size of the comparison network
    #[arg(long, value_name = "NAME", value_parser = size(), requires = "method")]
    pub size: Option<Size>,

    /// Directory of the run: checkpoints, configuration, metrics
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Fold of the dataset's splits [default: 0]
    #[arg(long, value_name = "N")]
    pub fold: Option<u32>,

    /// Resume the run in --out
    #[arg(long)]
    pub resume: bool,

    /// Write all tensors to the checkpoints, not only the trained ones
    #[arg(long)]
    pub full: bool,

    /// Take three steps and print settings, size, memory and time of the run; write nothing
    #[arg(long, conflicts_with_all = ["resume", "distributed"])]
    pub dry_run: bool,

    /// Train with all processes started by mpirun or srun
    #[arg(long)]
    pub distributed: bool,

    /// Set one field of the configuration; repeat for more
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub settings: Vec<Setting>,
}
