//! TransBTS (Wang et al., "TransBTS: Multimodal Brain Tumor Segmentation Using Transformer", 2021): a convolutional
//! encoder, a transformer on its deepest map, and a convolutional decoder.

mod config;
mod decoder;
mod encoder;
mod transformer;

use tch::Tensor;

pub use self::config::TransbtsConfig;
use self::{
    decoder::{DoubleConv, UpCat},
    encoder::Encoder,
    transformer::Transformer,
};
use crate::{
    Mode,
    blocks::CLASSES,
    layers::{BatchNorm, Conv, Conv3d, Init, LayerNorm, Linear, Path},
    network::Observe,
};

/// The network.
#[derive(Debug)]
pub(crate) struct Transbts {
    unet: Encoder,
    bn: BatchNorm,
    conv_x: Conv3d,
    position_embeddings: Tensor,
    transformer: Transformer,
    enblock8_1: DoubleConv,
    enblock8_2: DoubleConv,
    /// `DeUp4` with `DeBlock4`, down to `DeUp2` with `DeBlock2`.
    decoder: [(UpCat, DoubleConv); 3],
    endconv: Conv3d,
    dropout: f64,
    _unused: Unused,
}

/// Layers that the published network has but never uses, kept so that its checkpoints fit.
#[derive(Debug)]
struct Unused {
    _linear_encoding: Linear,
    _pre_head_ln: LayerNorm,
}

impl Transbts {
    pub(crate) fn new(path: &Path<'_>, config: &TransbtsConfig) -> Self {
        let (c, e) = (config.base_channels as i64, config.embedding_dim as i64);
        let step = |level: i64, channels: i64| {
            let up = UpCat::new(path / format!("DeUp{level}"), 2 * channels, channels);
            (up, DoubleConv::new(path / format!("DeBlock{level}"), channels, channels))
        };
        Self {
            unet: Encoder::new(&(path / "Unet"), config),
            bn: BatchNorm::new(path / "bn", 8 * c),
            conv_x: Conv3d::new(path / "conv_x", Conv::same(8 * c, e, [3; 3])),
            position_embeddings: (path / "position_encoding").var(
                "position_embeddings",
                &[1, config.tokens(), e],
                Init::Const(0.0),
            ),
            transformer: Transformer::new(&(path / "transformer" / "net"), config),
            enblock8_1: DoubleConv::new(path / "Enblock8_1", e, 8 * c),
            enblock8_2: DoubleConv::new(path / "Enblock8_2", 8 * c, 8 * c),
            decoder: [step(4, 4 * c), step(3, 2 * c), step(2, c)],
            endconv: Conv3d::new(path / "endconv", Conv::same(c, CLASSES, [1; 3])),
            dropout: config.dropout,
            _unused: Unused {
                _linear_encoding: Linear::new(path / "linear_encoding", 8 * c, e),
                _pre_head_ln: LayerNorm::new(path / "pre_head_ln", e),
            },
        }
    }

    /// # Shapes
    /// `[B, 1, D, H, W]` to `[B, 2, D, H, W]`.
    pub(crate) fn forward(&self, image: &Tensor, mode: Mode, observe: &mut Observe<'_>) -> Tensor {
        let (skips, xs) = self.unet.forward(image, mode);
        observe("x3_1", &skips[2]);
        observe("unet_out", &xs);
        let map = self.conv_x.forward(&self.bn.forward(&xs, mode).relu());
        let shape = map.size();
        let tokens = map.flatten(2, 4).transpose(1, 2) + &self.position_embeddings;
        let tokens = self.transformer.forward(&tokens.dropout(self.dropout, mode == Mode::Train), mode);
        observe("z4", &tokens);
        let map = tokens.transpose(1, 2).reshape(shape.as_slice());
        let map = self.enblock8_1.forward(&map, mode);
        let mut xs = self.enblock8_2.forward_residual(&map, mode);
        for (index, (up, block)) in self.decoder.iter().enumerate() {
            xs = block.forward_residual(&up.forward(&xs, &skips[2 - index]), mode);
            if index == 0 {
                observe("deblock4_out", &xs);
            }
        }
        self.endconv.forward(&xs)
    }
}
