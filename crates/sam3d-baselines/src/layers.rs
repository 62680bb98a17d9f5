//! Layers of the networks: those of `sam3d-model`, and the few that only the comparison networks have.

use sam3d_model::tch_ext::{Affine, EPS};
pub(crate) use sam3d_model::tch_ext::{
    Conv, Conv3d, ConvTranspose3d, Init, LayerNorm, Linear, Path, Start, channels_first, channels_last,
    instance_norm, layer_norm,
};
use tch::Tensor;

use crate::Mode;

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
            running_mean: path.buffer("running_mean", &[channels], 0.0),
            running_var: path.buffer("running_var", &[channels], 1.0),
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
