use std::{
    fmt,
    path::{Path, PathBuf},
};

use sam3d_geom::{Orientation, Preprocessing};
use sam3d_model::{Base, Card, Checkpoint, ModelConfig, Preset, Provenance, Role, role};
use serde::Serialize;

use super::comparison::ComparisonReport;

/// A checkpoint of either kind.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum AnyCheckpoint {
    Own(Box<CheckpointReport>),
    Comparison(Box<ComparisonReport>),
}

impl AnyCheckpoint {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        CheckpointReport::read(path).map(|report| Self::Own(Box::new(report))).or_else(|error| {
            let report = ComparisonReport::read(path).map_err(|_| error)?;
            Ok(Self::Comparison(Box::new(report)))
        })
    }
}

impl fmt::Display for AnyCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(report) => report.fmt(f),
            Self::Comparison(report) => report.fmt(f),
        }
    }
}

/// Metadata of a checkpoint, and the numbers of its parameters.
#[derive(Serialize)]
pub(super) struct CheckpointReport {
    path: PathBuf,
    format_version: u32,
    /// The preset whose encoder and decoder the model has.
    preset: Option<&'static str>,
    model: ModelConfig,
    preprocessing: Option<Preprocessing>,
    provenance: Provenance,
    tensors: usize,
    trained_parameters: usize,
    frozen_parameters: usize,
    /// The file with the tensors that are not in this one.
    base: Option<Base>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<Card>,
}

impl CheckpointReport {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let Checkpoint { metadata, card, tensors } = Checkpoint::read_alone(path)?;
        let values_of = |wanted: Role| {
            tensors
                .iter()
                .filter(|(name, _)| role(name, metadata.model.encoder.tuning) == wanted)
                .map(|(_, tensor)| tensor.numel())
                .sum()
        };
        Ok(Self {
            path: path.to_owned(),
            format_version: metadata.format_version,
            preset: preset(&metadata.model),
            tensors: tensors.len(),
            trained_parameters: values_of(Role::Trained),
            frozen_parameters: values_of(Role::Frozen),
            model: metadata.model,
            preprocessing: metadata.preprocessing,
            provenance: metadata.provenance,
            base: metadata.base,
            card,
        })
    }
}

fn preset(model: &ModelConfig) -> Option<&'static str> {
    let same_parts = |preset: &Preset| {
        let config = preset.config();
        config.encoder == model.encoder && config.decoder == model.decoder
    };
    Preset::ALL.into_iter().find(same_parts).map(Preset::name)
}

impl fmt::Display for CheckpointReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, provenance, .. } = self;
        let millions = |count: usize| count as f64 / 1e6;
        writeln!(f, "{}", self.path.display())?;
        let prompts = match &model.prompt {
            None => "without prompts",
            Some(prompt) if prompt.clicks_as_scribbles => {
                "prompted by labelled clicks (also drawn as scribbles), masks, regions and scribbles"
            }
            Some(prompt) if prompt.dense_prompts => {
                "prompted by labelled clicks, masks, regions and scribbles"
            }
            Some(prompt) if prompt.point_labels => "prompted by labelled clicks",
            Some(_) => "prompted by clicks",
        };
        writeln!(f, "model          {}, crop {}, {prompts}", self.preset.unwrap_or("custom"), model.crop)?;
        writeln!(
            f,
            "parameters     {:.2} M trained, {:.2} M frozen, in {} tensors",
            millions(self.trained_parameters),
            millions(self.frozen_parameters),
            self.tensors
        )?;
        if let Some(base) = &self.base {
            writeln!(f, "base           {}, SHA-256 {}", base.path.display(), base.sha256)?;
        }
        write_origin(f, self.preprocessing.as_ref(), provenance)?;
        self.card.as_ref().map_or(Ok(()), |card| card.fmt(f))
    }
}

/// The lines on preprocessing and provenance.
pub(super) fn write_origin(
    f: &mut fmt::Formatter<'_>,
    preprocessing: Option<&Preprocessing>,
    provenance: &Provenance,
) -> fmt::Result {
    match preprocessing {
        None => writeln!(f, "preprocessing  not in the file: use --dataset")?,
        Some(preprocessing) => {
            let intensity = preprocessing.intensity;
            let ([low, high], [d, h, w]) = (intensity.clip_hu(), preprocessing.spacing_mm.mm());
            let (mean, std) = (intensity.mean(), intensity.std());
            writeln!(f, "preprocessing  {low} to {high} HU, mean {mean:.2}, std {std:.2}")?;
            let axes = match preprocessing.orientation {
                Orientation::Lps => "oriented by the affine".to_owned(),
                Orientation::AsStored(stored) => format!("stored axes {:?}, not flipped", stored.axes()),
            };
            writeln!(f, "               {d} x {h} x {w} mm (D, H, W), {axes}")?;
        }
    }
    if let Some(epoch) = provenance.epoch {
        writeln!(f, "epoch          {epoch}")?;
    }
    if let Some(loss) = provenance.validation_loss {
        writeln!(f, "validation     soft Dice loss {loss:.4}")?;
    }
    for (name, text) in [("source", &provenance.source), ("written by", &provenance.written_by)] {
        if !text.is_empty() {
            writeln!(f, "{name:<15}{text}")?;
        }
    }
    Ok(())
}

/// The checkpoints of one directory.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct RunReport(pub(super) Vec<AnyCheckpoint>);

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, report) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{report}")?;
        }
        Ok(())
    }
}
