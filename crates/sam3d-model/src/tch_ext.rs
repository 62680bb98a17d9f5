//! What tch lacks, in one place: layers with PyTorch's names and initial values.
//!
//! Every function that makes parameters takes the [`Path`] they live under, so that a parameter's name is the path of
//! struct fields and the key in a checkpoint.

use tch::{
    Tensor,
    nn::{Init, Path},
};

/// A parameter with PyTorch's default for weights and biases of linear and convolution layers: uniform within
/// `1 / sqrt(fan_in)`.
fn uniform(path: &Path<'_>, name: &str, shape: &[i64], fan_in: i64) -> Tensor {
    let bound = 1.0 / (fan_in as f64).sqrt();
    path.var(name, shape, Init::Uniform { lo: -bound, up: bound })
}

/// `y = x W^T + b` over the last axis.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(crate) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self {
            weight: uniform(&path, "weight", &[outputs, inputs], inputs),
            bias: uniform(&path, "bias", &[outputs], inputs),
        }
    }

    /// # Shapes
    /// `[..., inputs]` to `[..., outputs]`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.linear(&self.weight, Some(&self.bias))
    }
}

/// Normalisation over the last axis, with weight and bias.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(path: Path<'_>, channels: i64, eps: f64) -> Self {
        Self {
            weight: path.var("weight", &[channels], Init::Const(1.0)),
            bias: path.var("bias", &[channels], Init::Const(0.0)),
            eps,
        }
    }

    /// # Shapes
    /// `[..., channels]`, unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), self.eps, true)
    }

    /// The same over axis 1 of a channels-first map.
    ///
    /// # Shapes
    /// `[B, channels, H, W, D]`, unchanged.
    pub(crate) fn forward_channels_first(&self, xs: &Tensor) -> Tensor {
        self.forward(&xs.permute([0, 2, 3, 4, 1])).permute([0, 4, 1, 2, 3]).contiguous()
    }
}

/// A 3D convolution of stride 1 that keeps the size of its input.
#[derive(Debug)]
pub(crate) struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    groups: i64,
}

/// The shape of a [`Conv3d`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv3dShape {
    pub(crate) inputs: i64,
    pub(crate) outputs: i64,
    /// Side of the cubic kernel; odd.
    pub(crate) kernel: i64,
    pub(crate) groups: i64,
    pub(crate) bias: bool,
}

impl Conv3d {
    pub(crate) fn new(path: Path<'_>, shape: Conv3dShape) -> Self {
        let Conv3dShape { inputs, outputs, kernel, groups, bias } = shape;
        let fan_in = inputs / groups * kernel.pow(3);
        Self {
            weight: uniform(&path, "weight", &[outputs, inputs / groups, kernel, kernel, kernel], fan_in),
            bias: bias.then(|| uniform(&path, "bias", &[outputs], fan_in)),
            groups,
        }
    }

    /// The kernel, `[outputs, inputs / groups, kernel, kernel, kernel]`.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// # Shapes
    /// `[B, inputs, X, Y, Z]` to `[B, outputs, X, Y, Z]`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let padding = self.weight.size()[4] / 2;
        xs.conv3d(&self.weight, self.bias.as_ref(), 1, padding, 1, self.groups)
    }
}

/// Normalisation of each channel of each sample over space, without parameters.
///
/// # Shapes
/// `[B, C, X, Y, Z]`, unchanged.
pub(crate) fn instance_norm(xs: &Tensor) -> Tensor {
    const NO_TENSOR: Option<Tensor> = None;
    xs.instance_norm(NO_TENSOR, NO_TENSOR, NO_TENSOR, NO_TENSOR, true, 0.0, 1e-5, false)
}

/// How the corners of two grids correspond in an interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corners {
    /// Centres of the corner voxels coincide.
    Centres,
    /// Outer edges of the corner voxels coincide (half-pixel centres).
    Edges,
}

/// Trilinear interpolation to a cube of side `side`.
///
/// # Shapes
/// `[B, C, X, Y, Z]` to `[B, C, side, side, side]`.
pub(crate) fn resize(xs: &Tensor, side: i64, corners: Corners) -> Tensor {
    xs.upsample_trilinear3d([side, side, side], corners == Corners::Centres, None, None, None)
}
