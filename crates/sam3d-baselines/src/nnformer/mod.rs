//! nnFormer (Zhou et al., "nnFormer: Volumetric Medical Image Segmentation via a 3D Transformer", 2023): windowed
//! attention in encoder and decoder, where the decoder's first blocks attend from the upsampled map to the skip.

mod block;
mod config;
mod decoder;
mod encoder;

use tch::Tensor;

pub use self::config::NnformerConfig;
use self::{decoder::DecoderStage, encoder::Encoder};
use crate::{
    Mode,
    blocks::CLASSES,
    layers::{Conv, ConvTranspose3d, Path, channels_first},
    network::Observe,
};

/// Voxels (D, H, W) of a token of the first stage.
const PATCH: [i64; 3] = [2, 4, 4];

/// The network.
#[derive(Debug)]
pub(crate) struct Nnformer {
    model_down: Encoder,
    /// From the deepest, `decoder.layers.2`, to `decoder.layers.0`.
    decoder: [DecoderStage; 3],
    last: ConvTranspose3d,
}

impl Nnformer {
    pub(crate) fn new(path: &Path<'_>, config: &NnformerConfig) -> Self {
        let layers = path / "decoder" / "layers";
        let rates = block::drop_rates(config.drop_path_rate, 6);
        let decoder = [2, 1, 0].map(|stage: usize| {
            // The deepest stage is computed first and has the lowest rates.
            let first = 2 * (2 - stage);
            DecoderStage::new(&layers / stage, config, stage, [rates[first], rates[first + 1]])
        });
        let head = Conv::patches(config.channels(0), CLASSES, PATCH);
        Self {
            model_down: Encoder::new(&(path / "model_down"), config),
            decoder,
            last: ConvTranspose3d::new(path / "final" / 0 / "up", head),
        }
    }

    /// # Shapes
    /// `[B, 1, D, H, W]` to `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        let mut skips = self.model_down.forward(image, mode, observe);
        observe("skip_0", &channels_first(&skips[0]));
        observe("skip_3", &channels_first(&skips[3]));
        let mut xs = skips.pop().unwrap_or_default();
        for (index, stage) in self.decoder.iter().enumerate() {
            xs = stage.forward(&xs, &skips[2 - index], mode);
            if index == 0 {
                observe("decoder_out_0", &xs);
            }
        }
        self.last.forward(&channels_first(&xs))
    }
}
