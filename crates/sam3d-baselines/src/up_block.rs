//! One step up of the decoders of Swin-UNETR and 3D UX-Net, and the head they share with UNETR++.

use tch::{Tensor, nn::Path};

use crate::{
    Mode,
    res_block::ResBlock,
    tch_ext::{Conv, Conv3d, ConvTranspose3d},
};

/// Classes of the logits: background and target.
pub(crate) const CLASSES: i64 = 2;

/// A transposed convolution that doubles each side, and a residual block on its output with the skip.
#[derive(Debug)]
pub(crate) struct UpBlock {
    transp_conv: ConvTranspose3d,
    conv_block: ResBlock,
}

impl UpBlock {
    pub(crate) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        let shape = Conv::patches(inputs, outputs, [2; 3]).bias(false);
        Self {
            transp_conv: ConvTranspose3d::new(&path / "transp_conv" / "conv", shape),
            conv_block: ResBlock::new(&path / "conv_block", 2 * outputs, outputs),
        }
    }

    /// # Shapes
    /// `[B, inputs, D, H, W]` and a skip `[B, outputs, 2D, 2H, 2W]` to the skip's shape.
    pub(crate) fn forward(&self, xs: &Tensor, skip: &Tensor, mode: Mode) -> Tensor {
        let upsampled = self.transp_conv.forward(xs);
        self.conv_block.forward(&Tensor::cat(&[&upsampled, skip], 1), mode)
    }
}

/// The convolution from features to logits, named as the published networks name it.
pub(crate) fn head(path: Path<'_>, inputs: i64) -> Conv3d {
    Conv3d::new(path / "conv" / "conv", Conv::same(inputs, CLASSES, [1; 3]))
}
