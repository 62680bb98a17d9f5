//! The comparison methods and their configurations.

use sam3d_model::ModelError;
use serde::{Deserialize, Serialize};

use crate::{
    nnformer::NnformerConfig, nnunet::NnunetConfig, swin_unetr::SwinUnetrConfig, transbts::TransbtsConfig,
    unetr_pp::UnetrPpConfig, ux_net::UxNetConfig,
};

/// A comparison method, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// nnU-Net's network.
    Nnunet,
    /// TransBTS.
    Transbts,
    /// nnFormer.
    Nnformer,
    /// Swin-UNETR.
    SwinUnetr,
    /// UNETR++.
    UnetrPp,
    /// 3D UX-Net.
    UxNet,
}

/// The size of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// The published sizes, crop 64 x 160 x 160.
    #[default]
    Published,
    /// Every part of the network at a size for tests and CPUs, crop 32 x 64 x 64.
    Small,
}

impl Size {
    /// Every size.
    pub const ALL: [Self; 2] = [Self::Published, Self::Small];

    /// The name on the command line and in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Small => "small",
        }
    }
}

impl Method {
    /// Every method, in the order of the published table.
    pub const ALL: [Self; 6] =
        [Self::Nnunet, Self::Transbts, Self::Nnformer, Self::SwinUnetr, Self::UnetrPp, Self::UxNet];

    /// The name on the command line and in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nnunet => "nnunet",
            Self::Transbts => "transbts",
            Self::Nnformer => "nnformer",
            Self::SwinUnetr => "swin_unetr",
            Self::UnetrPp => "unetr_pp",
            Self::UxNet => "ux_net",
        }
    }

    /// The name in the literature.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nnunet => "nnU-Net",
            Self::Transbts => "TransBTS",
            Self::Nnformer => "nnFormer",
            Self::SwinUnetr => "Swin-UNETR",
            Self::UnetrPp => "UNETR++",
            Self::UxNet => "3D UX-Net",
        }
    }

    /// The method called `name` on the command line.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The configurations a file of weights can belong to: the published sizes, those of nnU-Net's version 1, and the small
    /// ones.
    pub fn layouts(self) -> Vec<NetworkConfig> {
        let mut layouts = vec![self.config(Size::Published), self.config(Size::Small)];
        if self == Self::Nnunet {
            layouts.insert(1, NetworkConfig::Nnunet(NnunetConfig::version_1()));
        }
        layouts
    }

    /// The configuration of `size`.
    pub fn config(self, size: Size) -> NetworkConfig {
        let published = size == Size::Published;
        macro_rules! preset {
            ($variant:ident, $config:ident) => {
                NetworkConfig::$variant(if published { $config::published() } else { $config::small() })
            };
        }
        match self {
            Self::Nnunet => preset!(Nnunet, NnunetConfig),
            Self::Transbts => preset!(Transbts, TransbtsConfig),
            Self::Nnformer => preset!(Nnformer, NnformerConfig),
            Self::SwinUnetr => preset!(SwinUnetr, SwinUnetrConfig),
            Self::UnetrPp => preset!(UnetrPp, UnetrPpConfig),
            Self::UxNet => preset!(UxNet, UxNetConfig),
        }
    }
}

/// One network with its sizes. Saved with every checkpoint; enough to build it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum NetworkConfig {
    /// nnU-Net's network.
    Nnunet(NnunetConfig),
    /// TransBTS.
    Transbts(TransbtsConfig),
    /// nnFormer.
    Nnformer(NnformerConfig),
    /// Swin-UNETR.
    SwinUnetr(SwinUnetrConfig),
    /// UNETR++.
    UnetrPp(UnetrPpConfig),
    /// 3D UX-Net.
    UxNet(UxNetConfig),
}

impl NetworkConfig {
    /// Which network it is.
    pub fn method(&self) -> Method {
        match self {
            Self::Nnunet(_) => Method::Nnunet,
            Self::Transbts(_) => Method::Transbts,
            Self::Nnformer(_) => Method::Nnformer,
            Self::SwinUnetr(_) => Method::SwinUnetr,
            Self::UnetrPp(_) => Method::UnetrPp,
            Self::UxNet(_) => Method::UxNet,
        }
    }

