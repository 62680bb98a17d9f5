use std::{net::IpAddr, path::PathBuf};

use clap::Args;

use super::ReadArgs;

const NOTES: &str = "\
Open the printed address in a browser, or enter it in 3D Slicer, OHIF or MITK as the address of a
MONAI Label server. Volumes of --studies are listed by name; uploads are kept for an hour and
removed at the end. Without a token only this computer is served; beyond it the connection is not
encrypted, so put a proxy with TLS before it. Ctrl-C stops.

Examples:
  The page, on this computer:
    sam3d serve --weights best.safetensors --studies ct/
  For other computers, behind a secret that every request must carry:
    sam3d serve --weights best.safetensors --host 0.0.0.0 --token-file secret.txt
  For an OHIF viewer that is served from elsewhere:
    sam3d serve --weights best.safetensors --studies ct/ --allow-origin http://localhost:3000";

/// Serve a page for clicking, and viewers that speak MONAI Label's protocol
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ServeArgs {
    /// Checkpoint (.safetensors), from `sam3d train` or `sam3d convert`
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,

    /// File with the tensors that the checkpoint leaves out, if it is not where it was
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,

    /// Directory whose volumes are offered
    #[arg(long, value_name = "DIR")]
    pub studies: Option<PathBuf>,

    /// Directory for labels that viewers save [default: labels in --studies]
    #[arg(long, value_name = "DIR")]
    pub labels: Option<PathBuf>,

    /// Address to listen on; beyond this computer a token is needed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub port: u16,

    /// Secret that every request must carry; others on this computer can see what is typed here
    #[arg(long, value_name = "SECRET", conflicts_with = "token_file")]
    pub token: Option<String>,

    /// File with the secret
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Let pages of this origin use the server, as http://host:port; repeat for more
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,

    /// What viewers shall call what the network finds
    #[arg(long, value_name = "NAME", default_value = "target")]
    pub name: String,

    /// Preprocessing of this dataset instead of the checkpoint's: a name or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub dataset: Option<String>,

    /// Memory for what the encoder made of places clicked before, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub cache: usize,

    /// How the volumes are read.
    #[command(flatten)]
    pub reading: ReadArgs,
}
