//! Normalisation, in float32.

use tch::Tensor;

use super::{Init, Path};
use crate::precision::full;

/// PyTorch's default of the constant added to variances.
pub const EPS: f64 = 1e-5;

const NO_TENSOR: Option<Tensor> = None;

/// Weight and bias of a normalisation, 1 and 0 at the start.
#[derive(Debug)]
pub struct Affine {
    /// Factor of each channel.
    pub weight: Tensor,
    /// Offset of each channel.
    pub bias: Tensor,
}

impl Affine {
    /// Weight and bias at `path`.
    pub fn new(path: &Path<'_>, channels: i64) -> Self {
        Self {
            weight: path.var("weight", &[channels], Init::Const(1.0)),
            bias: path.var("bias", &[channels], Init::Const(0.0)),
        }
    }
}

/// Normalisation over the last axis, with weight and bias.
#[derive(Debug)]
pub struct LayerNorm {
    affine: Affine,
    eps: f64,
}

impl LayerNorm {
    /// With [`EPS`].
    pub fn new(path: Path<'_>, channels: i64) -> Self {
        Self::with_eps(path, channels, EPS)
    }

    /// With `eps` added to the variance.
    pub fn with_eps(path: Path<'_>, channels: i64, eps: f64) -> Self {
        Self { affine: Affine::new(&path, channels), eps }
    }

    /// # Shapes
    /// `[..., channels]`, unchanged.
    pub fn forward(&self, xs: &Tensor) -> Tensor {
        let Affine { weight, bias } = &self.affine;
        full(xs).layer_norm(weight.size(), Some(weight), Some(bias), self.eps, true)
    }

    /// The same over axis 1 of a channels-first map. The result is channels-last in memory, the layout in which
    /// the next convolution is fastest.
    ///
    /// # Shapes
    /// `[B, channels, X, Y, Z]`, unchanged.
    pub fn forward_channels_first(&self, xs: &Tensor) -> Tensor {
        channels_first(&self.forward(&channels_last(xs)))
    }
}

/// Layer normalisation without parameters.
///
/// # Shapes
/// `[..., channels]`, unchanged.
pub fn layer_norm(xs: &Tensor) -> Tensor {
    let channels = xs.size().last().copied().unwrap_or(1);
    full(xs).layer_norm([channels], NO_TENSOR, NO_TENSOR, EPS, true)
}

/// Normalisation of each channel of each sample over space, without parameters.
///
/// # Shapes
/// `[B, C, X, Y, Z]`, unchanged.
pub fn instance_norm(xs: &Tensor) -> Tensor {
    full(xs).instance_norm(NO_TENSOR, NO_TENSOR, NO_TENSOR, NO_TENSOR, true, 0.0, EPS, false)
}

/// `[B, C, X, Y, Z]` to `[B, X, Y, Z, C]`, without a copy.
pub fn channels_last(xs: &Tensor) -> Tensor {
    xs.permute([0, 2, 3, 4, 1])
}

/// `[B, X, Y, Z, C]` to `[B, C, X, Y, Z]`, without a copy.
pub fn channels_first(xs: &Tensor) -> Tensor {
    xs.permute([0, 4, 1, 2, 3])
}
