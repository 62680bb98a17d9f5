//! SAM's checkpoints for the 2D SAM.

use std::{collections::BTreeMap, path::Path};

use sam3d_pickle::{Limits, read_file};
use tch::{Device, Tensor};

use super::{Sam2d, Sam2dConfig};
use crate::{ModelError, Preset, TensorFile, import::ImportError};

impl Sam2d {
    /// The network of SAM's checkpoint at `path`, a `.pth` as published (of which nothing is executed) or the same
    /// tensors as `.safetensors`. Its size follows from the tensors.
    ///
    /// # Errors
    /// [`ModelError`] if the file cannot be read, is no checkpoint of SAM, or lacks or has a tensor that SAM does not.
    pub fn read(path: &Path, device: Device, limits: &Limits) -> Result<Self, ModelError> {
        let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
        let tensors = if path.extension().is_some_and(|extension| extension == "safetensors") {
            TensorFile::read(path)?.tensors
        } else {
            read_state(path, limits)?
        };
        let preset = preset_of(&tensors).ok_or_else(|| {
            broken(
                "not a checkpoint of the 2D SAM in one of its sizes (vit_b, vit_l, vit_h); expected a file as SAM publishes it"
                    .to_owned(),
            )
        })?;
        let mut network = Self::new(&Sam2dConfig::of(preset), device, 0);
        network
            .load(&tensors)
            .map_err(|error| broken(format!("does not fit SAM's {}: {error}", preset.name())))?;
        Ok(network)
    }

    /// Copies `tensors` into the parameters of the same names. Both sides must agree in names and shapes.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first difference; the network is then unchanged.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        let parameters = self.parameters();
        let differs = |detail: String| Err(ModelError::Weights { detail });
        if let Some(name) = parameters.keys().find(|name| !tensors.contains_key(*name)) {
            return differs(format!("{name} is missing"));
        }
        for (name, tensor) in tensors {
            match parameters.get(name).map(Tensor::size) {
                None => return differs(format!("{name} is not a tensor of SAM")),
                Some(own) if own != tensor.size() => {
                    return differs(format!("{name} has shape {:?}, expected {own:?}", tensor.size()));
                }
                Some(_) => {}
            }
        }
        let _no_grad = tch::no_grad_guard();
        for (name, mut own) in parameters {
            own.f_copy_(&tensors[&name])?;
        }
        Ok(())
    }
}

/// Every tensor of the state dictionary in the file.
fn read_state(path: &Path, limits: &Limits) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let state = read_file(path, limits).map_err(ImportError::from)?;
    let mut tensors = BTreeMap::new();
    for (key, value) in state.as_dict().into_iter().flat_map(|dict| dict.iter()) {
        let Some(tensor) = value.as_tensor() else { continue };
        let key = key.to_string();
        let shape: Vec<i64> = tensor.shape().iter().map(|n| *n as i64).collect();
        let values = tensor.to_f32_vec().map_err(ImportError::from)?;
        let name = key.strip_prefix("module.").unwrap_or(&key).to_owned();
        tensors.insert(name, Tensor::f_from_slice(&values)?.f_reshape(shape.as_slice())?);
    }
    Ok(tensors)
}

/// The preset with as many channels and blocks as the image encoder in `tensors`.
fn preset_of(tensors: &BTreeMap<String, Tensor>) -> Option<Preset> {
    let channels = *tensors.get("image_encoder.patch_embed.proj.weight")?.size().first()? as usize;
    tensors.get("mask_decoder.iou_token.weight")?;
    let blocks = tensors.keys().filter(|name| name.ends_with(".attn.qkv.weight")).count();
    Preset::ALL.into_iter().find(|preset| {
        let encoder = preset.config().encoder;
        encoder.embed_dim == channels && encoder.depth == blocks
    })
}
