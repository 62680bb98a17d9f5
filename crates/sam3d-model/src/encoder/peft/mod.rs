//! Ways to tune SAM's image encoder with few parameters: this method's and those that the paper compares it with.
//!
//! Each adds small modules to every block; [`crate::Tuning`] says which, and [`crate::role`] what else of the encoder is
//! trained. Where a paper leaves something open, the module's page says which reading was taken. The numbers of parameters
//! are held to the published ones by a test.

mod adapter;
mod depthwise;
mod houlsby;
mod med_adapter;
mod prompt_block;
mod st_adapter;
#[cfg(test)]
mod tests;

use tch::{Tensor, nn::Path};

use self::{
    adapter::Adapter, houlsby::Bottleneck, med_adapter::MedAdapter, prompt_block::PromptBlock,
    st_adapter::StAdapter,
};
use crate::{config::EncoderConfig, tuning::Tuning};

/// What a block has beside SAM's own layers.
#[derive(Debug)]
pub(crate) enum BlockTuning {
    /// This method.
    SpatialAdapter(Adapter),
    /// Nothing: SAM's own weights are trained.
    Full,
    /// Houlsby et al. 2019.
    Adapter {
        /// Behind the attention.
        attention: Bottleneck,
        /// Behind the MLP.
        mlp: Bottleneck,
    },
    /// Nie et al. 2022.
    ProTuning(PromptBlock),
    /// Pan et al. 2022.
    StAdapter(StAdapter),
    /// Shen et al. 2023.
    MedTuning(MedAdapter),
}

impl BlockTuning {
    /// The modules of block `index`, which lives at `path`.
    pub(crate) fn new(path: &Path<'_>, config: &EncoderConfig, index: usize) -> Self {
        let channels = config.embed_dim as i64;
        match config.tuning {
            Tuning::SpatialAdapter => Self::SpatialAdapter(Adapter::new(path / "adapter", channels)),
            Tuning::Full => Self::Full,
            Tuning::Adapter => Self::Adapter {
                attention: Bottleneck::new(path / "adapter_attn", channels),
                mlp: Bottleneck::new(path / "adapter_mlp", channels),
            },
            Tuning::ProTuning => Self::ProTuning(PromptBlock::new(path / "prompt", channels)),
            Tuning::StAdapter => Self::StAdapter(StAdapter::new(path / "st_adapter", channels)),
            Tuning::MedTuning => Self::MedTuning(MedAdapter::new(
                path / "med_adapter",
                config,
                config.levels().contains(&index),
            )),
        }
    }

    /// What the block's attention sees of what came in.
    ///
    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged; of Med-tuning with what it carries behind the channels.
    pub(crate) fn before(&self, xs: &Tensor) -> Tensor {
        match self {
            Self::SpatialAdapter(adapter) => adapter.forward(xs),
            Self::StAdapter(adapter) => adapter.forward(xs),
            Self::MedTuning(adapter) => adapter.tokens(xs),
            Self::Full | Self::Adapter { .. } | Self::ProTuning(_) => xs.shallow_clone(),
        }
    }

    /// The attention's result, before it is added.
    ///
    /// # Shapes
    /// `[..., E]`, unchanged.
    pub(crate) fn after_attention(&self, branch: Tensor) -> Tensor {
        match self {
            Self::Adapter { attention, .. } => attention.forward(&branch),
            _ => branch,
        }
    }

    /// The MLP's result, before it is added.
    ///
    /// # Shapes
    /// `[..., E]`, unchanged.
    pub(crate) fn after_mlp(&self, branch: Tensor) -> Tensor {
        match self {
            Self::Adapter { mlp, .. } => mlp.forward(&branch),
            _ => branch,
        }
    }

    /// What leaves the block: `xs` is what SAM's layers made of `input`.
    ///
    /// # Shapes
    /// Tokens `[B, G, G, G, E]`, unchanged; of Med-tuning with what it carries behind the channels.
    pub(crate) fn after(&self, xs: Tensor, input: &Tensor) -> Tensor {
        match self {
            Self::ProTuning(prompt) => prompt.forward(&xs),
            Self::MedTuning(adapter) => adapter.forward(&xs, input),
            _ => xs,
        }
    }
}
