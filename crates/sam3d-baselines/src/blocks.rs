//! The residual block of Swin-UNETR, 3D UX-Net and UNETR++, the decoder step of the first two, and their common head.

use tch::Tensor;

use crate::{
    Mode,
    layers::{BatchNorm, Conv, Conv3d, ConvTranspose3d, Path, instance_norm, leaky_relu},
};

/// The normalisation of a [`ResBlock`].
#[derive(Debug)]
enum Norms {
    /// Instance normalisation without parameters.
    Instance,
    /// Batch normalisation with parameters, one for each of the two convolutions.
    Batch([BatchNorm; 2]),
}

/// `LeakyReLU(norm(conv2(LeakyReLU(norm(conv1(x))))) + r)`, where r is x, or `norm(conv3(x))` if the channels differ.
#[derive(Debug)]
pub(crate) struct ResBlock {
    conv1: Conv3d,
    conv2: Conv3d,
    conv3: Option<Conv3d>,
    norms: Norms,
}

impl ResBlock {
    /// With instance normalisation.
    pub(crate) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        let conv = |name: &str, inputs: i64, side: i64| {
            Conv3d::new(&path / name / "conv", Conv::same(inputs, outputs, [side; 3]).bias(false))
        };
        Self {
            conv1: conv("conv1", inputs, 3),
            conv2: conv("conv2", outputs, 3),
            conv3: (inputs != outputs).then(|| conv("conv3", inputs, 1)),
            norms: Norms::Instance,
        }
    }

    /// With batch normalisation and as many channels in as out.
    pub(crate) fn batch_normalised(path: Path<'_>, channels: i64) -> Self {
        let norms = ["norm1", "norm2"].map(|name| BatchNorm::new(&path / name, channels));
        Self { norms: Norms::Batch(norms), ..Self::new(path, channels, channels) }
    }

    fn normalise(&self, which: usize, xs: &Tensor, mode: Mode) -> Tensor {
        match &self.norms {
            Norms::Instance => instance_norm(xs),
            Norms::Batch(norms) => norms[which].forward(xs, mode),
        }
    }

    /// # Shapes
    /// `[B, inputs, D, H, W]` to `[B, outputs, D, H, W]`.
    pub(crate) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        let inner = leaky_relu(&self.normalise(0, &self.conv1.forward(xs), mode));
        let inner = self.normalise(1, &self.conv2.forward(&inner), mode);
        let residual = match &self.conv3 {
            Some(conv3) => instance_norm(&conv3.forward(xs)),
            None => xs.shallow_clone(),
        };
        leaky_relu(&(inner + residual))
    }
}

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
