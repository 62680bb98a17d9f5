use std::path::PathBuf;

use clap::Args;
use sam3d_model::Preset;

use super::{Setting, values::preset};

const NOTES: &str = "\
Settings come from, in rising order of precedence: built-in defaults, the configuration file,
the other options, --set. The resolved configuration is written beside the checkpoints.

Examples:
  The default configuration on the default data:
    sam3d train
  The published network from SAM's weights, with another learning rate:
    sam3d train --dataset kits21 --model vit_b --pretrained sam_vit_b.safetensors \\
      --set optimiser.learning_rate=2e-4 --out runs/kits21
  Go on where a run was interrupted:
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

    /// Start from these weights (.safetensors)
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub pretrained: Option<PathBuf>,

    /// Size of the network
    #[arg(long, value_name = "NAME", value_parser = preset())]
    pub model: Option<Preset>,

    /// Directory of the run: checkpoints, configuration, log of metrics
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Go on with the run in --out
    #[arg(long)]
    pub resume: bool,

    /// Set one field of the configuration; repeat for more
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub settings: Vec<Setting>,
}
