use clap::Args;

const NOTES: &str = "\
Built-in weights are part of the program. Cached ones were downloaded for --weights hf://... and are
used without a network from then on; they lie in hub/ of the cache directory (SAM3D_CACHE, else
sam3d in the user's cache directory).

Examples:
  sam3d models
  sam3d models --json";

/// List the built-in and the downloaded weights
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ModelsArgs {}
