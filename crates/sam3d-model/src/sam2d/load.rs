//! Reading SAM's checkpoints.

use std::{collections::BTreeMap, path::Path};

use sam3d_pickle::Limits;
use tch::{Device, Tensor};

use super::{Sam2d, Sam2dConfig};
use crate::{ImportError, ModelError, Preset, load_all, read_tensors};

impl Sam2d {
    /// The network of SAM's checkpoint at `path`, a `.pth` as published (of which nothing is executed) or the same
    /// tensors as `.safetensors`. Its size follows from the tensors.
    ///
    /// # Errors
    /// [`ModelError`] if the file cannot be read, is not a checkpoint of SAM, or has missing or unknown tensors.
    pub fn read(path: &Path, device: Device, limits: &Limits) -> Result<Self, ModelError> {
        let broken = |detail: String| ModelError::Checkpoint { path: path.to_owned(), detail };
        let other = || {
            broken(
                "not a checkpoint of the 2D SAM in one of its sizes (vit_b, vit_l, vit_h); expected a file as SAM publishes it"
                    .to_owned(),
            )
        };
        let tensors = read_tensors(path, &[], limits).map_err(|error| match error {
            ModelError::Import(ImportError::NotADictionary { .. } | ImportError::NotATensor { .. }) => {
                other()
            }
            error => error,
        })?;
        let preset = preset_of(&tensors).ok_or_else(other)?;
        let mut network = Self::new(&Sam2dConfig::of(preset), device, 0);
        network
            .load(&tensors)
            .map_err(|error| broken(format!("does not fit SAM's {}: {error}", preset.name())))?;
        Ok(network)
    }

    /// Copies `tensors` into the parameters of the same names. Both sides must agree in names, shapes and types.
    ///
    /// # Errors
    /// [`ModelError::Weights`] for the first difference; the network is then unchanged.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>) -> Result<(), ModelError> {
        load_all(&self.parameters(), tensors, "SAM")
    }
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
