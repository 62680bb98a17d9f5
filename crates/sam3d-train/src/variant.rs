//! Variants of the network beside a preset's name: the prompt-free one, other ways of tuning, and the paper's ablations.

use sam3d_model::{ModelConfig, PointFeatures, Tuning};
use serde::{Deserialize, Serialize};

/// Side of the published crop, and that of the published prompt-free variant.
const CROPS: [usize; 2] = [128, 256];

/// Changes to the network that `model` names. Settings that are omitted change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VariantConfig {
    /// No prompts: the whole volume is segmented in windows.
    pub auto: bool,
    /// Side of the crop in voxels. With `auto` the published 128 becomes 256 if this is not given.
    pub crop: Option<usize>,
    /// The modules added to SAM's encoder and the part of it that is trained.
    pub tuning: Option<Tuning>,
    /// Levels of feature maps that the decoder aggregates, from 1 (shallow) to 4.
    pub aggregated_levels: Option<Vec<usize>>,
    /// Levels at which prompts are inserted.
    pub prompt_levels: Option<Vec<usize>>,
    /// The feature that represents a click.
    pub point_features: Option<PointFeatures>,
    /// Dense prompts (previous mask, regions, scribbles) beside clicks, and with them labelled points. The published method
    /// has neither.
    pub dense_prompts: bool,
    /// Clicks are drawn into the channels of scribbles as well, so that the network knows their places. Implies
    /// `dense_prompts`.
    pub clicks_as_scribbles: bool,
}

impl VariantConfig {
    /// Applies the changes to `model`.
    pub fn apply(&self, model: &mut ModelConfig) {
        if self.auto {
            model.prompt = None;
            if model.crop == CROPS[0] {
                model.crop = CROPS[1];
            }
        }
        if let Some(crop) = self.crop {
            model.crop = crop;
        }
        if let Some(tuning) = self.tuning {
            model.encoder.tuning = tuning;
        }
        if let Some(levels) = &self.aggregated_levels {
            model.decoder.levels.clone_from(levels);
        }
        if let Some(prompt) = &mut model.prompt {
            if let Some(levels) = &self.prompt_levels {
                prompt.levels.clone_from(levels);
            }
            prompt.features = self.point_features.unwrap_or(prompt.features);
            if self.dense_prompts || self.clicks_as_scribbles {
                prompt.enable_dense_prompts();
            }
            prompt.clicks_as_scribbles |= self.clicks_as_scribbles;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_nothing() {
        for preset in sam3d_model::Preset::ALL {
            let mut model = preset.config();
            VariantConfig::default().apply(&mut model);
            assert_eq!(model, preset.config());
        }
    }

    #[test]
    fn each_field_changes_its_own() {
        let changed = |text: &str| {
            let mut model = ModelConfig::vit_b();
            toml::from_str::<VariantConfig>(text).unwrap().apply(&mut model);
            model.validate().unwrap();
            model
        };
        assert_eq!(changed("auto = true"), ModelConfig::vit_b().auto(256));
        assert_eq!(changed("auto = true\ncrop = 192").crop, 192);
        assert_eq!(changed("tuning = 'st_adapter'").encoder.tuning, Tuning::StAdapter);
        assert_eq!(changed("aggregated_levels = [4]").decoder.levels, [4]);
        assert_eq!(changed("prompt_levels = [3, 4]").prompt.unwrap().levels, [3, 4]);
        let dense = changed("dense_prompts = true").prompt.unwrap();
        assert!(dense.dense_prompts && dense.point_labels && !dense.clicks_as_scribbles);
        let drawn = changed("clicks_as_scribbles = true").prompt.unwrap();
        assert!(drawn.clicks_as_scribbles && drawn.dense_prompts && drawn.point_labels);
        let positional = changed("point_features = 'positional'").prompt.unwrap();
        assert_eq!(positional.features, PointFeatures::Positional);
        assert!(toml::from_str::<VariantConfig>("tuning = 'lora'").is_err());
    }
}
