//! 3D convolutions, in the thread's precision.

use tch::Tensor;

use super::{Path, Start};
use crate::precision::operand;

/// The shape of a convolution or of a transposed convolution.
#[derive(Debug, Clone, Copy)]
pub struct Conv {
    inputs: i64,
    outputs: i64,
    kernel: [i64; 3],
    stride: [i64; 3],
    padding: [i64; 3],
    groups: i64,
    bias: bool,
    start: Start,
}

impl Conv {
    /// Stride 1, padded with zeros to keep the size. `kernel` is odd.
    pub fn same(inputs: i64, outputs: i64, kernel: [i64; 3]) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            stride: [1; 3],
            padding: kernel.map(|side| side / 2),
            groups: 1,
            bias: true,
            start: Start::Default,
        }
    }

    /// Kernel and stride `side`: every input voxel is used once.
    pub fn patches(inputs: i64, outputs: i64, side: [i64; 3]) -> Self {
        Self { stride: side, padding: [0; 3], ..Self::same(inputs, outputs, side) }
    }

    /// With another stride.
    pub fn stride(self, stride: [i64; 3]) -> Self {
        Self { stride, ..self }
    }

    /// With channels in `groups` independent groups.
    pub fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// With or without a bias.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// With other initial values than PyTorch's.
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    fn parameters(&self, path: &Path<'_>, rows: i64, columns: i64) -> (Tensor, Option<Tensor>) {
        let [d, h, w] = self.kernel;
        // PyTorch takes the second axis for the inputs of transposed convolutions too.
        let fan_in = columns * d * h * w;
        let weight = path.var("weight", &[rows, columns, d, h, w], self.start.weight(fan_in));
        let bias = self.bias.then(|| path.var("bias", &[self.outputs], self.start.bias(fan_in)));
        (weight, bias)
    }
}

/// A 3D convolution.
#[derive(Debug)]
pub struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    shape: Conv,
}

impl Conv3d {
    /// A convolution of `shape`.
    pub fn new(path: Path<'_>, shape: Conv) -> Self {
        let (weight, bias) = shape.parameters(&path, shape.outputs, shape.inputs / shape.groups);
        Self { weight, bias, shape }
    }

    /// The kernel, `[outputs, inputs / groups, X, Y, Z]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// # Shapes
    /// `[B, inputs, X, Y, Z]` to `[B, outputs, X', Y', Z']`.
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let Conv { stride, padding, groups, .. } = self.shape;
        let bias = self.bias.as_ref().map(operand);
        operand(xs).conv3d(&operand(&self.weight), bias, stride, padding, 1, groups)
    }
}

/// A transposed 3D convolution, for shapes of [`Conv::patches`]: each input voxel becomes a block of output voxels.
#[derive(Debug)]
pub struct ConvTranspose3d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: [i64; 3],
}

impl ConvTranspose3d {
    /// A transposed convolution of `shape`.
    pub fn new(path: Path<'_>, shape: Conv) -> Self {
        let (weight, bias) = shape.parameters(&path, shape.inputs, shape.outputs);
        Self { weight, bias, stride: shape.stride }
    }

    /// # Shapes
    /// `[B, inputs, X, Y, Z]` to `[B, outputs, X * stride, Y * stride, Z * stride]`.
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let bias = self.bias.as_ref().map(operand);
        operand(xs).conv_transpose3d(&operand(&self.weight), bias, self.stride, 0, 0, 1, 1)
    }
}

/// A 3D convolution of stride 1, with a kernel of side 3 and padding that keeps the size.
///
/// # Shapes
/// `xs` `[B, C, X, Y, Z]`, `kernel` `[O, C, 3, 3, 3]`; gives `[B, O, X, Y, Z]`.
pub(crate) fn conv3d(xs: &Tensor, kernel: &Tensor) -> Tensor {
    operand(xs).conv3d(&operand(kernel), None::<Tensor>, 1, 1, 1, 1)
}
