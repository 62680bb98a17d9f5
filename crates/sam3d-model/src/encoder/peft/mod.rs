//! Ways to tune SAM's image encoder with few parameters: this method's and those that the paper compares it with.
//!
//! Each adds small modules to every block; [`crate::Tuning`] names them, and [`crate::role`] decides what else of the encoder
//! is trained. Where a paper leaves a detail open, the module's documentation gives the choice made here. A test compares the
//! numbers of parameters with the published ones.

mod bottlenecks;
mod med_adapter;
#[cfg(test)]
mod tests;

use tch::Tensor;

use self::{
    bottlenecks::{Adapter, Bottleneck, PromptBlock, StAdapter},
    med_adapter::MedAdapter,
};
use crate::{config::EncoderConfig, tch_ext::Path, tuning::Tuning};

/// The modules of a block beside SAM's own layers.
#[derive(Debug)]
pub(crate) enum BlockTuning {
    /// This method.
    SpatialAdapter(Adapter),
    /// Nothing: SAM's own weights are trained.
    Full,
    /// Houlsby et al. 2019.
    Adapter {
        /// After the attention.
        attention: Bottleneck,
        /// After the MLP.
        mlp: Bottleneck,
    },
    /// Nie et al. 2022.
    ProTuning(PromptBlock),
    /// Pan et al. 2022.
    StAdapter(StAdapter),
    /// Shen et al. 2023.
    MedTuning(Box<MedAdapter>),
}

impl BlockTuning {
    /// The modules of block `index`, which lives at `path`.
    pub(crate) fn new(path: &Path<'_>, config: &EncoderConfig, index: usize) -> Self {
        let channels = config.embed_dim as i64;
        match config.tuning {
            Tuning::SpatialAdapter | Tuning::FromScratch => {
                Self::SpatialAdapter(Adapter::new(path / "adapter", channels))
            }
            Tuning::Full => Self::Full,
            Tuning::Adapter => Self::Adapter {
                attention: Bottleneck::new(path / "adapter_attn", channels),
                mlp: Bottleneck::new(path / "adapter_mlp", channels),
            },
            Tuning::ProTuning => Self::ProTuning(PromptBlock::new(path / "prompt", channels)),
            Tuning::StAdapter => Self::StAdapter(StAdapter::new(path / "st_adapter", channels)),
            Tuning::MedTuning => {
                let is_last_of_stage = config.levels().contains(&index);
                Self::MedTuning(Box::new(MedAdapter::new(path / "med_adapter", config, is_last_of_stage)))
            }
        }
    }

    /// The input of the block's attention, from the block's input.
    ///
    /// # Shapes
    /// Tokens `[B, G, G, G, E]` in (H, W, D), unchanged; for Med-tuning followed by its carried channels.
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

    /// The block's output, from the output `xs` of SAM's layers and the block's `input`.
    ///
    /// # Shapes
    /// Tokens `[B, G, G, G, E]`, unchanged; for Med-tuning followed by its carried channels.
    pub(crate) fn after(&self, xs: Tensor, input: &Tensor) -> Tensor {
        match self {
            Self::ProTuning(prompt) => prompt.forward(&xs),
            Self::MedTuning(adapter) => adapter.forward(&xs, input),
            _ => xs,
        }
    }
}
