use std::{fmt, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use sam3d_data::sam_weights::{self, SamWeights};
use serde::Serialize;

use crate::{Program, progress::Bars};

/// Download SAM's weights, from which training starts
#[derive(Debug, Clone, Args)]
pub struct FetchWeightsArgs {
    /// Which weights: sam_vit_b (0.4 GB), sam_vit_l (1.2 GB) or sam_vit_h (2.6 GB)
    #[arg(hide_possible_values = true)]
    weights: Weights,

    /// A copy or another address, instead of the published one; its checksum must be the published one
    #[arg(long, value_name = "FILE|URL")]
    source: Option<String>,

    /// File to write [default: weights/ and the published name]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// SAM's three sizes, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Weights {
    SamVitB,
    SamVitL,
    SamVitH,
}

impl From<Weights> for SamWeights {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::SamVitB => Self::VitB,
            Weights::SamVitL => Self::VitL,
            Weights::SamVitH => Self::VitH,
        }
    }
}

/// Weights that are in place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FetchWeightsReport {
    /// Where they are.
    pub path: PathBuf,
    /// The checksum they were compared with.
    pub checksum: String,
}

impl fmt::Display for FetchWeightsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: in place, {}", self.path.display(), self.checksum)
    }
}

impl FetchWeightsArgs {
    /// Puts the weights in place, unless they are there.
    ///
    /// # Errors
    /// If they cannot be fetched or written, or are not the published ones.
    pub fn run(&self, program: &Program) -> Result<FetchWeightsReport> {
        let weights = SamWeights::from(self.weights);
        let default_path = || program.root.join("weights").join(weights.file_name());
        let path = self.out.clone().unwrap_or_else(default_path);
        let bars = Bars::new(program);
        sam_weights::fetch(weights, self.source.as_deref(), &path, &|event| bars.show(event))?;
        Ok(FetchWeightsReport { path, checksum: weights.checksum().to_string() })
    }
}
