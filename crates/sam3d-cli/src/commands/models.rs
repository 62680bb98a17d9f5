//! `sam3d models`: the weights that need only a name.

use std::{fmt, fs, path::PathBuf};

use anyhow::Context;
use sam3d_infer::{BUILT_IN, Weights};
use sam3d_model::Card;
use serde::Serialize;

use super::weights;
use crate::{
    args::{GlobalArgs, ModelsArgs},
    output,
};

/// Digits of a SHA-256 that are shown in the text.
const SHOWN_DIGITS: usize = 12;

/// Lists built-in weights and those in the cache, if there is one.
///
/// # Errors
/// If the cache cannot be read.
pub fn run(_args: &ModelsArgs, global: &GlobalArgs) -> anyhow::Result<()> {
    let mut models = Vec::new();
    for built_in in BUILT_IN {
        let weights = Weights::BuiltIn(*built_in);
        models.push(Model {
            name: built_in.name.to_owned(),
            built_in: true,
            path: None,
            bytes: built_in.bytes.len() as u64,
            sha256: weights.sha256()?,
            card: weights.read_alone()?.card,
        });
    }
    // Built-in weights need no cache, which a system without a home directory may not have.
    let cached = match weights::hub() {
        Ok(hub) => hub.cached()?,
        Err(error) => {
            tracing::warn!("only built-in weights are listed: {error:#}");
            Vec::new()
        }
    };
    for cached in cached {
        let bytes = fs::metadata(&cached.path).map(|file| file.len());
        models.push(Model {
            name: cached.address.to_string(),
            built_in: false,
            bytes: bytes.with_context(|| format!("cannot read {}", cached.path.display()))?,
            sha256: cached.sha256,
            // Other files of a hub than checkpoints have no card.
            card: Card::of_file(&cached.path).unwrap_or_default(),
            path: Some(cached.path),
        });
    }
    output::emit(&Report(models), global.json)
}

/// Weights on this computer.
#[derive(Serialize)]
struct Model {
    /// What to type after `--weights`.
    name: String,
    built_in: bool,
    path: Option<PathBuf>,
    bytes: u64,
    sha256: String,
    card: Option<Card>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Report(Vec<Model>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "no built-in weights and none downloaded");
        }
        for (i, model) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{}", model.name)?;
            match &model.path {
                None => writeln!(f, "  built in")?,
                Some(path) => writeln!(f, "  file        {}", path.display())?,
            }
            writeln!(f, "  size        {:.1} MB", model.bytes as f64 / 1e6)?;
            writeln!(f, "  SHA-256     {}...", &model.sha256[..SHOWN_DIGITS.min(model.sha256.len())])?;
            match &model.card {
                None => writeln!(f, "  trained on  unknown: the file has no card")?,
                Some(card) => {
                    writeln!(f, "  trained on  {}", card.trained_on)?;
                    writeln!(f, "  licence     {}", card.licence)?;
                    writeln!(f, "  not for     {}", card.not_for)?;
                }
            }
        }
        Ok(())
    }
}
