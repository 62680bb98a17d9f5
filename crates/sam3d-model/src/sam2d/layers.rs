//! Layers of the 2D SAM.

use tch::Tensor;

use crate::tch_ext::{Init, LayerNorm, Linear, Path};

/// A 2D convolution.
#[derive(Debug)]
pub(super) struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
}

impl Conv2d {
    /// A kernel of `[outputs, inputs, side, side]`.
    pub(super) fn new(path: Path<'_>, [inputs, outputs, side, stride]: [i64; 4], bias: bool) -> Self {
        let within = Init::default_of(inputs * side * side);
        Self {
            weight: path.var("weight", &[outputs, inputs, side, side], within),
            bias: bias.then(|| path.var("bias", &[outputs], within)),
            stride,
        }
    }

    /// # Shapes
    /// `[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`; an odd kernel of stride 1 keeps the size.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let padding = if self.stride == 1 { self.weight.size()[3] / 2 } else { 0 };
        xs.conv2d(&self.weight, self.bias.as_ref(), self.stride, padding, 1, 1)
    }
}

/// A transposed 2 x 2 convolution of stride 2: twice the size.
#[derive(Debug)]
pub(super) struct Doubled {
    weight: Tensor,
    bias: Tensor,
}

impl Doubled {
    pub(super) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        let within = Init::default_of(outputs * 4);
        Self {
            weight: path.var("weight", &[inputs, outputs, 2, 2], within),
            bias: path.var("bias", &[outputs], within),
        }
    }

    /// # Shapes
    /// `[B, inputs, H, W]` to `[B, outputs, 2 H, 2 W]`.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.conv_transpose2d(&self.weight, Some(&self.bias), 2, 0, 0, 1, 1)
    }
}

/// Normalisation over the channels of a map.
///
/// # Shapes
/// `[B, C, H, W]`, unchanged.
pub(super) fn norm_channels(norm: &LayerNorm, xs: &Tensor) -> Tensor {
    norm.forward(&xs.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
}

/// Linear layers with ReLU between them.
#[derive(Debug)]
pub(super) struct Perceptron {
    layers: Vec<Linear>,
}

impl Perceptron {
    /// Layers of the widths `widths`, from input to output.
    pub(super) fn new(path: Path<'_>, widths: &[i64]) -> Self {
        let layers = &path / "layers";
        let layer = |(index, pair): (usize, &[i64])| Linear::new(&layers / index, pair[0], pair[1]);
        Self { layers: widths.windows(2).enumerate().map(layer).collect() }
    }

    /// # Shapes
    /// `[..., first width]` to `[..., last width]`.
    pub(super) fn forward(&self, xs: &Tensor) -> Tensor {
        let mut xs = xs.shallow_clone();
        for (index, layer) in self.layers.iter().enumerate() {
            xs = layer.forward(&xs);
            if index + 1 < self.layers.len() {
                xs = xs.relu();
            }
        }
        xs
    }
}
