//! Layers with PyTorch's names and initial values, which tch lacks.
//!
//! Every layer takes the [`Path`] its parameters live under, so that a parameter's name is the path of struct fields and the
//! key in a checkpoint. For the crates of this project that build networks, not for others: it changes with them.

mod conv;
mod linear;
mod norm;
mod path;

use tch::{Device, Kind, Tensor};

pub(crate) use self::{conv::conv3d, linear::linear};
pub use self::{
    conv::{Conv, Conv3d, ConvTranspose3d},
    linear::Linear,
    norm::{Affine, EPS, LayerNorm, channels_first, channels_last, instance_norm, layer_norm},
    path::{Init, Path},
};

/// Initial values of the weights and biases of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// PyTorch's default: both uniform within `1 / sqrt(fan_in)`.
    Default,
    /// Weights normal with this standard deviation, biases 0.
    Normal(f64),
    /// Weights normal for a leaky ReLU of slope 0.01 (He et al., 2015), biases 0.
    He,
    /// All 0.
    Zero,
}

impl Start {
    fn weight(self, fan_in: i64) -> Init {
        match self {
            Self::Default => Init::default_of(fan_in),
            Self::Normal(stdev) => Init::Normal { stdev },
            Self::He => Init::Normal { stdev: (2.0 / (1.0 + 0.01f64.powi(2)) / fan_in as f64).sqrt() },
            Self::Zero => Init::Const(0.0),
        }
    }

    fn bias(self, fan_in: i64) -> Init {
        if self == Self::Default { Init::default_of(fan_in) } else { Init::Const(0.0) }
    }
}

/// `branch + xs`, where `branch` was computed for this sum alone: its memory is used for the result if it can hold it.
pub(crate) fn add_residual(mut branch: Tensor, xs: &Tensor) -> Tensor {
    if branch.kind() == xs.kind() { branch.g_add_(xs) } else { branch + xs }
}

/// Whether operations on this thread record a graph. tch can set this, but not read it.
pub(crate) fn records_graph() -> bool {
    let probe = Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    (probe * 1.0).requires_grad()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_residual_takes_the_memory_of_its_branch_only_where_it_fits() {
        let xs = Tensor::from_slice(&[1.0f32, 2.0]);
        let branch = Tensor::from_slice(&[0.5f32, 0.25]);
        let memory = branch.data_ptr();
        let sum = add_residual(branch, &xs);
        assert_eq!((Vec::<f32>::try_from(&sum).unwrap(), sum.data_ptr()), (vec![1.5, 2.25], memory));
        let rounded = Tensor::from_slice(&[0.5f32, 0.25]).to_kind(Kind::BFloat16);
        assert_eq!(add_residual(rounded, &xs).kind(), Kind::Float);
        assert_eq!(Vec::<f32>::try_from(&xs).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn whether_a_graph_is_recorded_is_known() {
        assert!(records_graph());
        {
            let _no_grad = tch::no_grad_guard();
            assert!(!records_graph());
        }
        assert!(records_graph());
    }
}
