//! What fixes the network: sizes of its parts, and the published presets.

use serde::{Deserialize, Serialize};

use crate::{ModelError, Tuning};

/// The whole network. Saved with every checkpoint; enough to build it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Side of the cubic crop the network sees, in voxels.
    pub crop: usize,
    /// The image encoder.
    pub encoder: EncoderConfig,
    /// The prompt encoder; `None` is the prompt-free ("auto") variant.
    pub prompt: Option<PromptConfig>,
    /// The mask decoder.
    pub decoder: DecoderConfig,
}

/// SAM's image encoder with its 3D adaptation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Channels of a token (E).
    pub embed_dim: usize,
    /// Transformer blocks; the four feature maps leave after each quarter of them.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Hidden width of a block's MLP over `embed_dim`.
    pub mlp_ratio: usize,
    /// Blocks that attend globally in SAM. Here they attend in windows like the others, but SAM's relative positions
    /// are longer in them.
    pub global_blocks: Vec<usize>,
    /// Side of the token grid (G).
    pub token_grid: usize,
    /// Side of a patch in upsampled voxels, in the plane and along depth; the upsampled side is `16 G`.
    pub patch_size: usize,
    /// Side of the cubic attention window, in tokens.
    pub window: usize,
    /// Side of SAM's own attention window, in tokens; it fixes the length of SAM's relative positions.
    pub sam_window: usize,
    /// Channels of the four feature maps.
    pub neck_channels: usize,
    /// What is added to SAM's encoder and what of it is trained.
    #[serde(default)]
    pub tuning: Tuning,
}

/// The visual-sampler prompt encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptConfig {
    /// Layers.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Hidden width of the MLP on the global queries.
    pub mlp_dim: usize,
    /// Learned queries that carry the prompt to the image.
    pub global_queries: usize,
    /// Factor by which the cross-attention is narrower than the features.
    pub attention_downsample_rate: usize,
    /// Columns of the random Fourier matrix, which checkpoints hold and the visual sampler does not use.
    pub num_pos_feats: usize,
    /// Levels of feature maps, from 1 (shallow) to 4, at which prompts are inserted, each by an encoder of its own.
    #[serde(default = "deepest_level")]
    pub levels: Vec<usize>,
    /// What stands for a click.
    #[serde(default)]
    pub features: PointFeatures,
    /// Whether a learned embedding of a point's label is added to its feature. An extension of this project: the
    /// published network knows no labels.
    #[serde(default, skip_serializing_if = "is_false")]
    pub point_labels: bool,
}

/// The multi-layer mask decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Channels of each of the four heads.
    pub head_channels: usize,
    /// Hidden channels of the classifier.
    pub hidden_channels: usize,
    /// Levels of feature maps, from 1 (shallow) to 4, that are aggregated. The deepest is always one of them.
    #[serde(default = "all_levels")]
    pub levels: Vec<usize>,
}

/// Feature maps that leave the encoder, one after each quarter of its blocks.
pub(crate) const LEVELS: usize = 4;

fn is_false(value: &bool) -> bool {
    !value
}

fn deepest_level() -> Vec<usize> {
    vec![LEVELS]
}

fn all_levels() -> Vec<usize> {
    (1..=LEVELS).collect()
}

/// What stands for a click in the prompt encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointFeatures {
    /// The feature of the map under the click.
    #[default]
    VisualSampler,
    /// Random Fourier features of the click's place, and of the tokens' places where the map reads the queries.
    Positional,
}

