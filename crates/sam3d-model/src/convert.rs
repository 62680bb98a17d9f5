//! Weights of other programs become a checkpoint of this project.

use std::{collections::BTreeMap, path::Path};

use sam3d_pickle::Limits;
use tch::{Device, Tensor};

use crate::{
    Checkpoint, FORMAT_VERSION, Metadata, ModelConfig, ModelError, Preset, Provenance, Role, Sam3d,
    TensorFile,
    import::{CheckpointKind, read_state},
};

/// Crop of the published prompt-free variant.
const AUTO_CROP: usize = 256;

/// Reads SAM's `.pth`, a published `.pth.tar` or a `.safetensors` file and builds the network with its weights.
///
/// From SAM only the image encoder is taken; what is new starts at random from `seed`, and the relative positions along
/// depth at the mean of SAM's two. Without `preset` the size follows from the tensors' shapes. Preprocessing is not part
/// of those files, so the metadata has none.
///
/// # Errors
/// [`ModelError`] if the file is refused, is of no known layout, or does not fit the size.
pub fn convert(
    path: &Path,
    preset: Option<Preset>,
    seed: u64,
    limits: &Limits,
) -> Result<(Sam3d, Metadata), ModelError> {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return convert_safetensors(path, preset, seed);
    }
    let state = read_state(path, limits)?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in &state.tensors {
        let shape: Vec<i64> = tensor.shape().iter().map(|n| *n as i64).collect();
        let values = tensor.to_f32_vec().map_err(|error| ModelError::Import(error.into()))?;
        tensors.insert(name.clone(), Tensor::f_from_slice(&values)?.f_reshape(shape.as_slice())?);
    }
    let epoch = state.epoch.and_then(|epoch| u64::try_from(epoch).ok());
    let provenance = Provenance { epoch, validation_loss: state.best_val_loss, ..Provenance::default() };
    build(path, state.kind, &tensors, preset, seed, provenance)
}

fn convert_safetensors(
    path: &Path,
    preset: Option<Preset>,
    seed: u64,
) -> Result<(Sam3d, Metadata), ModelError> {
    let mut file = TensorFile::read(path)?;
    if file.is_described_by::<Metadata>() {
        let checkpoint = Checkpoint::read(path)?;
        // What is written from the network will hold every tensor.
        let metadata = Metadata { base: None, ..checkpoint.metadata.clone() };
        return Ok((checkpoint.into_network(Device::Cpu)?, metadata));
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
    build(path, kind, &file.tensors, preset, seed, Provenance::default())
}

fn build(
    path: &Path,
    kind: CheckpointKind,
    tensors: &BTreeMap<String, Tensor>,
    preset: Option<Preset>,
    seed: u64,
    provenance: Provenance,
) -> Result<(Sam3d, Metadata), ModelError> {
    let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
    let preset = match preset {
        Some(preset) => preset,
        None => preset_of(tensors).ok_or_else(|| {
            broken(
                "the tensors fit none of tiny, vit_b, vit_l and vit_h; name the size with --model".to_owned(),
            )
        })?,
    };
    let config = match kind {
        CheckpointKind::Published if !tensors.keys().any(|name| name.starts_with("prompt_encoder.")) => {
            preset.config().auto(AUTO_CROP)
        }
        _ => preset.config(),
    };
    let mut network = Sam3d::new(&config, Device::Cpu, seed)?;
    let fits = |error: ModelError| broken(format!("does not fit {}: {error}", preset.name()));
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let source = match kind {
        CheckpointKind::Published => {
            network.load(tensors).map_err(fits)?;
            format!("converted from {name}")
        }
        CheckpointKind::Sam => {
            check_backbone(&network, tensors).map_err(fits)?;
            network.load_some(tensors).map_err(fits)?;
            network.reset_depth_positions();
            format!("image encoder converted from {name} (SAM), everything else at random and to be trained")
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

/// Everything that stays frozen must come from SAM; a missing tensor would stay random for good.
fn check_backbone(network: &Sam3d, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
    let missing = network.parameters().into_keys().find(|name| {
        // `lr` is the method's own constant, 1.
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
