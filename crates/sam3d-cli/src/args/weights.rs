use std::{convert::Infallible, path::PathBuf, str::FromStr};

use sam3d_infer::Weights;

/// `--weights` of the command line: the name of built-in weights, or a path. A file that has such a name is typed as
/// `./NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsArg {
    /// Weights that are on this computer.
    Local(Weights),
}

impl FromStr for WeightsArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::Local(Weights::built_in(text).unwrap_or_else(|| Weights::File(PathBuf::from(text)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_built_in_name_is_a_path() {
        assert_eq!("a/b.safetensors".parse(), Ok(WeightsArg::Local(Weights::File("a/b.safetensors".into()))));
        for weights in sam3d_infer::BUILT_IN {
            assert_eq!(weights.name.parse(), Ok(WeightsArg::Local(Weights::BuiltIn(*weights))));
            let path = format!("./{}", weights.name);
            assert_eq!(path.parse(), Ok(WeightsArg::Local(Weights::File(path.into()))));
        }
    }
}
