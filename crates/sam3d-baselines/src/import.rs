//! Import of the published programs' weights. Nothing in a file is executed.

use std::{collections::BTreeMap, path::Path};

use sam3d_model::{ModelError, Provenance, read_tensors};
use sam3d_pickle::Limits;
use tch::{Device, Tensor};

use crate::{
    Baseline, BaselineMetadata, FORMAT_VERSION, NetworkConfig,
    nnunet::{is_version_1, name_from_version_1},
};

/// Keys of the state dictionary in a file: of the published training code, MONAI and nnU-Net's version 1, nnU-Net's version 2.
const PARTS: [&str; 3] = ["network_dict", "state_dict", "network_weights"];

/// Prefix of Swin-UNETR's encoder.
const SWIN_ENCODER: &str = "swinViT.";

/// The network with the weights of a `.pth`, `.pth.tar`, `.pt` or `.model` file of the published programs, or of a
/// `.safetensors` file with the same names. Its sizes are the first of `layouts` that the file's names and shapes fit,
/// for instance [`Method::layouts`](crate::Method::layouts).
///
/// # Errors
/// [`ModelError`] if the file is refused, or names or shapes differ from what every one of `layouts` asks for; it then
/// names the first difference from the first of them.
pub fn convert(
    path: &Path,
    layouts: &[NetworkConfig],
    limits: &Limits,
) -> Result<(Baseline, BaselineMetadata), ModelError> {
    let saved = read_tensors(path, &PARTS, limits)?;
    let mut first = None;
    for config in layouts {
        match network(&saved, config) {
            Ok(network) => return Ok((network, metadata(path, config))),
            Err(error) => {
                let title = config.method().title();
                first.get_or_insert_with(|| format!("does not fit {title}: {error}"));
            }
        }
    }
    Err(broken(path, first.unwrap_or_else(|| "no network to fit it to".to_owned())))
}

/// The network of `config` with the tensors of a published file.
fn network(saved: &BTreeMap<String, Tensor>, config: &NetworkConfig) -> Result<Baseline, ModelError> {
    let named = |(name, tensor): (&String, &Tensor)| Some((published(name, config)?, tensor.shallow_clone()));
    let mut network = Baseline::new(config, Device::Cpu, 0)?;
    network.load(&saved.iter().filter_map(named).collect())?;
    Ok(network)
}

fn metadata(path: &Path, config: &NetworkConfig) -> BaselineMetadata {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    BaselineMetadata {
        format_version: FORMAT_VERSION,
        network: config.clone(),
        preprocessing: None,
        provenance: Provenance {
            written_by: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
            source: format!("converted from {file}"),
            ..Provenance::default()
        },
    }
}

impl Baseline {
    /// Starts Swin-UNETR's encoder from MONAI's self-supervised weights, as published; other weights are unchanged.
    ///
    /// # Errors
    /// [`ModelError`] if the file is refused or lacks a part of the encoder, or this is another network.
    pub fn load_swin_encoder(&mut self, path: &Path, limits: &Limits) -> Result<(), ModelError> {
        let NetworkConfig::SwinUnetr(_) = self.config() else {
            let title = self.config().method().title();
            let detail = format!("{title} has no published weights to start from; they are Swin-UNETR's");
            return Err(broken(path, detail));
        };
        let mut tensors = self.tensors();
        let mut missing: Vec<String> =
            tensors.keys().filter(|name| name.starts_with(SWIN_ENCODER)).cloned().collect();
        for (name, tensor) in read_tensors(path, &PARTS, limits)? {
            // The file holds heads of the self-supervised tasks as well.
            let name = monai_encoder(&name);
            if let Some(index) = missing.iter().position(|other| *other == name) {
                missing.swap_remove(index);
                tensors.insert(name, tensor);
            }
        }
        if let Some(name) = missing.first() {
            return Err(broken(
                path,
                format!("{name} is missing, expected MONAI's file of Swin-UNETR's encoder"),
            ));
        }
        self.load(&tensors).map_err(|error| broken(path, error.to_string()))
    }
}