    /// Sides of the crop the network takes, (D, H, W).
    pub fn crop(&self) -> [usize; 3] {
        match self {
            Self::Nnunet(config) => config.crop,
            Self::Transbts(config) => config.crop,
            Self::Nnformer(config) => config.crop,
            Self::SwinUnetr(config) => config.crop,
            Self::UnetrPp(config) => config.crop,
            Self::UxNet(config) => config.crop,
        }
    }

    /// Corrects the published fault, where there is one whose correction keeps the parameters' shapes: the patch merging
    /// of Swin-UNETR and the relative positions of nnFormer.
    ///
    /// # Errors
    /// [`ModelError::Config`] for a network without such a fault.
    pub fn correct(&mut self) -> Result<(), ModelError> {
        match self {
            Self::SwinUnetr(config) => config.corrected = true,
            Self::Nnformer(config) => config.corrected = true,
            _ => {
                let rule = format!("false: {} has no fault to correct", self.method().title());
                return Err(ModelError::Config { field: "corrected", found: "true".to_owned(), rule });
            }
        }
        Ok(())
    }

    /// Whether the published fault is corrected; `None` for a network without one that can be.
    pub fn is_corrected(&self) -> Option<bool> {
        match self {
            Self::SwinUnetr(config) => Some(config.corrected),
            Self::Nnformer(config) => Some(config.corrected),
            _ => None,
        }
    }

    /// Checks that the sizes are compatible.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the field and the values allowed.
    pub fn validate(&self) -> Result<(), ModelError> {
        match self {
            Self::Nnunet(config) => config.validate(),
            Self::Transbts(config) => config.validate(),
            Self::Nnformer(config) => config.validate(),
            Self::SwinUnetr(config) => config.validate(),
            Self::UnetrPp(config) => config.validate(),
            Self::UxNet(config) => config.validate(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()), Some(method));
            for size in [Size::Published, Size::Small] {
                let config = method.config(size);
                config.validate().unwrap();
                assert_eq!(config.method(), method);
                let text = serde_json::to_string(&config).unwrap();
                assert!(text.contains(method.name()), "{text}");
                assert_eq!(serde_json::from_str::<NetworkConfig>(&text).unwrap(), config);
                assert!(serde_json::from_str::<NetworkConfig>(&text.replace("crop", "corp")).is_err());
            }
        }
        NetworkConfig::Nnunet(NnunetConfig::version_1()).validate().unwrap();
    }

    #[test]
    fn two_networks_can_be_corrected() {
        for method in Method::ALL {
            let mut config = method.config(Size::Small);
            let has_fault = matches!(method, Method::SwinUnetr | Method::Nnformer);
            assert_eq!(config.is_corrected(), has_fault.then_some(false));
            match config.correct() {
                Ok(()) => assert!(has_fault, "{method:?}"),
                Err(error) => {
                    assert!(!has_fault && matches!(error, ModelError::Config { .. }), "{method:?}: {error}");
                }
            }
            assert_eq!(config.is_corrected(), has_fault.then_some(true));
        }
    }

    #[test]
    fn a_bad_size_names_its_field() {
        for method in Method::ALL {
            let text = serde_json::to_string(&method.config(Size::Small)).unwrap();
            let text = text.replace("[32,64,64]", "[32,64,63]");
            let config: NetworkConfig = serde_json::from_str(&text).unwrap();
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains("crop is 63"), "{error}");
        }
        let config = NnformerConfig { windows: [4, 4, 5, 2], ..NnformerConfig::small() };
        assert!(config.validate().unwrap_err().to_string().contains("windows is 5"));
        let config = UnetrPpConfig { attention_dropout: 1.5, ..UnetrPpConfig::small() };
        assert!(config.validate().unwrap_err().to_string().contains("attention_dropout is 1.5"));
        let mut config = NnunetConfig::small();
        config.decoder_kernels.pop();
        assert!(config.validate().unwrap_err().to_string().contains("3 in number"));
    }
}