/// A preset's name on the command line.
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

    /// Side of the upsampled crop (S), in voxels.
    pub fn upsampled_side(&self) -> usize {
        self.patch_size * self.token_grid
    }

    /// Rows of SAM's relative positions in block `index`.
    pub fn rel_pos_rows(&self, index: usize) -> usize {
        // SAM's own token grid is twice as fine as ours: its position embedding is pooled 2 x 2.
        let side = if self.global_blocks.contains(&index) { 2 * self.token_grid } else { self.sam_window };
        2 * side - 1
    }

    /// The blocks (0-based) after which a feature map leaves.
    pub fn levels(&self) -> [usize; 4] {
        std::array::from_fn(|level| (level + 1) * self.depth / 4 - 1)
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

    /// The prompt-free variant of this network on crops of side `crop` (published: 256).
    pub fn auto(mut self, crop: usize) -> Self {
        self.prompt = None;
        self.crop = crop;
        self
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// [`ModelError::Config`], naming the field and what it must satisfy.
    pub fn validate(&self) -> Result<(), ModelError> {
        let encoder = &self.encoder;
        let positive = [
            ("crop", self.crop),
            ("encoder.embed_dim", encoder.embed_dim),
            ("encoder.depth", encoder.depth),
            ("encoder.num_heads", encoder.num_heads),
            ("encoder.mlp_ratio", encoder.mlp_ratio),
            ("encoder.token_grid", encoder.token_grid),
            ("encoder.patch_size", encoder.patch_size),
            ("encoder.window", encoder.window),
            ("encoder.sam_window", encoder.sam_window),
            ("encoder.neck_channels", encoder.neck_channels),
            ("decoder.head_channels", self.decoder.head_channels),
            ("decoder.hidden_channels", self.decoder.hidden_channels),
        ];
        for (field, value) in positive {
            check(value > 0 && value <= 1 << 16, field, value, "between 1 and 65536")?;
        }
        check(encoder.embed_dim.is_multiple_of(2), "encoder.embed_dim", encoder.embed_dim, "even")?;
        divides(encoder.num_heads, encoder.embed_dim, "encoder.embed_dim", "encoder.num_heads")?;
        check(encoder.depth.is_multiple_of(4), "encoder.depth", encoder.depth, "a multiple of 4")?;
        check(encoder.window.is_multiple_of(2), "encoder.window", encoder.window, "even")?;
        divides(encoder.window, encoder.token_grid, "encoder.token_grid", "encoder.window")?;
        divides(2 * encoder.token_grid, self.crop, "crop", "2 * encoder.token_grid")?;
        let aggregated = &self.decoder.levels;
        check_levels("decoder.levels", aggregated, &all_levels())?;
        if !aggregated.contains(&LEVELS) {
            // Blocks behind the last map would be dead weight.
            let (field, rule) = ("decoder.levels", format!("a list with level {LEVELS}"));
            return Err(ModelError::Levels { field, found: aggregated.clone(), rule });
        }
        if let Some(prompt) = &self.prompt {
            check_levels("prompt.levels", &prompt.levels, aggregated)?;
            let width = encoder.neck_channels;
            if prompt.features == PointFeatures::Positional {
                let rule = "half of encoder.neck_channels with prompt.features = \"positional\"";
                check(2 * prompt.num_pos_feats == width, "prompt.num_pos_feats", prompt.num_pos_feats, rule)?;
            }
            let positive = [
                ("prompt.depth", prompt.depth),
                ("prompt.num_heads", prompt.num_heads),
                ("prompt.mlp_dim", prompt.mlp_dim),
                ("prompt.global_queries", prompt.global_queries),
                ("prompt.attention_downsample_rate", prompt.attention_downsample_rate),
                ("prompt.num_pos_feats", prompt.num_pos_feats),
            ];
            for (field, value) in positive {
                check(value > 0 && value <= 1 << 16, field, value, "between 1 and 65536")?;
            }
            divides(
                prompt.num_heads * prompt.attention_downsample_rate,
                width,
                "encoder.neck_channels",
                "prompt.num_heads * prompt.attention_downsample_rate",
            )?;
        }
        Ok(())
    }
}

fn check(holds: bool, field: &'static str, found: usize, rule: &str) -> Result<(), ModelError> {
    if holds { Ok(()) } else { Err(ModelError::Config { field, found, rule: rule.to_owned() }) }
}

/// A list of levels ascends, has at least one, and all of `allowed`.
fn check_levels(field: &'static str, found: &[usize], allowed: &[usize]) -> Result<(), ModelError> {
    let ascends = found.windows(2).all(|pair| pair[0] < pair[1]);
    if ascends && !found.is_empty() && found.iter().all(|level| allowed.contains(level)) {
        return Ok(());
    }
    let rule = format!("an ascending list of levels out of {allowed:?}");
    Err(ModelError::Levels { field, found: found.to_vec(), rule })
}

fn divides(divisor: usize, value: usize, field: &'static str, divisor_name: &str) -> Result<(), ModelError> {
    let rule = format!("a multiple of {divisor_name} ({divisor})");
    check(value.is_multiple_of(divisor), field, value, &rule)
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

    #[test]
    fn levels_are_the_quarters() {
        assert_eq!(ModelConfig::vit_b().encoder.levels(), [2, 5, 8, 11]);
        assert_eq!(ModelConfig::vit_h().encoder.levels(), [7, 15, 23, 31]);
    }

    #[test]
    fn a_bad_size_names_its_field() {
        let broken = |change: fn(&mut ModelConfig)| {
            let mut config = ModelConfig::tiny();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(broken(|c| c.crop = 48).contains("crop"));
        assert!(broken(|c| c.encoder.token_grid = 12).contains("encoder.token_grid"));
        assert!(broken(|c| c.encoder.num_heads = 5).contains("encoder.num_heads"));
        assert!(broken(|c| c.encoder.depth = 0).contains("encoder.depth"));
        assert!(broken(|c| c.decoder.levels = vec![1, 2]).contains("a list with level 4"));
        assert!(broken(|c| c.decoder.levels = vec![4, 3]).contains("ascending"));
        assert!(broken(|c| c.decoder.levels = vec![]).contains("decoder.levels"));
        // A prompt in a map that nobody reads would be lost.
        let lost = broken(|c| {
            c.decoder.levels = vec![3, 4];
            c.prompt.as_mut().unwrap().levels = vec![2, 4];
        });
        assert!(lost.contains("prompt.levels") && lost.contains("[3, 4]"), "{lost}");
        let odd = broken(|c| {
            let prompt = c.prompt.as_mut().unwrap();
            (prompt.features, prompt.num_pos_feats) = (PointFeatures::Positional, 15);
        });
        assert!(odd.contains("prompt.num_pos_feats"), "{odd}");
    }
}
