//! Swin-UNETR (Hatamizadeh et al., "Swin UNETR: Swin Transformers for Semantic Segmentation of Brain Tumors in MRI
//! Images", 2022), as MONAI 1.1.0 has it: a Swin encoder of four stages and a convolutional decoder on five maps.

mod block;
mod config;
mod encoder;
mod merging;

use tch::Tensor;

pub use self::config::SwinUnetrConfig;
use self::encoder::SwinVit;
use crate::{
    Mode,
    blocks::{ResBlock, UpBlock, head},
    layers::{Conv3d, Path},
    network::Observe,
};

/// The network.
#[derive(Debug)]
pub(crate) struct SwinUnetr {
    swin_vit: SwinVit,
    /// On the image and on maps 0, 1, 2 and 4; map 3 goes to the decoder unchanged.
    encoders: [ResBlock; 5],
    /// From the deepest, `decoder5`, to `decoder1`.
    decoders: [UpBlock; 5],
    out: Conv3d,
}

impl SwinUnetr {
    pub(crate) fn new(path: &Path<'_>, config: &SwinUnetrConfig) -> Self {
        let c = config.feature_size as i64;
        let encoder = |number: &str, inputs: i64, outputs: i64| {
            ResBlock::new(path / format!("encoder{number}") / "layer", inputs, outputs)
        };
        let decoder = |number: u8, inputs: i64, outputs: i64| {
            UpBlock::new(path / format!("decoder{number}"), inputs, outputs)
        };
        Self {
            swin_vit: SwinVit::new(&(path / "swinViT"), config),
            encoders: [
                encoder("1", 1, c),
                encoder("2", c, c),
                encoder("3", 2 * c, 2 * c),
                encoder("4", 4 * c, 4 * c),
                encoder("10", 16 * c, 16 * c),
            ],
            decoders: [
                decoder(5, 16 * c, 8 * c),
                decoder(4, 8 * c, 4 * c),
                decoder(3, 4 * c, 2 * c),
                decoder(2, 2 * c, c),
                decoder(1, c, c),
            ],
            out: head(path / "out", c),
        }
    }

    /// # Shapes
    /// `[B, 1, D, H, W]` to `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        let [h0, h1, h2, h3, h4] = self.swin_vit.forward(image);
        observe("hidden_1", &h1);
        observe("hidden_3", &h3);
        observe("hidden_4", &h4);
        let [encoder1, encoder2, encoder3, encoder4, encoder10] = &self.encoders;
        let skips = [
            h3,
            encoder4.forward(&h2, mode),
            encoder3.forward(&h1, mode),
            encoder2.forward(&h0, mode),
            encoder1.forward(image, mode),
        ];
        let mut xs = encoder10.forward(&h4, mode);
        for (index, (decoder, skip)) in self.decoders.iter().zip(&skips).enumerate() {
            xs = decoder.forward(&xs, skip, mode);
            if index == 1 {
                observe("decoder4_out", &xs);
            }
        }
        self.out.forward(&xs)
    }
}
