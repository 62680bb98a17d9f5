//! Sizes of the 2D SAM.

use crate::{EncoderConfig, Preset};

/// The whole of SAM as published, for one of its image encoders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sam2dConfig {
    /// The image encoder. Its attention window and its global blocks are SAM's own; `window` and `token_grid` of the
    /// volume's encoder are not used.
    pub encoder: EncoderConfig,
    /// Channels of the image embedding and of the decoder's tokens.
    pub channels: usize,
    /// Layers of the mask decoder's two-way transformer.
    pub decoder_depth: usize,
    /// Its attention heads.
    pub decoder_heads: usize,
    /// Hidden width of its MLPs.
    pub decoder_mlp_dim: usize,
    /// Hidden width of the head that predicts the masks' IoU.
    pub iou_hidden: usize,
}

/// Masks for one prompt, from the part to the whole.
pub const MASKS: i64 = 3;

impl Sam2dConfig {
    /// The 2D SAM with the image encoder of `preset`.
    pub fn of(preset: Preset) -> Self {
        let model = preset.config();
        let channels = model.encoder.neck_channels;
        let (decoder_heads, decoder_mlp_dim, iou_hidden) = match preset {
            Preset::Tiny => (4, 64, 32),
            Preset::VitB | Preset::VitL | Preset::VitH => (8, 2048, 256),
        };
        Self {
            encoder: model.encoder,
            channels,
            decoder_depth: 2,
            decoder_heads,
            decoder_mlp_dim,
            iou_hidden,
        }
    }

    /// Side of the token grid: twice that of the volume's encoder, which pools SAM's positions.
    pub fn grid(&self) -> usize {
        2 * self.encoder.token_grid
    }

    /// Side of the square image the encoder sees, in pixels.
    pub fn image_side(&self) -> usize {
        self.grid() * self.encoder.patch_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_the_published_ones() {
        assert_eq!(Sam2dConfig::of(Preset::Tiny).image_side(), 512);
        for preset in [Preset::VitB, Preset::VitL, Preset::VitH] {
            assert_eq!(Sam2dConfig::of(preset).image_side(), 1024);
        }
    }
}
