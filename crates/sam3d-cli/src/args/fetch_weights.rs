use clap::Args;

const NOTES: &str = "\
The file is compared with its published checksum. An interrupted download continues where it stopped.

Examples:
  From the address its authors give, into weights/:
    sam3d fetch-weights sam_vit_b
  From a copy:
    sam3d fetch-weights sam_vit_b --source sam_vit_b_01ec64.pth --out weights/sam_vit_b.pth
  Then, for training:
    sam3d convert --in weights/sam_vit_b_01ec64.pth --out sam_vit_b.safetensors";

/// Download SAM's weights, from which training starts
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
#[group(skip)]
pub struct FetchWeightsArgs {
    /// The arguments.
    #[command(flatten)]
    pub shared: sam3d_commands::FetchWeightsArgs,
}
