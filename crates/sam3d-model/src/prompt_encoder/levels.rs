//! The prompt encoders of a network: one for each level at which prompts are inserted.

use tch::{Tensor, nn::Path};

use super::PromptEncoder;
use crate::{
    config::{LEVELS, PromptConfig},
    prompt::CropPrompt,
};

/// A prompt encoder for each prompted feature map. The published network has one, for the deepest.
#[derive(Debug)]
pub(crate) struct PromptEncoders {
    /// Levels, counted from 1, with their encoders.
    encoders: Vec<(usize, PromptEncoder)>,
}

impl PromptEncoders {
    /// The parameters of the deepest level's encoder live at `path` itself, as in published checkpoints; those of level n
    /// at `level_n` below it.
    pub(crate) fn new(path: &Path<'_>, config: &PromptConfig, channels: i64) -> Self {
        let encoder = |level: &usize| {
            let encoder = if *level == LEVELS {
                PromptEncoder::new(path, config, channels)
            } else {
                // Dense prompts are added to the deepest map alone.
                let config = PromptConfig { dense_prompts: false, ..config.clone() };
                PromptEncoder::new(&(path / format!("level_{level}")), &config, channels)
            };
            (*level, encoder)
        };
        Self { encoders: config.levels.iter().map(encoder).collect() }
    }

    /// Whether prompts are inserted at `level`, counted from 1.
    pub(crate) fn has(&self, level: usize) -> bool {
        self.encoders.iter().any(|(own, _)| *own == level)
    }

    /// The map of `level`, counted from 1, with the prompts in it; as it is if none are inserted there.
    ///
    /// # Shapes
    /// Feature map `[B, C, G, G, G]` in (H, W, D), unchanged.
    pub(crate) fn forward(&self, level: usize, map: &Tensor, prompts: &[CropPrompt]) -> Tensor {
        self.encoders
            .iter()
            .find(|(own, _)| *own == level)
            .map_or_else(|| map.shallow_clone(), |(_, encoder)| encoder.forward(map, prompts))
    }
}
