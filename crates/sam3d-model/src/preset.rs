//! Presets: the published networks, and a small one with all their parts.

use serde::{Deserialize, Serialize};

use crate::{
    DecoderConfig, EncoderConfig, ModelConfig, PointFeatures, PromptConfig, Tuning,
    config::{all_levels, deepest_level},
};

/// A preset, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// A small network with every part of the full one, crop 64.
    Tiny,
    /// ViT-B, crop 128.
    VitB,
    /// ViT-L, crop 128.
    VitL,
    /// ViT-H, crop 128.
    VitH,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::VitB, Self::VitL, Self::VitH];

    /// The name used on the command line and in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::VitB => "vit_b",
            Self::VitL => "vit_l",
            Self::VitH => "vit_h",
        }
    }

    /// The configuration.
    pub fn config(self) -> ModelConfig {
        match self {
            Self::Tiny => ModelConfig::tiny(),
            Self::VitB => ModelConfig::vit_b(),
            Self::VitL => ModelConfig::vit_l(),
            Self::VitH => ModelConfig::vit_h(),
        }
    }
}

impl EncoderConfig {
    fn sam(embed_dim: usize, depth: usize, num_heads: usize, global_blocks: [usize; 4]) -> Self {
        Self {
            embed_dim,
            depth,
            num_heads,
            mlp_ratio: 4,
            global_blocks: global_blocks.to_vec(),
            token_grid: 32,
            patch_size: 16,
            window: 8,
            sam_window: 14,
            neck_channels: 256,
            tuning: Tuning::SpatialAdapter,
        }
    }
}

impl ModelConfig {
    /// The configuration of the golden data: 12 blocks of 48 channels, 16^3 tokens, crop 64.
    pub fn tiny() -> Self {
        Self {
            crop: 64,
            encoder: EncoderConfig {
                token_grid: 16,
                neck_channels: 32,
                ..EncoderConfig::sam(48, 12, 3, [2, 5, 8, 11])
            },
            prompt: Some(PromptConfig {
                depth: 2,
                num_heads: 4,
                mlp_dim: 64,
                global_queries: 10,
                attention_downsample_rate: 2,
                num_pos_feats: 16,
                levels: deepest_level(),
                features: PointFeatures::VisualSampler,
                point_labels: false,
                dense_prompts: false,
                clicks_as_scribbles: false,
            }),
            decoder: DecoderConfig { head_channels: 16, hidden_channels: 16, levels: all_levels() },
        }
    }

    fn published(encoder: EncoderConfig) -> Self {
        Self {
            crop: 128,
            encoder,
            prompt: Some(PromptConfig {
                depth: 2,
                num_heads: 8,
                mlp_dim: 2048,
                global_queries: 10,
                attention_downsample_rate: 2,
                num_pos_feats: 128,
                levels: deepest_level(),
                features: PointFeatures::VisualSampler,
                point_labels: false,
                dense_prompts: false,
                clicks_as_scribbles: false,
            }),
            decoder: DecoderConfig { head_channels: 128, hidden_channels: 128, levels: all_levels() },
        }
    }

    /// The published network on SAM's ViT-B.
    pub fn vit_b() -> Self {
        Self::published(EncoderConfig::sam(768, 12, 12, [2, 5, 8, 11]))
    }

    /// The published network on SAM's ViT-L.
    pub fn vit_l() -> Self {
        Self::published(EncoderConfig::sam(1024, 24, 16, [5, 11, 17, 23]))
    }

    /// The published network on SAM's ViT-H.
    pub fn vit_h() -> Self {
        Self::published(EncoderConfig::sam(1280, 32, 16, [7, 15, 23, 31]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for preset in Preset::ALL {
            let config = preset.config();
            config.validate().unwrap();
            config.clone().auto(256).validate().unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        }
    }
}
