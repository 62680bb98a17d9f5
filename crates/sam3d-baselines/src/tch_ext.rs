//! What tch lacks, in one place: layers with PyTorch's names and initial values.
//!
//! As in `sam3d-model`, every layer takes the [`Path`] its parameters live under, so that a parameter's name is the path
//! of struct fields and the key in a checkpoint.

use tch::{
    Tensor,
    nn::{Init, Path},
};

use crate::Mode;

pub(crate) const NO_TENSOR: Option<Tensor> = None;

/// What weights and biases start from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// PyTorch's default: both uniform within `1 / sqrt(fan_in)`.
    Default,
    /// Weights normal with this standard deviation, biases 0. (Published as truncated at 2, which is 100 deviations.)
    Normal(f64),
    /// Weights normal for a leaky ReLU of slope 0.01 (He et al., 2015), biases 0.
    He,
}

impl Start {
    fn weight(self, fan_in: i64) -> Init {
        let fan_in = fan_in as f64;
        match self {
            Self::Default => Init::Uniform { lo: -1.0 / fan_in.sqrt(), up: 1.0 / fan_in.sqrt() },
            Self::Normal(stdev) => Init::Randn { mean: 0.0, stdev },
            Self::He => Init::Randn { mean: 0.0, stdev: (2.0 / (1.0 + 0.01f64.powi(2)) / fan_in).sqrt() },
        }
    }

    fn bias(self, fan_in: i64) -> Init {
        if self == Self::Default { self.weight(fan_in) } else { Init::Const(0.0) }
    }
}

/// `y = x W^T + b` over the last axis.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub(crate) fn new(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self::starting(path, inputs, outputs, true, Start::Default)
    }

    pub(crate) fn without_bias(path: Path<'_>, inputs: i64, outputs: i64) -> Self {
        Self::starting(path, inputs, outputs, false, Start::Default)
    }

    pub(crate) fn starting(path: Path<'_>, inputs: i64, outputs: i64, bias: bool, start: Start) -> Self {
        Self {
            weight: path.var("weight", &[outputs, inputs], start.weight(inputs)),
            bias: bias.then(|| path.var("bias", &[outputs], start.bias(inputs))),
        }
    }

    /// # Shapes
    /// `[..., inputs]` to `[..., outputs]`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.linear(&self.weight, self.bias.as_ref())
    }
}

/// The shape of a convolution or, with the same words, of a transposed one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
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
    /// Stride 1, and padded with zeros so that the size stays. `kernel` is odd.
    pub(crate) fn same(inputs: i64, outputs: i64, kernel: [i64; 3]) -> Self {
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
    pub(crate) fn patches(inputs: i64, outputs: i64, side: [i64; 3]) -> Self {
        Self { stride: side, padding: [0; 3], ..Self::same(inputs, outputs, side) }
    }

    pub(crate) fn stride(self, stride: [i64; 3]) -> Self {
        Self { stride, ..self }
    }

    pub(crate) fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    pub(crate) fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    pub(crate) fn start(self, start: Start) -> Self {
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
pub(crate) struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    shape: Conv,
}

impl Conv3d {
    pub(crate) fn new(path: Path<'_>, shape: Conv) -> Self {
        let (weight, bias) = shape.parameters(&path, shape.outputs, shape.inputs / shape.groups);
        Self { weight, bias, shape }
    }

    /// # Shapes
    /// `[B, inputs, D, H, W]` to `[B, outputs, D', H', W']`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let Conv { stride, padding, groups, .. } = self.shape;
        xs.conv3d(&self.weight, self.bias.as_ref(), stride, padding, 1, groups)
    }
}

/// A transposed 3D convolution, for shapes of [`Conv::patches`]: each input voxel becomes a block of output voxels.
#[derive(Debug)]
pub(crate) struct ConvTranspose3d {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: [i64; 3],
}

impl ConvTranspose3d {
    pub(crate) fn new(path: Path<'_>, shape: Conv) -> Self {
        let (weight, bias) = shape.parameters(&path, shape.inputs, shape.outputs);
        Self { weight, bias, stride: shape.stride }
    }

    /// # Shapes
    /// `[B, inputs, D, H, W]` to `[B, outputs, D * stride, H * stride, W * stride]`.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.conv_transpose3d(&self.weight, self.bias.as_ref(), self.stride, 0, 0, 1, 1)
    }
}

/// Weight and bias of a normalisation.
#[derive(Debug)]
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn new(path: &Path<'_>, channels: i64) -> Self {
        Self {
            weight: path.var("weight", &[channels], Init::Const(1.0)),
            bias: path.var("bias", &[channels], Init::Const(0.0)),
        }
    }
}

/// Added to variances.
pub(crate) const EPS: f64 = 1e-5;

