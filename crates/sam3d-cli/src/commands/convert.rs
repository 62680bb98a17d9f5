//! `sam3d convert`: PyTorch weights to a checkpoint.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use sam3d_baselines::{BaselineCheckpoint, BaselineMetadata, Method};
use sam3d_model::{Card, Checkpoint, ConvertOptions, Metadata, ParameterCount, WriteOptions, convert};
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
    let card = match &args.card {
        Some(path) => Some(read_card(path)?),
        None => card_of_input(&args.input)?,
    };
    let (network, metadata) = convert(&args.input, &options)?;
    let written = WriteOptions { half: args.half, card };
    Checkpoint::write_with(&network, &metadata, &written, &args.out)?;
    let ParameterCount { trained, frozen } = network.count_parameters();
    output::emit(
        &Report { out: args.out.clone(), metadata, trained, frozen, card: written.card },
        global.json,
    )
}

/// A card in TOML or JSON, by the file's ending.
fn read_card(path: &Path) -> anyhow::Result<Card> {
    let named = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", named()))?;
    let card: Card = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(&text).with_context(named)?,
        Some("json") => serde_json::from_str(&text).with_context(named)?,
        _ => bail!("--card {}: expected a file that ends in .toml or .json", named()),
    };
    if let Some(field) = card.empty_field() {
        bail!("{}: {field} is empty", named());
    }
    Ok(card)
}

/// The card of a checkpoint that is converted again.
fn card_of_input(path: &Path) -> anyhow::Result<Option<Card>> {
    let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    if is_safetensors { Ok(Card::of_file(path)?) } else { Ok(None) }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<Card>,
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
        if let Some(card) = &self.card {
            writeln!(f, "card          {}", card.title)?;
        }
        if self.metadata.preprocessing.is_none() {
            writeln!(f, "preprocessing not in the file: use segment, serve and eval with --dataset")?;
        }
        Ok(())
    }
}