/// The name here of what a published checkpoint of `config`'s network calls `name`; `None` for what is computed, counted
/// without being read, or held a second time under another name.
fn published(name: &str, config: &NetworkConfig) -> Option<String> {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let dropped = ["relative_position_index", "attn_mask", "num_batches_tracked"].contains(&leaf);
    let repeated = match config {
        NetworkConfig::Nnunet(_) => name.contains(".all_modules.") || name.starts_with("decoder.encoder."),
        NetworkConfig::UnetrPp(_) => name.contains(".epa_block.F."),
        _ => false,
    };
    if dropped || repeated {
        return None;
    }
    match config {
        NetworkConfig::Nnunet(config) if is_version_1(name) => {
            // A name that cannot be read stays, to be refused by name.
            Some(name_from_version_1(name, config.stages.len()).unwrap_or_else(|| name.to_owned()))
        }
        _ => Some(name.to_owned()),
    }
}

/// The name here of a tensor of MONAI's file of the encoder.
fn monai_encoder(name: &str) -> String {
    format!(
        "{SWIN_ENCODER}{}",
        name.replace(".mlp.fc1.", ".mlp.linear1.").replace(".mlp.fc2.", ".mlp.linear2.")
    )
}

fn broken(path: &Path, detail: String) -> ModelError {
    ModelError::Checkpoint { path: path.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sam3d_model::TensorFile;
    use sam3d_testkit::golden_json;

    use super::*;
    use crate::{Method, Size};

    /// Everything that the published programs save, aliases and buffers included, becomes the network's names.
    #[test]
    fn published_names_become_the_networks() {
        for method in Method::ALL {
            let config = method.config(Size::Published);
            let golden = golden_json(&format!("baselines/{}.json", method.name()));
            let names = |part: &str| golden[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            let saved = [names("state_dict"), names("aliases"), names("buffers")].concat();
            let found: BTreeSet<String> = saved.iter().filter_map(|name| published(name, &config)).collect();
            let own: BTreeSet<String> =
                Baseline::new(&config, Device::Cpu, 0).unwrap().tensors().into_keys().collect();
            assert_eq!(found, own, "{method:?}");
        }
    }

    #[test]
    fn monai_names_become_the_encoders() {
        assert_eq!(
            monai_encoder("layers1.0.blocks.0.mlp.fc1.weight"),
            "swinViT.layers1.0.blocks.0.mlp.linear1.weight"
        );
        assert_eq!(monai_encoder("patch_embed.proj.bias"), "swinViT.patch_embed.proj.bias");
    }

    /// Whatever layout the file has, its sizes are found, and faults stay as they were asked for.
    #[test]
    fn the_layout_follows_from_the_tensors() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("saved.safetensors");
        let config = Method::UxNet.config(Size::Small);
        let network = Baseline::new(&config, Device::Cpu, 3).unwrap();
        let tensors = network.tensors().into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor));
        TensorFile { tensors: tensors.collect(), ..TensorFile::default() }.write(&path).unwrap();
        let (found, metadata) = convert(&path, &Method::UxNet.layouts(), &Limits::default()).unwrap();
        assert_eq!(metadata.network, config);
        for (name, tensor) in network.tensors() {
            assert_eq!(found.tensors()[&name], tensor, "{name}");
        }
        let error = convert(&path, &Method::UnetrPp.layouts(), &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("does not fit UNETR++") && error.contains("missing"), "{error}");
    }

    #[test]
    fn a_file_of_another_network_is_refused() {
        let path = sam3d_testkit::golden_path("tiny_adapter.pth.tar");
        let error = convert(&path, &Method::UxNet.layouts(), &Limits::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("tiny_adapter.pth.tar") && text.contains("expected a tensor"), "{text}");
        let mut network = Baseline::new(&Method::UxNet.config(Size::Small), Device::Cpu, 0).unwrap();
        let text = network.load_swin_encoder(&path, &Limits::default()).unwrap_err().to_string();
        assert!(text.contains("Swin-UNETR's"), "{text}");
    }
}