/// Normalisation over channels.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    affine: Affine,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(path: Path<'_>, channels: i64) -> Self {
        Self::with_eps(path, channels, EPS)
    }

    pub(crate) fn with_eps(path: Path<'_>, channels: i64, eps: f64) -> Self {
        Self { affine: Affine::new(&path, channels), eps }
    }

    /// # Shapes
    /// `[..., C]`, unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let Affine { weight, bias } = &self.affine;
        xs.layer_norm(weight.size(), Some(weight), Some(bias), self.eps, true)
    }

    /// # Shapes
    /// `[B, C, D, H, W]`, unchanged.
    pub(crate) fn forward_channels_first(&self, xs: &Tensor) -> Tensor {
        channels_first(&self.forward(&channels_last(xs)))
    }
}

/// Normalisation of groups of channels over space, sample by sample.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    affine: Affine,
    groups: i64,
}

impl GroupNorm {
    pub(crate) fn new(path: Path<'_>, channels: i64, groups: i64) -> Self {
        Self { affine: Affine::new(&path, channels), groups }
    }

    /// # Shapes
    /// `[B, C, D, H, W]`, unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        xs.group_norm(self.groups, Some(&self.affine.weight), Some(&self.affine.bias), EPS, true)
    }
}

/// Normalisation of each channel over the batch, with running statistics for evaluation.
#[derive(Debug)]
pub(crate) struct BatchNorm {
    affine: Affine,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    pub(crate) fn new(path: Path<'_>, channels: i64) -> Self {
        Self {
            affine: Affine::new(&path, channels),
            running_mean: path.zeros_no_train("running_mean", &[channels]),
            running_var: path.ones_no_train("running_var", &[channels]),
        }
    }

    /// # Shapes
    /// `[B, C, D, H, W]`, unchanged.
    pub(crate) fn forward(&self, xs: &Tensor, mode: Mode) -> Tensor {
        const MOMENTUM: f64 = 0.1;
        xs.batch_norm(
            Some(&self.affine.weight),
            Some(&self.affine.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            mode == Mode::Train,
            MOMENTUM,
            EPS,
            true,
        )
    }
}

/// Normalisation of each channel of each sample over space, with weight and bias.
#[derive(Debug)]
pub(crate) struct InstanceNorm(Affine);

impl InstanceNorm {
    pub(crate) fn new(path: Path<'_>, channels: i64) -> Self {
        Self(Affine::new(&path, channels))
    }

    /// # Shapes
    /// `[B, C, D, H, W]`, unchanged.
    pub(crate) fn forward(&self, xs: &Tensor) -> Tensor {
        let Affine { weight, bias } = &self.0;
        xs.instance_norm(Some(weight), Some(bias), None, None, true, 0.0, EPS, true)
    }
}

/// [`InstanceNorm`] without parameters.
///
/// # Shapes
/// `[B, C, D, H, W]`, unchanged.
pub(crate) fn instance_norm(xs: &Tensor) -> Tensor {
    xs.instance_norm(NO_TENSOR, NO_TENSOR, NO_TENSOR, NO_TENSOR, true, 0.0, EPS, true)
}

/// [`LayerNorm`] without parameters.
///
/// # Shapes
/// `[..., C]`, unchanged.
pub(crate) fn layer_norm(xs: &Tensor) -> Tensor {
    let channels = xs.size().last().copied().unwrap_or(1);
    xs.layer_norm([channels], NO_TENSOR, NO_TENSOR, EPS, true)
}

/// `[B, C, D, H, W]` to `[B, D, H, W, C]`.
pub(crate) fn channels_last(xs: &Tensor) -> Tensor {
    xs.permute([0, 2, 3, 4, 1])
}

/// `[B, D, H, W, C]` to `[B, C, D, H, W]`.
pub(crate) fn channels_first(xs: &Tensor) -> Tensor {
    xs.permute([0, 4, 1, 2, 3]).contiguous()
}

/// The exact (erf) GELU.
pub(crate) fn gelu(xs: &Tensor) -> Tensor {
    xs.gelu("none")
}

/// Leaky ReLU of slope 0.01.
pub(crate) fn leaky_relu(xs: &Tensor) -> Tensor {
    xs.leaky_relu()
}

/// In training drops a residual branch for whole samples with probability `rate`, and scales up the others.
///
/// # Shapes
/// `[B, ...]`, unchanged.
pub(crate) fn drop_path(xs: &Tensor, rate: f64, mode: Mode) -> Tensor {
    if rate == 0.0 || mode == Mode::Evaluate {
        return xs.shallow_clone();
    }
    let mut shape = vec![1; xs.dim()];
    shape[0] = xs.size()[0];
    let keep = Tensor::full(shape.as_slice(), 1.0 - rate, (xs.kind(), xs.device())).bernoulli();
    xs * (keep / (1.0 - rate))
}
