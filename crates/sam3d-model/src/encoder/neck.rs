//! The neck: tokens of one level become a feature map.

use tch::Tensor;

use crate::{
    config::EncoderConfig,
    tch_ext::{Conv, Conv3d, LayerNorm, Path, linear},
};

const NORM_EPS: f64 = 1e-6;

/// 1 x 1 x 1 convolution, norm, 3 x 3 x 3 convolution, norm. Numbered like the published checkpoint's sequence.
#[derive(Debug)]
pub(crate) struct Neck {
    project: Conv3d,
    norm1: LayerNorm,
    smooth: Conv3d,
    norm2: LayerNorm,
}

impl Neck {
    pub(crate) fn new(path: Path<'_>, config: &EncoderConfig) -> Self {
        let (inputs, outputs) = (config.embed_dim as i64, config.neck_channels as i64);
        let conv = |inputs, side| Conv::same(inputs, outputs, [side; 3]).bias(false);
        Self {
            project: Conv3d::new(&path / "0", conv(inputs, 1)),
            norm1: LayerNorm::with_eps(&path / "1", outputs, NORM_EPS),
            smooth: Conv3d::new(&path / "2", conv(outputs, 3)),
            norm2: LayerNorm::with_eps(&path / "3", outputs, NORM_EPS),
        }
    }

    /// # Shapes
    /// Tokens `[B, G, G, G, E]` to a feature map `[B, C, G, G, G]`, both in (H, W, D). Further channels are
    /// ignored.
    pub(crate) fn forward(&self, tokens: &Tensor) -> Tensor {
        let tokens = tokens.narrow(4, 0, self.project.weight().size()[1]);
        // A 1 x 1 x 1 convolution is a product over channels, which tokens have last.
        let xs = linear(&tokens, &self.project.weight().flatten(1, 4), None).permute([0, 4, 1, 2, 3]);
        let xs = self.smooth.forward(&self.norm1.forward_channels_first(&xs));
        self.norm2.forward_channels_first(&xs)
    }
}
