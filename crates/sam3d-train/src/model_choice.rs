//! The network to train, as written in the configuration.

use sam3d_model::{ModelConfig, Preset};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A preset by name or a configuration in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ModelChoice {
    /// A preset.
    Preset(Preset),
    /// A network with sizes of its own.
    Custom(Box<ModelConfig>),
}

impl ModelChoice {
    /// The configuration chosen.
    pub fn config(&self) -> ModelConfig {
        match self {
            Self::Preset(preset) => preset.config(),
            Self::Custom(config) => (**config).clone(),
        }
    }
}

impl<'de> Deserialize<'de> for ModelChoice {
    /// By hand, so that a mistake in a table names its field; an untagged enum would only say that nothing fits.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ModelChoice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tiny, vit_b, vit_l, vit_h or a table of sizes")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ModelChoice, E> {
                Preset::deserialize(de::value::StrDeserializer::new(name)).map(ModelChoice::Preset)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ModelChoice, A::Error> {
                let config = ModelConfig::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(ModelChoice::Custom(Box::new(config)))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
