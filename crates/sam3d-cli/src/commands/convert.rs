//! `sam3d convert`: PyTorch weights to a checkpoint.

use std::{fmt, path::PathBuf};

use anyhow::Context;
use sam3d_baselines::{BaselineCheckpoint, BaselineMetadata, Method};
use sam3d_model::{Checkpoint, ConvertOptions, Metadata, ParameterCount, convert};
use sam3d_pickle::Limits;
use serde::Serialize;

use super::writable::check_writable;
use crate::{
    args::{ConvertArgs, GlobalArgs},
    output,
};

/// Converts the file and describes it.
///
/// # Errors
/// If the file is refused, does not match a network, or the result cannot be written.
pub fn run(args: &ConvertArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    check_writable(&args.out, args.force)?;
    if let Some(method) = args.method {
        return output::emit(&convert_comparison(method, args)?, global.json);
    }
    let options = ConvertOptions {
        preset: args.model,
        seed: global.seed.unwrap_or_default(),
        dense_prompts: args.dense_prompts,
        limits: Limits::default(),
    };
    let (network, metadata) = convert(&args.input, &options)?;
    Checkpoint::write(&network, &metadata, &args.out)?;
    let ParameterCount { trained, frozen } = network.count_parameters();
    output::emit(&Report { out: args.out.clone(), metadata, trained, frozen }, global.json)
}

fn convert_comparison(method: Method, args: &ConvertArgs) -> anyhow::Result<ComparisonReport> {
    let mut layouts = method.layouts();
    if args.corrected {
        for layout in &mut layouts {
            layout.correct().context("--corrected")?;
        }
    }
    let (network, metadata) = sam3d_baselines::convert(&args.input, &layouts, &Limits::default())?;
    BaselineCheckpoint::write(&network, &metadata, &args.out)?;
    Ok(ComparisonReport { out: args.out.clone(), metadata, parameters: network.count_parameters() })
}

#[derive(Serialize)]
struct Report {
    out: PathBuf,
    metadata: Metadata,
    trained: usize,
    frozen: usize,
}

#[derive(Serialize)]
struct ComparisonReport {
    out: PathBuf,
    metadata: BaselineMetadata,
    parameters: usize,
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = &self.metadata.network;
        let [d, h, w] = network.crop();
        writeln!(f, "written       {}", self.out.display())?;
        writeln!(f, "model         {}, crop {d} x {h} x {w} (D, H, W)", network.method().title())?;
        writeln!(f, "parameters    {}", self.parameters)?;
        writeln!(f, "provenance    {}", self.metadata.provenance.source)?;
        writeln!(f, "preprocessing not in the file: use eval with --dataset")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoder = &self.metadata.model.encoder;
        writeln!(f, "written       {}", self.out.display())?;
        writeln!(
            f,
            "model         {} blocks of {} channels, crop {}",
            encoder.depth, encoder.embed_dim, self.metadata.model.crop
        )?;
        writeln!(f, "parameters    {} trained, {} frozen", self.trained, self.frozen)?;
        writeln!(f, "provenance    {}", self.metadata.provenance.source)?;
        if self.metadata.preprocessing.is_none() {
            writeln!(f, "preprocessing not in the file: use segment, serve and eval with --dataset")?;
        }
        Ok(())
    }
}
