//! The whole 2D SAM: an image is embedded once, each set of clicks is decoded.

use std::collections::BTreeMap;

use sam3d_geom::PointLabel;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    config::Sam2dConfig, image::RgbImage, image_encoder::ImageEncoder2d, mask_decoder::MaskDecoder2d,
    prompt_encoder::PromptEncoder2d,
};
use crate::{ModelError, tch_ext::Path};

/// A click on an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelPoint {
    /// Column and row of a pixel, counted from 0, fractions allowed.
    pub xy: [f64; 2],
    /// Whether the pixel belongs to the target.
    pub label: PointLabel,
}

/// An embedded image.
#[derive(Debug)]
pub struct ImageEmbedding {
    /// `[1, C, G, G]`.
    pub(super) map: Tensor,
    size: [usize; 2],
    scaled: [usize; 2],
}

/// SAM's answer to a set of clicks: three masks, from the part to the whole.
#[derive(Debug)]
pub struct Masks {
    /// Logits at a quarter of the network's image side, `[3, S / 4, S / 4]`.
    pub low_resolution: Tensor,
    /// The predicted IoU of each mask.
    pub iou: [f64; 3],
    size: [usize; 2],
    scaled: [usize; 2],
    side: i64,
}

/// The 2D SAM with its parameters, which have the names in SAM's checkpoints.
#[derive(Debug)]
pub struct Sam2d {
    config: Sam2dConfig,
    store: VarStore,
    image_encoder: ImageEncoder2d,
    prompt_encoder: PromptEncoder2d,
    mask_decoder: MaskDecoder2d,
}

impl Sam2d {
    /// The network of `config` on `device` with random parameters drawn from `seed`.
    pub fn new(config: &Sam2dConfig, device: Device, seed: u64) -> Self {
        let _no_grad = tch::no_grad_guard();
        let store = VarStore::new(device);
        let root = Path::root(&store, seed);
        Self {
            image_encoder: ImageEncoder2d::new(&(&root / "image_encoder"), config),
            prompt_encoder: PromptEncoder2d::new(&(&root / "prompt_encoder"), config),
            mask_decoder: MaskDecoder2d::new(&(&root / "mask_decoder"), config),
            config: config.clone(),
            store,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Sam2dConfig {
        &self.config
    }

    /// Every tensor of a checkpoint by name, sorted. The tensors are the network's own, not copies.
    pub fn parameters(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// Embeds an image: its longest side is brought to the network's, bilinearly; it is normalised with SAM's mean and
    /// standard deviation, and padded with zeros at the right or below.
    ///
    /// # Errors
    /// [`ModelError::Torch`] if libtorch refuses, for lack of memory.
    pub fn embed(&self, image: &RgbImage) -> Result<ImageEmbedding, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let side = self.config.image_side();
        let scaled = image.scaled_size(side);
        let input = image.network_input(side)?.to_device(self.store.device());
        Ok(ImageEmbedding { map: self.image_encoder.forward(&input), size: image.size(), scaled })
    }

    /// The masks for `points`, given in pixels of the image.
    ///
    /// # Errors
    /// [`ModelError::PromptCount`] without points.
    pub fn decode(&self, image: &ImageEmbedding, points: &[PixelPoint]) -> Result<Masks, ModelError> {
        let _no_grad = tch::no_grad_guard();
        if points.is_empty() {
            return Err(ModelError::PromptCount { found: 0, expected: 1 });
        }
        let [height, width] = image.size;
        let [scaled_height, scaled_width] = image.scaled;
        let scale = [scaled_width as f64 / width as f64, scaled_height as f64 / height as f64];
        let scaled: Vec<PixelPoint> = points
            .iter()
            .map(|point| PixelPoint { xy: [point.xy[0] * scale[0], point.xy[1] * scale[1]], ..*point })
            .collect();
        let prompts = self.prompt_encoder.tokens(&scaled);
        let map = &image.map + self.prompt_encoder.no_mask();
        let (masks, iou) = self.mask_decoder.forward(&map, &self.prompt_encoder.places_of_grid(), &prompts);
        let iou = std::array::from_fn(|mask| iou.double_value(&[0, mask as i64]));
        let side = self.config.image_side() as i64;
        Ok(Masks { low_resolution: masks.squeeze_dim(0), iou, size: image.size, scaled: image.scaled, side })
    }
}

impl Masks {
    /// The mask with the highest predicted IoU.
    pub fn best(&self) -> usize {
        (0..self.iou.len()).max_by(|a, b| self.iou[*a].total_cmp(&self.iou[*b])).unwrap_or_default()
    }

    /// The logits of one mask at the image's own size: brought to the network's side, cut to what the image covers, and
    /// brought to the image's size, bilinearly. A pixel belongs to the mask where they are above 0.
    ///
    /// # Shapes
    /// `[height, width]`, row by row.
    ///
    /// # Errors
    /// [`ModelError::Torch`] if libtorch refuses, for lack of memory.
    pub fn logits(&self, mask: usize) -> Result<Vec<f32>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let [height, width] = self.scaled.map(|n| n as i64);
        let logits = self.low_resolution.f_get(mask as i64)?.unsqueeze(0).unsqueeze(0);
        let logits = logits
            .f_upsample_bilinear2d([self.side, self.side], false, None, None)?
            .narrow(2, 0, height)
            .narrow(3, 0, width);
        let size = self.size.map(|n| n as i64);
        let logits = if self.size == self.scaled {
            logits
        } else {
            logits.contiguous().f_upsample_bilinear2d(size, false, None, None)?
        };
        Ok(Vec::<f32>::try_from(logits.flatten(0, -1).to_kind(Kind::Float).to_device(Device::Cpu))?)
    }
}
