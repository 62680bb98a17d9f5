//! Conversion of other programs' weights to this project's checkpoints.

use std::{collections::BTreeMap, path::Path};

use sam3d_pickle::Limits;
use tch::{Device, Tensor};

use crate::{
    Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, ModelError, Preset, Provenance, Role, Sam3d,
    TensorFile,
    import::{CheckpointKind, read_state},
    weights::{from_pickle, is_safetensors},
};

/// Crop of the published prompt-free variant.
const AUTO_CROP: usize = 256;

/// What dense prompts add to the published network, by the parameters' names.
const ADDED_BY_DENSE_PROMPTS: [fn(&str) -> bool; 2] =
    [|name| name.starts_with("prompt_encoder.dense."), |name| name.ends_with(".point_labels")];

/// Options of a conversion.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// Size of the network; by the tensors' shapes if not given.
    pub preset: Option<Preset>,
    /// Seed of the parameters that the file does not hold.
    pub seed: u64,
    /// Add dense prompts and labelled points to a network without them. They start untrained: the result computes what the
    /// file's network does until it is trained.
    pub dense_prompts: bool,
    /// Limits on what a PyTorch file may claim.
    pub limits: Limits,
}

/// Reads SAM's `.pth`, a published `.pth.tar` or a `.safetensors` file and builds the network with its weights.
///
/// From SAM only the image encoder is taken; new parameters are drawn from the seed, and the relative positions
/// along depth start at the mean of SAM's two. Preprocessing is not part of those files, so the metadata has none.
///
/// # Errors
/// [`ModelError`] if the file is refused, has an unknown layout, does not fit the size, or is to take dense prompts but has
/// no prompt encoder.
pub fn convert(path: &Path, options: &ConvertOptions) -> Result<(Sam3d, Metadata), ModelError> {
    if is_safetensors(path) {
        return convert_safetensors(path, options);
    }
    let state = read_state(path, &options.limits)?;
    tracing::debug!(path = %path.display(), ignored = ?state.ignored, "entries that are not weights of the network");
    let tensors = state
        .tensors
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), from_pickle(tensor)?)))
        .collect::<Result<BTreeMap<_, _>, ModelError>>()?;
    let epoch = state.epoch.and_then(|epoch| u64::try_from(epoch).ok());
    let provenance = Provenance { epoch, validation_loss: state.best_val_loss, ..Provenance::default() };
    build(path, state.kind, &tensors, options, provenance)
}

fn convert_safetensors(path: &Path, options: &ConvertOptions) -> Result<(Sam3d, Metadata), ModelError> {
    let mut file = TensorFile::read(path)?;
    if file.is_described_by::<Metadata>() {
        let Checkpoint { metadata, tensors, .. } = Checkpoint::read(path)?;
        // The checkpoint written from this network holds every tensor.
        let mut metadata = Metadata { base: None, ..metadata };
        if options.dense_prompts {
            enable_dense_prompts(path, &mut metadata.model)?;
        }
        let mut network = Sam3d::new(&metadata.model, Device::Cpu, options.seed)?;
        load(&mut network, &tensors, options)?;
        return Ok((network, metadata));
    }
    let kind = if file.tensors.keys().any(|name| name.starts_with("mask_decoder.cls.")) {
        CheckpointKind::Published
    } else {
        CheckpointKind::Sam
    };
    if kind == CheckpointKind::Sam {
        file.tensors
            .retain(|name, _| name.starts_with("image_encoder.") && !name.starts_with("image_encoder.neck."));
    }
    build(path, kind, &file.tensors, options, Provenance::default())
}

fn build(
    path: &Path,
    kind: CheckpointKind,
    tensors: &BTreeMap<String, Tensor>,
    options: &ConvertOptions,
    provenance: Provenance,
) -> Result<(Sam3d, Metadata), ModelError> {
    let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
    let preset = match options.preset {
        Some(preset) => preset,
        None => preset_of(tensors).ok_or_else(|| ModelError::SizeUnknown { path: path.to_owned() })?,
    };
    let mut config = match kind {
        CheckpointKind::Published if !tensors.keys().any(|name| name.starts_with("prompt_encoder.")) => {
            preset.config().auto(AUTO_CROP)
        }
        _ => preset.config(),
    };
    if options.dense_prompts {
        enable_dense_prompts(path, &mut config)?;
    }
    let mut network = Sam3d::new(&config, Device::Cpu, options.seed)?;
    let fits = |error: ModelError| broken(format!("does not fit {}: {error}", preset.name()));
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let source = match kind {
        CheckpointKind::Published => {
            load(&mut network, tensors, options).map_err(fits)?;
            format!("converted from {name}")
        }
        CheckpointKind::Sam => {
            check_backbone(&network, tensors).map_err(fits)?;
            network.load_some(tensors).map_err(fits)?;
            network.reset_depth_positions();
            format!(
                "image encoder converted from {name} (SAM), all other weights random and still to be trained"
            )
        }
    };
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        model: config,
        preprocessing: None,
        provenance: Provenance {
            written_by: concat!("sam3d ", env!("CARGO_PKG_VERSION")).to_owned(),
            source,
            ..provenance
        },
        base: None,
    };
    Ok((network, metadata))
}

fn enable_dense_prompts(path: &Path, config: &mut ModelConfig) -> Result<(), ModelError> {
    let Some(prompt) = &mut config.prompt else {
        let detail = "holds the prompt-free network, which has no encoder to add dense prompts to".to_owned();
        return Err(ModelError::Checkpoint { path: path.to_owned(), detail });
    };
    prompt.enable_dense_prompts();
    Ok(())
}

/// Loads all parameters. If `options` ask for dense prompts, those of their parts that the file lacks altogether stay
/// untrained.
fn load(
    network: &mut Sam3d,
    tensors: &BTreeMap<String, Tensor>,
    options: &ConvertOptions,
) -> Result<(), ModelError> {
    if !options.dense_prompts {
        return network.load(tensors);
    }
    let absent: Vec<_> = ADDED_BY_DENSE_PROMPTS
        .into_iter()
        .filter(|is_added| !tensors.keys().any(|name| is_added(name)))
        .collect();
    let mut tensors: BTreeMap<String, Tensor> =
        tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    let own = network.parameters().into_iter();
    tensors.extend(own.filter(|(name, _)| absent.iter().any(|is_added| is_added(name))));
    network.load(&tensors)
}

/// Checks that every frozen tensor is in the file: training would never change a random one.
fn check_backbone(network: &Sam3d, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
    let missing = network.parameters().into_keys().find(|name| {
        // `lr` is a constant of the method, 1.
        network.role(name) == Role::Frozen && !name.ends_with(".attn.lr") && !tensors.contains_key(name)
    });
    match missing {
        Some(name) => Err(ModelError::Weights { detail: format!("{name} is missing") }),
        None => Ok(()),
    }
}

/// The preset with as many channels and blocks as the image encoder in `tensors`.
fn preset_of(tensors: &BTreeMap<String, Tensor>) -> Option<Preset> {
    let channels = *tensors.get("image_encoder.patch_embed.proj.weight")?.size().first()? as usize;
    let blocks = tensors.keys().filter(|name| name.ends_with(".attn.qkv.weight")).count();
    Preset::ALL.into_iter().find(|preset| {
        let ModelConfig { encoder, .. } = preset.config();
        encoder.embed_dim == channels && encoder.depth == blocks
    })
}
