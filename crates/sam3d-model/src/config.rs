//! The network's configuration: the sizes of its parts and the extensions added to them.

use std::fmt::Display;

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
    /// Blocks with global attention in SAM. Here they attend in windows like the others, but their tables of relative
    /// positions are longer.
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
    /// How the encoder is tuned.
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
    /// The features that represent a click.
    #[serde(default)]
    pub features: PointFeatures,
    /// Whether a learned embedding of a point's label is added to its feature. An extension of this project: the
    /// published network has no labels.
    #[serde(default, skip_serializing_if = "is_false")]
    pub point_labels: bool,
    /// Whether dense prompts (previous mask, regions, scribbles) are encoded and added to the deepest map. Requires
    /// `point_labels`. An extension of this project.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dense_prompts: bool,
    /// Whether clicks are also drawn into the channels of scribbles, as cubes of 3 voxels, so that the network knows their
    /// places. Requires `dense_prompts`. An extension of this project.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clicks_as_scribbles: bool,
}

impl PromptConfig {
    /// Turns dense prompts on, and with them labelled points.
    pub fn enable_dense_prompts(&mut self) {
        self.point_labels = true;
        self.dense_prompts = true;
    }
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

/// Number of the encoder's feature maps: one after each quarter of its blocks.
pub(crate) const LEVELS: usize = 4;

fn is_false(value: &bool) -> bool {
    !value
}

pub(crate) fn deepest_level() -> Vec<usize> {
    vec![LEVELS]
}

pub(crate) fn all_levels() -> Vec<usize> {
    (1..=LEVELS).collect()
}

/// The features that represent a click in the prompt encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointFeatures {
    /// The feature of the map under the click.
    #[default]
    VisualSampler,
    /// Random Fourier features of the click's place, and of the tokens' places where the map reads the queries.
    Positional,
}

impl EncoderConfig {
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
    /// The prompt-free variant of this network on crops of side `crop` (published: 256).
    pub fn auto(mut self, crop: usize) -> Self {
        self.prompt = None;
        self.crop = crop;
        self
    }

    /// Checks that the sizes are compatible.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field and the values allowed.
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
        // Blocks after the last aggregated map would have no effect.
        let rule = format!("a list with level {LEVELS}");
        check(aggregated.contains(&LEVELS), "decoder.levels", format!("{aggregated:?}"), &rule)?;
        if let Some(prompt) = &self.prompt {
            check_levels("prompt.levels", &prompt.levels, aggregated)?;
            if prompt.dense_prompts {
                let rule = format!("a list with level {LEVELS} with prompt.dense_prompts");
                check(
                    prompt.levels.contains(&LEVELS),
                    "prompt.levels",
                    format!("{:?}", prompt.levels),
                    &rule,
                )?;
                let rule = "true with prompt.dense_prompts";
                check(prompt.point_labels, "prompt.point_labels", prompt.point_labels, rule)?;
            }
            if prompt.clicks_as_scribbles {
                let rule = "true with prompt.clicks_as_scribbles";
                check(prompt.dense_prompts, "prompt.dense_prompts", prompt.dense_prompts, rule)?;
            }
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

fn check(holds: bool, field: &'static str, found: impl Display, rule: &str) -> Result<(), ModelError> {
    if holds {
        return Ok(());
    }
    Err(ModelError::Config { field, found: found.to_string(), rule: rule.to_owned() })
}

/// A list of levels is not empty, ascends, and has only levels of `allowed`.
fn check_levels(field: &'static str, found: &[usize], allowed: &[usize]) -> Result<(), ModelError> {
    let ascends = found.windows(2).all(|pair| pair[0] < pair[1]);
    let holds = ascends && !found.is_empty() && found.iter().all(|level| allowed.contains(level));
    check(holds, field, format!("{found:?}"), &format!("an ascending list of levels out of {allowed:?}"))
}

fn divides(divisor: usize, value: usize, field: &'static str, divisor_name: &str) -> Result<(), ModelError> {
    let rule = format!("a multiple of {divisor_name} ({divisor})");
    check(value.is_multiple_of(divisor), field, value, &rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_files_do_not_know_is_off_and_not_written() {
        let text = serde_json::to_string(&ModelConfig::tiny()).unwrap();
        for field in ["dense_prompts", "point_labels", "clicks_as_scribbles"] {
            assert!(!text.contains(field), "{text}");
        }
        let mut config: ModelConfig = serde_json::from_str(&text).unwrap();
        let prompt = config.prompt.as_mut().unwrap();
        assert!(!prompt.dense_prompts && !prompt.point_labels);
        prompt.enable_dense_prompts();
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
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
        // A prompt in a map that is not aggregated would have no effect.
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
        // Dense prompts are added to the deepest map, and want labelled points.
        let dense = broken(|c| {
            let prompt = c.prompt.as_mut().unwrap();
            prompt.enable_dense_prompts();
            prompt.levels = vec![2, 3];
        });
        assert!(dense.contains("prompt.levels is [2, 3], expected it to be a list with level 4"), "{dense}");
        let unlabelled = broken(|c| c.prompt.as_mut().unwrap().dense_prompts = true);
        let drawn = broken(|c| c.prompt.as_mut().unwrap().clicks_as_scribbles = true);
        assert!(drawn.contains("prompt.dense_prompts is false, expected it to be true"), "{drawn}");
        assert!(unlabelled.contains("prompt.point_labels is false, expected it to be true"), "{unlabelled}");
    }
}
