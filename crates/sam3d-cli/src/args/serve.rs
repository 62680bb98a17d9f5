use std::{net::IpAddr, path::PathBuf};

use clap::Args;

use super::{DicomWebArgs, ReadArgs, WeightsArg};

const NOTES: &str = "\
Open the printed address in a browser, or enter it in 3D Slicer, napari or MITK as the address of an
nnInteractive server, or in 3D Slicer, OHIF or MITK as that of a MONAI Label server. Volumes in
--studies are listed by name; uploads are kept for an hour and removed when the server stops, or
with --sessions for a day. Without a token only this computer is served. Connections from other
computers are not encrypted: put a proxy with TLS in front of the server. Ctrl-C stops it.

Examples:
  The page on this computer:
    sam3d serve --weights best.safetensors --studies ct/
  For other computers, with a secret that every request must carry:
    sam3d serve --weights best.safetensors --host 0.0.0.0 --token-file secret.txt
  The CT series of a DICOMweb archive, by UID and description (--phi: by patient and date):
    sam3d serve --dicomweb https://pacs.example/dicom-web --dicomweb-token-file token.txt
  For an OHIF viewer on another server:
    sam3d serve --weights best.safetensors --studies ct/ --allow-origin http://localhost:3000";

/// Serve a page to click in, and viewers that use nnInteractive's or MONAI Label's protocol
#[derive(Debug, Clone, Args)]
#[command(after_help = NOTES)]
pub struct ServeArgs {
    /// Checkpoint: a file, the name of built-in weights, or hf://OWNER/REPO/FILE [default: built-in weights]
    #[arg(long, value_name = "FILE|NAME|hf://...")]
    pub weights: Option<WeightsArg>,

    /// File with the tensors that the checkpoint leaves out (its base), if it was moved
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,

    /// Directory with the volumes to offer
    #[arg(long, value_name = "DIR")]
    pub studies: Option<PathBuf>,

    /// Directory for labels that viewers save [default: labels in --studies, if that can be written to]
    #[arg(long, value_name = "DIR")]
    pub labels: Option<PathBuf>,

    /// Address to listen on; other computers than this one need a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// Port to listen on; 0 selects a free one
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub port: u16,

    /// Secret that every request must carry; other users of this computer can see it in the command line
    #[arg(long, value_name = "SECRET", conflicts_with = "token_file")]
    pub token: Option<String>,

    /// File with the secret
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Allow pages of this origin (http://host:port) to use the server; repeat for more
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,

    /// Name of the target in viewers
    #[arg(long, value_name = "NAME", default_value = "target")]
    pub name: String,

    /// Use the preprocessing of this dataset (name or TOML file) instead of the checkpoint's
    #[arg(long, value_name = "NAME|FILE")]
    pub dataset: Option<String>,

    /// Number of clients of nnInteractive's protocol at a time
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub viewers: usize,

    /// Seconds after which such a client that does nothing loses its place
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub viewer_idle: u64,

    /// Memory for reading volumes, in MiB, shared by all clients
    #[arg(long, value_name = "MIB", default_value_t = 8192)]
    pub reading_memory: u64,

    /// Directory for uploads, which then outlive a restart [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub sessions: Option<PathBuf>,

    /// Log lines of JSON
    #[arg(long)]
    pub log_json: bool,

    /// Do not encode the region under a resting pointer or crosshair before the click
    #[arg(long)]
    pub no_encode_ahead: bool,

    /// Memory for embeddings of earlier crops, in MiB; a quarter more is for those encoded ahead
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub cache: usize,

    /// How the volumes are read.
    #[command(flatten)]
    pub reading: ReadArgs,

    /// Show clients of the archive's series whose they are and when they were made
    #[arg(long, requires = "dicomweb")]
    pub phi: bool,

    /// The archive whose CT series are offered.
    #[command(flatten)]
    pub archive: DicomWebArgs,
}
