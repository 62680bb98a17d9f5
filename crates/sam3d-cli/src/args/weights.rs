use std::{path::PathBuf, str::FromStr};

use sam3d_data::hub::{HubError, HubFile, SCHEME};
use sam3d_infer::Weights;

/// `--weights` of the command line: the name of built-in weights, an address of Hugging Face's hub, or a path. A file that has
/// the name of built-in weights is typed as `./NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsArg {
    /// Weights that are on this computer.
    Local(Weights),
    /// Weights in a repository of the hub, or in the cache of downloads from there.
    Hub(HubFile),
}

impl FromStr for WeightsArg {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(SCHEME) {
            return text.parse().map(Self::Hub);
        }
        Ok(Self::Local(Weights::built_in(text).unwrap_or_else(|| Weights::File(PathBuf::from(text)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> WeightsArg {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_a_name_or_an_address() {
        assert_eq!(parse("a/b.safetensors"), WeightsArg::Local(Weights::File("a/b.safetensors".into())));
        for weights in sam3d_infer::BUILT_IN {
            assert_eq!(parse(weights.name), WeightsArg::Local(Weights::BuiltIn(*weights)));
            let path = format!("./{}", weights.name);
            assert_eq!(parse(&path), WeightsArg::Local(Weights::File(path.into())));
        }
        let address = "hf://owner/repo@v1/w.safetensors";
        assert_eq!(parse(address), WeightsArg::Hub(address.parse().unwrap()));
        assert!("hf://owner/w.safetensors".parse::<WeightsArg>().is_err());
    }
}
